"""Evaluation + criteria → verdict: pure, in milliseconds, as often as one likes.

Judging reads the record and computes no measurement, so a new profile re-judges an old
evaluation without images or model. The rules stand in ``docs/judging.md``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.record_files import (
    digest_of,
    read_cases,
    read_evaluation,
    read_measurements,
    read_model,
    write_model,
)
from qa_suite.core.records import (
    CaseRecord,
    Criterion,
    Evaluation,
    Finding,
    Outcome,
    PreflightValue,
    Profile,
    SiteGap,
    Verdict,
)
from qa_suite.core.wording import bound_text, count, known, listing, percent, quantity, some, stated
from qa_suite.judging.criteria.built_in import (
    BEYOND_TABLE,
    TOO_GOOD,
    TOO_GOOD_METRICS,
    beyond_table,
)
from qa_suite.judging.findings import Rules, apply_criterion, interval_outcome
from qa_suite.judging.samples import Measure, collect, require_sound_tables
from qa_suite.judging.site_gaps import Better, GapMeasure, site_gaps

VERDICTS_FOLDER = "verdicts"

_BETTER: dict[str, Better] = {"at_most": "lower", "at_least": "higher", "within": "zero"}


def judge(folder: Path, profile: Profile) -> Verdict:
    """Judge the evaluation in ``folder`` under a profile; nothing is written.

    Raises
    ------
    InputError
        If the folder is no whole evaluation, its tables were changed after measuring, or the
        profile is for another direction or anatomy.
    Problems
        If the tables contradict themselves or hold a value that is not finite.
    """
    folder = Path(folder)
    evaluation = read_evaluation(folder)
    return judge_tables(evaluation, read_measurements(folder), read_cases(folder), profile)


def judge_tables(
    evaluation: Evaluation,
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    profile: Profile,
    *,
    gaps: bool = True,
) -> Verdict:
    """Judge tables that are at hand; the same input gives the same verdict.

    Parameters
    ----------
    evaluation, measurements, cases
        The record, see :mod:`qa_suite.core.records`. Cases outside the evaluation's split (imports
        that failed have none) are told in the notices and judged nowhere.
    profile
        The criteria.
    gaps
        Whether to compare the sites too; that takes most of the time and decides no outcome.
    """
    found = (evaluation.cohort.direction, evaluation.model.direction)
    require_fit(
        profile,
        cohort=evaluation.cohort.name,
        anatomy=evaluation.cohort.anatomy,
        directions={direction for direction in found if direction is not None},
    )
    require_sound_tables(measurements, cases)
    held_out = [case for case in cases if _is_examined(case, evaluation)]
    excluded, undetermined = _exclusions(profile, held_out)
    judged = [case for case in held_out if case.case not in excluded]
    names = {case.case for case in judged}
    rows = measurements[measurements["case"].isin(names)]
    rules = Rules(
        max_refused_fraction=profile.max_refused_fraction,
        sites=tuple(sorted({case.site for case in held_out})),
        training_sites=evaluation.model.training_sites,
        seen_in_training=_seen_in_training(evaluation, judged),
    )
    findings: list[Finding] = []
    for criterion in profile.criteria:
        _require_meaning(criterion, evaluation)
        sample = collect(rows, judged, _measure(criterion))
        _require_unit(criterion, sample.unit)
        findings += apply_criterion(criterion, sample, rules) if judged else []
    findings += _too_good(rows, judged, rules)
    findings += _beyond_tables(rows, judged, rules)
    outcome = overall_outcome(finding.outcome for finding in findings)
    counts = {**evaluation.case_counts, "excluded": len(excluded), "judged": len(judged)}
    return Verdict(
        outcome=outcome,
        sentence=verdict_sentence(outcome, findings, judged, profile, excluded=len(excluded)),
        evaluation=evaluation.evaluation,
        profile=profile,
        profile_sha256=profile_digest(profile),
        findings=tuple(findings),
        site_gaps=_gaps(rows, judged, evaluation, profile) if gaps else (),
        excluded=excluded,
        case_counts=counts,
        notices=(
            *evaluation.announced,
            *undetermined,
            *_not_asked(rows, judged),
            *_not_imported(cases, held_out),
        ),
    )


def overall_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail if anything fails, else inconclusive if anything is, else pass; nothing is no pass."""
    found = set(outcomes)
    if "fail" in found:
        return "fail"
    return "inconclusive" if "inconclusive" in found or not found else "pass"


def profile_digest(profile: Profile) -> str:
    """SHA-256 of everything that a profile says."""
    return digest_of(profile.model_dump(mode="json"))


def save_verdict(verdict: Verdict, folder: Path) -> Path:
    """Write a verdict beside its evaluation; return ``verdicts/<profile>-<digest>.json``."""
    name = f"{verdict.profile.name}-{verdict.profile_sha256[:8]}.json"
    path = Path(folder) / VERDICTS_FOLDER / name
    write_model(path, verdict)
    return path


def read_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Read every verdict of an evaluation, by file name; none is no error."""
    files = sorted((Path(folder) / VERDICTS_FOLDER).glob("*.json"))
    return tuple(read_model(file, Verdict) for file in files)


# ---------------------------------------------------------------------------------------
# Who is judged


def require_fit(profile: Profile, *, cohort: str, anatomy: str, directions: set[str]) -> None:
    """Refuse a profile that was not written for this direction and anatomy.

    Parameters
    ----------
    cohort, anatomy
        Name and anatomy of the cohort.
    directions
        Of the cohort and, where it says one, of the model.
    """
    wrong = sorted(directions - {profile.direction})
    if wrong and profile.direction != "any":
        raise InputError(
            f"The profile {profile.name} is for {profile.direction}, but the evaluation is of "
            f"{' and '.join(wrong)}; choose a profile for that direction, or 'descriptive', which "
            f"sets no bounds."
        )
    if profile.anatomy not in ("any", anatomy):
        raise InputError(
            f"The profile {profile.name} is for the anatomy '{profile.anatomy}', but the cohort "
            f"{cohort} is '{anatomy}'; choose a profile for it or for 'any'."
        )


def _is_examined(case: CaseRecord, evaluation: Evaluation) -> bool:
    return case.split == evaluation.cohort.split or case.status == "evaluated"


def _exclusions(
    profile: Profile, cases: Sequence[CaseRecord]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the cases that the profile excludes with their reasons, and what to announce."""
    known = sorted({name for case in cases for name in case.preflight})
    excluded: dict[str, list[str]] = {}
    notices = []
    for name, limit in sorted(profile.exclude.items()):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or known
            raise InputError(
                f"The profile {profile.name} excludes by {name!r}, which preflight did not "
                f"record; it recorded {', '.join(close) or 'nothing'}."
            )
        unknown = []
        for case in cases:
            check = case.preflight.get(name)
            if case.status == "refused":
                continue  # stays refused, and counts towards max_refused_fraction
            reason = _reason_to_exclude(name, check, limit)
            if check is None or check.value is None:
                if case.status != "evaluated":
                    continue  # a failure stays a failure
                unknown.append(case.case)
            if reason:
                excluded.setdefault(case.case, []).append(reason)
        if unknown:
            notices.append(
                f"{name} is undetermined for {listing(some(sorted(unknown)))}, who "
                f"{'is' if len(unknown) == 1 else 'are'} excluded: the profile excludes by it."
            )
    return {case: "; ".join(why) for case, why in sorted(excluded.items())}, tuple(notices)


def _reason_to_exclude(name: str, check: PreflightValue | None, limit: float) -> str:
    """Why a preflight value excludes a case, or nothing; what is not known excludes too."""
    if check is None:
        return f"{name} was not checked, and the profile excludes by it"
    if check.value is not None:
        if abs(check.value) <= limit:
            return ""
        found = quantity(check.value, check.unit, apart_from=limit)
        return f"{name} is {found}, beyond {stated(limit, check.unit)}"
    if check.at_least is not None and check.at_least > limit:
        found = quantity(check.at_least, check.unit, apart_from=limit)
        return f"{name} is at least {found}, beyond {stated(limit, check.unit)}"
    return f"{name} is undetermined ({check.why}), and the profile excludes by it"


def _seen_in_training(evaluation: Evaluation, cases: Sequence[CaseRecord]) -> frozenset[str]:
    """Return the patients who are not held out.

    An evaluation made under the leakage override says so in its notices; which of its
    patients were recognised by their voxels alone is not in the case table, so none counts.
    """
    if evaluation.settings.get("allow_leakage") and evaluation.notices:
        return frozenset(case.patient for case in cases)
    return frozenset(evaluation.model.training_patients) & {case.patient for case in cases}


def _not_imported(cases: Sequence[CaseRecord], held_out: Sequence[CaseRecord]) -> tuple[str, ...]:
    inside = {case.case for case in held_out}
    outside = [case for case in cases if case.case not in inside]
    return tuple(f"{case.case} at {case.site} is not judged: {case.reason}." for case in outside)


# ---------------------------------------------------------------------------------------
# What is judged


def _too_good(rows: pd.DataFrame, cases: Sequence[CaseRecord], rules: Rules) -> tuple[Finding, ...]:
    """Find scores too good to be true; a finding where there is one, else none."""
    found: list[Finding] = []
    for criterion in TOO_GOOD:
        sample = collect(rows, cases, _measure(criterion)) if cases else None
        if sample is not None and sample.measured:
            found += apply_criterion(criterion, sample, rules)
    return tuple(finding for finding in found if finding.outcome == "fail")


def _beyond_tables(
    rows: pd.DataFrame, cases: Sequence[CaseRecord], rules: Rules
) -> tuple[Finding, ...]:
    """Find plans whose beams met HU beyond their table's ends: their doses decide nothing."""
    found: list[Finding] = []
    asked = rows.loc[(rows["metric"] == BEYOND_TABLE) & (rows["region"] == "all"), "variant"]
    for variant in sorted(asked.unique()) if cases else ():
        criterion = beyond_table(str(variant))
        found += apply_criterion(criterion, collect(rows, cases, _measure(criterion)), rules)
    return tuple(
        finding.model_copy(
            update={
                "outcome": "inconclusive",
                "sentence": f"{finding.sentence.rstrip('.')}: the doses of those beams rest on "
                f"the end of the HLUT.",
            }
        )
        for finding in found
        if finding.outcome == "fail"
    )


def _not_asked(rows: pd.DataFrame, cases: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Say where nobody asked whether the scores are too good to be true."""
    asked = set(rows.loc[rows["metric"].isin(TOO_GOOD_METRICS), "case"])
    open_ = [c.case for c in cases if c.status == "evaluated" and c.case not in asked]
    if not open_:
        return ()
    return (
        f"Whether the synthetic image repeats the reference's own noise was not measured for "
        f"{listing(some(sorted(open_)))}; evaluate again to ask.",
    )


def _measure(criterion: Criterion) -> Measure:
    return Measure(metric=criterion.metric, region=criterion.region, variant=criterion.variant)


def _require_meaning(criterion: Criterion, evaluation: Evaluation) -> None:
    """Refuse a bound on what was left out because it has no meaning here."""
    for one in evaluation.left_out:
        if criterion.metric in one.metrics:
            raise InputError(
                f"The criterion '{criterion.name}' bounds {criterion.metric}, which was left out: "
                f"{one.why}."
            )


def _require_unit(criterion: Criterion, unit: str | None) -> None:
    if unit is not None and unit != criterion.unit:
        raise InputError(
            f"The criterion '{criterion.name}' bounds {criterion.metric} in "
            f"'{criterion.unit}', but it was measured in '{unit}'."
        )


def _gaps(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    evaluation: Evaluation,
    profile: Profile,
) -> tuple[SiteGap, ...]:
    measures = {_measure(c): _BETTER[c.direction] for c in profile.criteria}
    for measure in _described(measurements, profile):
        better = evaluation.definitions.get(measure.metric, {}).get("direction")
        if better in ("lower", "higher", "zero"):
            measures.setdefault(measure, better)
    return site_gaps(
        measurements,
        cases,
        [GapMeasure(measure=measure, better=better) for measure, better in measures.items()],
        training_sites=evaluation.model.training_sites,
    )


def _described(measurements: pd.DataFrame, profile: Profile) -> list[Measure]:
    """Return the measures that the profile describes and the record holds."""
    keys = ("metric", "region", "variant")
    held = set(zip(*(measurements[key] for key in keys), strict=True))
    wanted = [(one.metric, one.region, one.variant) for one in profile.describe]
    return [Measure(metric=m, region=r, variant=v) for m, r, v in wanted if (m, r, v) in held]


# ---------------------------------------------------------------------------------------
# The verdict in one sentence


def verdict_sentence(
    outcome: Outcome,
    findings: Sequence[Finding],
    cases: Sequence[CaseRecord],
    profile: Profile,
    *,
    excluded: int = 0,
) -> str:
    """Say where the model holds, where it fails and where that is undecided, by name."""
    if not cases:
        return f"Inconclusive under {profile.name} {profile.version}: no case is left to judge."
    parts = [*_site_parts(findings), *_whole_parts(findings)]
    status = [case.status for case in cases]
    flow = {
        "refused by preflight": status.count("refused"),
        "excluded by the profile": excluded,
        "failed in translation": status.count("failed"),
    }
    tail = [f"{count(n, 'case')} {what}" for what, n in flow.items() if n]
    text = f"{outcome.capitalize()} under {profile.name} {profile.version}: {'; '.join(parts)}."
    if not profile.criteria and not findings:
        text = (
            f"Described under {profile.name} {profile.version}, which sets no bounds: not judged."
        )
    return f"{text} Not measured: {listing(tail)}." if tail else text


def _site_parts(findings: Sequence[Finding]) -> list[str]:
    """Sort the sites into those where it holds, fails or stays undecided."""
    by_site: dict[str, list[Finding]] = {}
    for finding in findings:
        local = finding.criterion.scope == "each_site"
        missed = finding.criterion.scope == "worst_patient" and finding.outcome == "fail"
        for site in finding.sites if local or missed else ():
            by_site.setdefault(site, []).append(finding)
    outcomes = {s: overall_outcome(f.outcome for f in found) for s, found in by_site.items()}
    if not any(finding.criterion.scope == "each_site" for finding in findings):
        return []
    parts = []
    holding = sorted(site for site, outcome in outcomes.items() if outcome == "pass")
    if holding:
        parts.append(f"holds at {listing(holding)}")
    for kind, verb in (("fail", "fails at"), ("inconclusive", "undecided at")):
        sites = sorted(site for site, outcome in outcomes.items() if outcome == kind)
        said = [f"{s} ({_brief([f for f in by_site[s] if f.outcome == kind])})" for s in sites]
        if said:
            parts.append(f"{verb} {listing(said)}")
    return parts


def _whole_parts(findings: Sequence[Finding]) -> list[str]:
    """Say what the findings over all sites add to those site by site."""
    local = any(finding.criterion.scope == "each_site" for finding in findings)
    rest = [
        finding
        for finding in findings
        if finding.criterion.scope != "each_site"
        and not (local and finding.criterion.scope == "worst_patient" and finding.outcome == "fail")
    ]
    parts = []
    for kind, verb in (("fail", "fails"), ("inconclusive", "undecided")):
        found = [finding for finding in rest if finding.outcome == kind]
        if found:
            parts.append(f"{verb} over all sites ({_brief(found)})")
    if rest and not parts:
        whole = [finding for finding in findings if finding.criterion.scope != "each_site"]
        which = "the criteria" if len(whole) == len(rest) else "the other criteria"
        parts.append(f"{which} over all sites hold" if local else "holds over all sites")
    return parts


def _brief(findings: Sequence[Finding], most: int = 3) -> str:
    """Name the criteria of one outcome, the first few, with what decided it."""
    said: list[str] = []
    if findings[0].outcome == "inconclusive":
        by_reason: dict[str, list[str]] = {}
        for finding in findings:
            by_reason.setdefault(_why_undecided(finding), []).append(finding.criterion.name)
        said = [f"{why}: {listing(some(names))}" for why, names in by_reason.items()]
    else:
        said = [_estimate_and_bound(finding) for finding in findings]
    more = [f"{len(said) - most} more"] if len(said) > most else []
    return "; ".join(said[:most] + more)


def _why_undecided(finding: Finding) -> str:
    if finding.patients < finding.criterion.min_patients:
        return f"n = {finding.patients} of {finding.criterion.min_patients} required"
    if finding.censored and finding.estimate is None:
        return "values censored"
    low, high = finding.low, finding.high
    if low is not None and high is not None:
        if interval_outcome(finding.criterion, low, high) == "inconclusive":
            return "interval includes the bound"
    elif finding.criterion.scope != "worst_patient":
        return "too few for an interval"
    return "data missing" if finding.missing else "not held out"


def _estimate_and_bound(finding: Finding) -> str:
    criterion = finding.criterion
    if finding.estimate is None and finding.at_least is None and finding.at_most is None:
        return f"{criterion.name} has no value"
    if criterion.statistic == "fraction_within":
        bound = stated(100 * criterion.bound, "%")
        share = percent(finding.at_most or 0 if finding.estimate is None else finding.estimate)
        most = "at most " if finding.estimate is None else ""
        return f"{criterion.name} {most}{share}, bound at least {bound}"
    if finding.estimate is None:
        value = known(finding.at_least, finding.at_most, criterion.unit)
    else:
        value = quantity(finding.estimate, criterion.unit, apart_from=criterion.bound)
    bound = bound_text(criterion.direction, stated(criterion.bound, criterion.unit))
    return f"{criterion.name} {value}, bound {bound}"
