"""A new model against an old one, on the patients that both were examined on: pure, repeatable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from qa_suite import __version__
from qa_suite.audit.asked import AuditSettings, Question, key_of, questions
from qa_suite.audit.compare_words import overall_sentence, rules, told
from qa_suite.audit.joined import Material, Source, join, read_source, rule_differences
from qa_suite.audit.paired import answer, paired
from qa_suite.core.errors import raise_problems
from qa_suite.core.record_files import write_model
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import (
    Answer,
    Asked,
    Compared,
    Comparison,
    PairedFinding,
    Profile,
    margin_of,
)
from qa_suite.core.wording import listing
from qa_suite.judging.collect import collect
from qa_suite.judging.comparisons import holm_p_values
from qa_suite.judging.judge import profile_digest
from qa_suite.judging.judged_cases import exclusions, require_fit

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """What is asked of two models.

    Parameters
    ----------
    asked
        ``difference`` needs no margin; the other two need one for every primary measure.
    primary
        As for an audit; empty takes what the profile declares, or what has a margin.
    margins
        Measure or criterion to the margin in its unit; adds to those of the profile.
    confidence
        Of the two-sided intervals.
    """

    asked: Asked = "difference"
    primary: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.95


def compare(new: Path, old: Path, profile: Profile, settings: CompareSettings) -> Comparison:
    """Compare the evaluations in two folders; nothing is written.

    Raises
    ------
    Problems
        If the two measured by other rules, share no patient, or a margin is missing.
    """
    return compare_sources(read_source(new), read_source(old), profile, settings)


def compare_sources(
    new: Source, old: Source, profile: Profile, settings: CompareSettings
) -> Comparison:
    """Compare two evaluations that were read."""
    problems = list(rule_differences(new, old))
    if new.evaluation.evaluation == old.evaluation.evaluation:
        problems.append("both are the same evaluation")
    raise_problems("The comparison", problems)
    sides = [join([new]), join([old])]
    for one in (new.evaluation, old.evaluation):
        require_fit(
            profile,
            cohort=one.cohort.name,
            anatomy=one.cohort.anatomy,
            directions={d for d in (one.cohort.direction, one.model.direction) if d is not None},
        )
    settings = _with_margins_as_primary(settings, profile)
    asked = AuditSettings(primary=settings.primary, confidence=settings.confidence)
    mine, notices = questions(sides[0], profile, asked)
    both = [one for one in mine if _held(sides[1], one)]
    margins = _margins(both, profile, settings)
    kept = [_kept(side, profile) for side in sides]
    patients = [frozenset(case.patient for case in side.cases) for side in kept]
    shared = patients[0] & patients[1]
    if not shared:
        raise_problems("The comparison", ["no patient is in both evaluations"])
    compared = [(one, _values(kept, one)) for one in both]
    found = [
        _finding(one, values, margins.get(one), settings)
        for one, values in compared
        if values.measured
    ]
    found = [
        one.model_copy(update={"sentence": told(one, settings.asked, settings.confidence)})
        for one in _adjusted(found)
    ]
    overall = _overall(found, settings.asked)
    return Comparison(
        comparison=digest_of(
            {
                "evaluations": [new.evaluation.evaluation, old.evaluation.evaluation],
                "profile": profile_digest(profile),
                "asked": asdict(settings),
                "suite": __version__,
            }
        )[:16],
        asked=settings.asked,
        answer=overall,
        sentence=overall_sentence(
            found, settings.asked, overall, _compared(new), _compared(old), settings.confidence
        ),
        new=_compared(new),
        old=_compared(old),
        profile=f"{profile.name} {profile.version}",
        profile_sha256=profile_digest(profile),
        confidence=settings.confidence,
        rules=rules(found, settings.confidence),
        findings=tuple(found),
        patients=len(shared),
        only_new=tuple(sorted(patients[0] - patients[1])),
        only_old=tuple(sorted(patients[1] - patients[0])),
        suite_version=__version__,
        notices=tuple(dict.fromkeys((*sides[0].notices, *sides[1].notices, *notices))),
    )


def save_comparison(found: Comparison, folder: Path) -> Path:
    """Write a comparison into a folder; return ``folder/comparison.json``."""
    path = Path(folder) / COMPARISON_FILE
    write_model(path, found)
    return path


# ---------------------------------------------------------------------------------------
# What is asked


def _with_margins_as_primary(settings: CompareSettings, profile: Profile) -> CompareSettings:
    """Take what has a margin as primary where nothing else was declared."""
    if settings.primary or profile.primary:
        return settings
    return replace(settings, primary=tuple(settings.margins) or tuple(profile.margins))


def _margins(
    asked: Sequence[Question], profile: Profile, settings: CompareSettings
) -> dict[Question, float]:
    """Return the margin of every measure that has one; refuse a question without its margin."""
    by_name: dict[str, Question] = {key_of(one.measure): one for one in asked}
    for criterion in profile.criteria:
        for one in asked:
            if one.criterion is not None and one.criterion.name == criterion.name:
                by_name[criterion.name] = one
    stated = {name: margin_of(one) for name, one in profile.margins.items()}
    said = {**stated, **settings.margins}
    problems = [
        f"the margin of {name} must be above zero, got {margin:g}"
        for name, margin in said.items()
        if not margin > 0
    ]
    problems += [
        f"--margin is for {name}, which is not measured in both evaluations"
        for name in settings.margins
        if name not in by_name
    ]
    found = {by_name[name]: margin for name, margin in said.items() if name in by_name}
    if settings.asked != "difference":
        primary = [one for one in asked if one.primary]
        if not primary:
            problems.append(f"{settings.asked} needs a primary measure with a margin")
        lacking = [key_of(one.measure) for one in primary if one not in found]
        if lacking:
            problems.append(
                f"{settings.asked} needs a margin, given before, for {listing(lacking)}: "
                f"'--margin {lacking[0]}=VALUE', or 'margins' in the profile"
            )
    raise_problems("The comparison", problems)
    return found


def _held(side: Material, question: Question) -> bool:
    table, measure = side.measurements, question.measure
    here = (table["metric"] == measure.metric) & (table["region"] == measure.region)
    return bool((here & (table["variant"] == measure.variant)).any())


def _kept(side: Material, profile: Profile) -> Material:
    excluded, _ = exclusions(profile, side.cases)
    scans = tuple(scan for scan in side.scans if scan.case.case not in excluded)
    names = [scan.case.case for scan in scans]
    rows = side.measurements[side.measurements["case"].isin(names)]
    return replace(side, scans=scans, measurements=rows)


# ---------------------------------------------------------------------------------------
# One measure


@dataclass(frozen=True, kw_only=True)
class _Both:
    """Values of the patients that both have, and those that one of them lost."""

    patients: tuple[str, ...]
    new: tuple[float, ...]
    old: tuple[float, ...]
    lost_by_new: tuple[str, ...]
    lost_by_old: tuple[str, ...]
    censored: int

    @property
    def measured(self) -> bool:
        return bool(self.patients or self.lost_by_new or self.lost_by_old)


def _values(kept: Sequence[Material], question: Question) -> _Both:
    """Pair examinations (patient, number of the examination), then average each patient's."""
    tables: list[dict[tuple[str, int], float]] = []
    held: list[set[tuple[str, int]]] = []
    censored: set[str] = set()
    for side in kept:
        values = collect(side.measurements, side.cases, question.measure)
        numbers = {case.case: case.examination for case in side.cases}
        found = {}
        for row in values.rows:
            if row.fate == "value" and row.value is not None:
                found[row.patient, numbers[row.case]] = row.value
            elif row.fate == "censored":
                censored.add(row.patient)
        tables.append(found)
        held.append({(row.patient, numbers[row.case]) for row in values.rows})
    both = held[0] & held[1]
    shared = sorted(both & set(tables[0]) & set(tables[1]))
    patients = tuple(sorted({patient for patient, _ in shared} - censored))
    means = [
        tuple(_mean(table[key] for key in shared if key[0] == patient) for patient in patients)
        for table in tables
    ]
    lost = [
        {key[0] for key in both if key in tables[1 - side] and key not in tables[side]} - censored
        for side in (0, 1)
    ]
    return _Both(
        patients=patients,
        new=means[0],
        old=means[1],
        lost_by_new=tuple(sorted(lost[0])),
        lost_by_old=tuple(sorted(lost[1])),
        censored=len(censored),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _finding(
    question: Question, values: _Both, margin: float | None, settings: CompareSettings
) -> PairedFinding:
    measure = question.measure
    found = None
    if len(values.patients) >= 2:
        found = paired(values.new, values.old, question.better, confidence=settings.confidence)
    said: Answer | None
    said = "undecided" if settings.asked != "difference" and question.primary else None
    if found is not None and question.primary:
        said = answer(found, settings.asked, margin)
    if said == "yes" and (values.lost_by_new or values.censored):
        said = "undecided"  # what is missing never passes
    facts = (
        {}
        if found is None
        else {
            name: getattr(found, name)
            for name in ("new", "old", "difference", "low", "high", "p_t", "p_ranks")
        }
    )
    return PairedFinding(
        metric=measure.metric,
        region=measure.region,
        variant=measure.variant,
        unit=question.unit,
        better=question.better,
        primary=question.primary,
        patients=len(values.patients),
        method=found.method if found else "fewer than two patients with a value of both",
        wins=found.wins if found else 0,
        losses=found.losses if found else 0,
        ties=found.ties if found else 0,
        lost_by_new=values.lost_by_new,
        lost_by_old=values.lost_by_old,
        margin=margin,
        answer=said,
        sentence="",
        **facts,
    )


def _adjusted(found: Sequence[PairedFinding]) -> list[PairedFinding]:
    family = [one for one in found if one.primary and one.p_t is not None]
    adjusted = holm_p_values([one.p_t for one in family if one.p_t is not None])
    by_id = {id(one): p for one, p in zip(family, adjusted, strict=True)}
    return [one.model_copy(update={"p_holm": by_id.get(id(one))}) for one in found]


def _overall(found: Sequence[PairedFinding], asked: Asked) -> Answer | None:
    """All primary measures must answer yes; one no is a no."""
    answers = {one.answer for one in found if one.primary}
    if asked == "difference" or not answers:
        return None
    if "no" in answers:
        return "no"
    return "yes" if answers == {"yes"} else "undecided"


def _compared(source: Source) -> Compared:
    model = source.evaluation.model
    return Compared(
        evaluation=source.evaluation.evaluation,
        cohort=source.evaluation.cohort.name,
        model=model.name,
        model_version=model.version,
        model_uri=model.uri,
        weights_sha256=model.weights_sha256,
    )
