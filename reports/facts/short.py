"""The report in short, as data: what the PDF, the model card and the JSON file say alike.

Texts are those of the HTML page, and beside each stands the number that it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.records import Finding, Verdict
from qa_suite.core.wording import count, listing, some
from reports.facts import wording
from reports.facts.dose_spread import Spread
from reports.facts.meaning import verdict_meaning
from reports.facts.patients import over_one_site
from reports.facts.readiness import Readiness

MOST_DECIDING = 5
MOST_WORST_CASES = 6
_STRICT = ConfigDict(extra="forbid", frozen=True)
_FRONT = (
    "Intended use",
    "Evidence",
    "Speaks of",
    "Dose",
    "Protocol",
    "Overall",
    "Signatures",
    "Release",
)
"""Labels of what stands on the front page."""
_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2}


class Line(BaseModel):
    """A label and what is said under it."""

    model_config = _STRICT

    label: str
    text: str


class ShortFinding(BaseModel):
    """One criterion in one scope."""

    model_config = _STRICT

    criterion: str
    asks: str
    scope: str
    outcome: Literal["pass", "fail", "inconclusive"]
    estimate: float | None
    low: float | None
    high: float | None
    bound: float
    unit: str
    patients: int
    missing: int
    estimate_text: str
    interval_text: str
    because: str
    sentence: str
    source: str
    confirmed: bool


class ShortGap(BaseModel):
    """How a site differs from the training sites in one measure."""

    model_config = _STRICT

    measure: str
    site: str
    in_training: bool
    patients: int
    gap: float | None
    low: float | None
    high: float | None
    gap_text: str
    worse: bool | None


class ShortSite(BaseModel):
    """What became of the cases of a site."""

    model_config = _STRICT

    site: str
    held_out: int
    refused: int
    failed: int
    excluded: int
    judged: int


class WorstCase(BaseModel):
    """A patient who is among the worst of a site in a measure that the profile bounds."""

    model_config = _STRICT

    cases: str
    site: str
    measure: str
    text: str


class ShortDose(BaseModel):
    """One number of one plan, on both images."""

    model_config = _STRICT

    plan: str
    what: str
    reference: str
    synthetic: str
    difference: str
    patients: int


class ShortComparator(BaseModel):
    """One measure at one site beside what cannot be beaten and what must be."""

    model_config = _STRICT

    site: str
    measure: str
    floor: str
    model: str
    baseline: str
    improvement: str


class HazardLine(BaseModel):
    """One hazard: whether this evaluation looked for it, and what remains."""

    model_config = _STRICT

    hazard: str
    effect: str
    seen: str
    residual: str


class Short(BaseModel):
    """Everything that the short report says."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    evaluation: str
    verdict: str
    at: str = Field(description="when it was judged; of a verdict not written, when measured")
    log_head: str = Field(description="digest of the log's last line when the report was made")
    model: str
    profile: str
    symbol: str
    headline: str
    outcome: str
    colour: Literal["pass", "fail", "inconclusive"]
    own: str
    sentence: str
    front: tuple[Line, ...] = Field(description="what must be known with the verdict")
    about: tuple[Line, ...] = Field(description="whom it speaks of in full, and how it was reached")
    warnings: tuple[str, ...]
    meaning: str
    deciding: tuple[ShortFinding, ...] = Field(description="at most five, the worst first")
    worst_site: str
    findings: tuple[ShortFinding, ...]
    gaps: tuple[ShortGap, ...]
    sites: tuple[ShortSite, ...]
    worst_cases: tuple[WorstCase, ...]
    dose: tuple[ShortDose, ...]
    reference: tuple[Line, ...] = Field(description="how sure the reference itself is")
    comparators: tuple[ShortComparator, ...]
    hazards: tuple[HazardLine, ...]
    not_asked: tuple[str, ...]
    changes: tuple[Line, ...] = Field(description="what asks for which examination again")
    provenance: tuple[Line, ...]


def short_report(
    found: Readiness, *, hazards: Sequence[HazardLine] = (), log_head: str = ""
) -> Short:
    """Say in short what the report of a verdict says.

    Parameters
    ----------
    found
        Everything that the report says.
    hazards
        The table of hazards, where there is one.
    log_head
        Digest of the last line of the log beside the evaluation.
    """
    verdict, evaluation, standing = found.verdict, found.evaluation, found.standing
    findings = [_finding(one) for one in verdict.findings]
    identifier = "" if verdict.evidence is None else verdict.evidence.verdict
    model = evaluation.model
    return Short(
        evaluation=evaluation.evaluation,
        verdict=identifier,
        at=evaluation.when.finished if verdict.evidence is None else verdict.evidence.judged_at,
        log_head=log_head,
        model=f"{model.name}{f', version {model.version}' if model.version else ''} ({model.uri})",
        profile=f"{verdict.profile.name} {verdict.profile.version}",
        symbol=standing.title[0],
        headline=standing.title[1],
        outcome=verdict.outcome_word,
        colour=standing.colour,
        own=standing.own,
        sentence=verdict.sentence,
        front=tuple(Line(label=a, text=b) for a, b in _facts(found) if a in _FRONT),
        about=tuple(Line(label=a, text=b) for a, b in _facts(found) if a not in _FRONT),
        warnings=found.notices,
        meaning=verdict_meaning(verdict, found.cases),
        deciding=tuple(_finding(one) for one in deciding(verdict)),
        worst_site=worst_site(verdict),
        findings=tuple(findings),
        gaps=_gaps(verdict),
        sites=tuple(ShortSite.model_validate(vars(one)) for one in found.site_counts),
        worst_cases=_worst_cases(found),
        dose=tuple(_dose(found)),
        reference=tuple(_reference(found)),
        comparators=_comparators(found),
        hazards=tuple(hazards),
        not_asked=verdict.profile.does_not_ask,
        changes=tuple(_changes(found)),
        provenance=tuple(_provenance(found)),
    )


# ---------------------------------------------------------------------------------------
# Findings


def deciding(verdict: Verdict) -> list[Finding]:
    """Return the findings that decide, at most five: each criterion once, the worst first.

    Missed bounds come before undecided ones, and these before what is met; among the same, what
    uses up most of its bound. Where there are fewer criteria, their further scopes follow.
    """
    ranked = sorted(verdict.findings, key=_rank)
    first = {one.criterion.name: one for one in reversed(ranked)}
    chosen = [one for one in ranked if first[one.criterion.name] is one]
    more = [one for one in ranked if first[one.criterion.name] is not one]
    return sorted([*chosen, *more][:MOST_DECIDING], key=_rank)


def _rank(finding: Finding) -> tuple[int, float, str, str]:
    used = used_up(finding)
    return (
        _ORDER[finding.outcome],
        -math.inf if used is None else -used,
        finding.criterion.name,
        finding.scope_name,
    )


def used_up(finding: Finding) -> float | None:
    """Return how much of its bound an estimate uses up: above 1 it is missed.

    None where there is no estimate, or the bound is no scale to measure by.
    """
    c, estimate = finding.criterion, finding.estimate
    if estimate is None:
        return None
    if wording.is_share(c) or c.direction == "at_least":
        room = 1 - c.bound if c.unit in ("1", "") and c.bound < 1 else abs(c.bound)
        return 1 + (c.bound - estimate) / room if room > 0 else None
    value = abs(estimate) if c.direction == "within" else estimate
    return value / c.bound if c.bound > 0 else None


def worst_site(verdict: Verdict) -> str:
    """Name the site with most bounds missed, and how many; or that none is worse."""
    missed: dict[str, list[str]] = {}
    for one in verdict.findings:
        if one.outcome == "fail":
            for site in one.sites or ((one.scope_name,) if one.scope_name != "pooled" else ()):
                missed.setdefault(site, []).append(one.criterion.name)
    if not missed:
        of_sites = any(f.criterion.scope == "each_site" for f in verdict.findings)
        return "No site misses a bound." if of_sites else "No criterion asks site by site."
    site = min(missed, key=lambda name: (-len(missed[name]), name))
    names = listing(some(list(dict.fromkeys(missed[site])), 4))
    bounds = count(len(missed[site]), "bound")
    return f"{site} misses {bounds}: {names}."


def _finding(one: Finding) -> ShortFinding:
    c = one.criterion
    return ShortFinding(
        criterion=c.name,
        asks=wording.criterion_text(c),
        scope=wording.scope_text(one),
        outcome=one.outcome,
        estimate=one.estimate,
        low=one.low,
        high=one.high,
        bound=c.bound,
        unit=c.unit,
        patients=one.patients,
        missing=one.missing,
        estimate_text=wording.estimate_text(one),
        interval_text=wording.finding_interval(one),
        because=one.because,
        sentence=one.sentence,
        source=c.source,
        confirmed=c.confirmed,
    )


def _gaps(verdict: Verdict) -> tuple[ShortGap, ...]:
    return tuple(
        ShortGap(
            measure=wording.measure_title(one.metric, one.region, one.variant),
            site=one.site,
            in_training=one.in_training,
            patients=one.patients,
            gap=one.gap,
            low=one.gap_low,
            high=one.gap_high,
            gap_text="no gap" if one.gap is None else wording.signed(one.gap, one.unit),
            worse=one.shifted,
        )
        for one in verdict.site_gaps
    )


# ---------------------------------------------------------------------------------------
# What else is told


def _facts(found: Readiness) -> list[tuple[str, str]]:
    verdict, evaluation = found.verdict, found.evaluation
    whom = verdict.speaks_of_said
    held_out = evaluation.case_counts.get("held_out", 0)
    sites = evaluation.cohort.sites
    return [
        ("Intended use", verdict.profile.intended_use),
        ("Profile examined", verdict.profile.exam),
        (
            "Evidence",
            f"{count(found.flow[-1].count, 'case')} measured and judged, of {held_out} held out, "
            f"at {count(len(sites), 'site')} ({', '.join(sites)})",
        ),
        ("Speaks of", in_short(whom)),
        *found.standing.rows,
        ("Cost", found.cost or "the record holds no cost"),
    ]


def in_short(whom: str) -> str:
    """Return of whom a verdict speaks without its lists: how many, where, and who is new.

    Examples
    --------
    >>> in_short("It speaks of 2 patients of 1 site (A); sexes M (2). In it, though never trained "
    ...     "on: site B.")
    'It speaks of 2 patients of 1 site (A). In it, though never trained on: site B.'
    """
    first, _, rest = whom.partition(". ")
    first = first.partition("; ")[0].rstrip(".")
    return f"{first}. {rest}" if rest else f"{first}."


def _worst_cases(found: Readiness) -> tuple[WorstCase, ...]:
    """Return the worst patients of the measures that the profile bounds, the worst site first."""
    worst = []
    for plot in found.distributions:
        if not plot.criteria:
            continue
        better = str(found.evaluation.definitions.get(plot.metric, {}).get("direction", "none"))
        patient = over_one_site(plot, better)
        if patient is not None:
            site, value = patient
            worst.append(
                WorstCase(
                    cases=value.cases,
                    site=site,
                    measure=wording.measure_title(plot.metric, plot.region, plot.variant),
                    text=value.text(plot.unit),
                )
            )
    return tuple(worst[:MOST_WORST_CASES])


def _dose(found: Readiness) -> list[ShortDose]:
    rows = []
    for plan in () if found.dose is None else found.dose.plans:
        for metric in plan.metrics:
            rows.append(
                ShortDose(
                    plan=plan.facts.key,
                    what=metric.name,
                    reference=_mean(metric.reference),
                    synthetic=_mean(metric.synthetic),
                    difference=_mean(metric.difference_pct, sign=True),
                    patients=metric.difference.patients,
                )
            )
        for gamma in plan.gammas:
            rows.append(
                ShortDose(
                    plan=plan.facts.key,
                    what=f"γ pass rate {gamma.title}, body",
                    reference="–",
                    synthetic=_mean(gamma.body),
                    difference="–",
                    patients=gamma.body.patients,
                )
            )
    return rows


def _mean(found: Spread, *, sign: bool = False) -> str:
    if found.censored:
        return f"no mean: {found.censored}"
    return wording.dose_quantity(found.mean, found.unit, found.why, sign=sign)


def _reference(found: Readiness) -> list[Line]:
    """Say how sure the reference itself is: alignment, anatomy, HLUT, the examiner's own tools."""
    lines = []
    for name, label in (
        ("alignment_displacement_95", "Residual registration"),
        ("overlap", "Same part of the body"),
    ):
        checks = [case.preflight[name] for case in found.cases if name in case.preflight]
        values = [one.value for one in checks if one.value is not None]
        if not checks:
            continue
        lacking = len(checks) - len(values)
        words = (
            f"median {wording.quantity(sorted(values)[len(values) // 2], checks[0].unit)}, from "
            f"{wording.quantity(min(values), checks[0].unit)} to "
            f"{wording.quantity(max(values), checks[0].unit)} in {count(len(values), 'case')}"
            if values
            else "determined in no case"
        )
        more = f"; undetermined in {lacking}" if lacking else ""
        lines.append(Line(label=label, text=f"{words}{more}."))
    days = sorted(
        abs(int(case.strata["scan_interval_days"] or 0))
        for case in found.cases
        if case.strata.get("scan_interval_days") is not None
    )
    lines.append(
        Line(
            label="Anatomy between the scans",
            text=f"{days[0]} to {days[-1]} days apart in {count(len(days), 'case')}."
            if days
            else "Days between the scans are not recorded; what changed meanwhile counts as error.",
        )
    )
    hluts = sorted({_short_digest(text) for case in found.cases for text in case.hluts.values()})
    lines.append(
        Line(
            label="HU to density",
            text=f"One table for both images: {listing(some(hluts, 3))}. Its own error is in both "
            f"doses and in no difference."
            if hluts
            else "No dose was computed, so no table of densities took part.",
        )
    )
    for tool in found.evaluation.instruments:
        if tool.noise_floor:
            told = [f"{name} {value:.2f}" for name, value in sorted(tool.noise_floor.items())]
            lines.append(
                Line(
                    label=f"Segmenter {tool.name}",
                    text=f"Dice against true labels on real CTs: {listing(some(told, 6))}; what "
                    f"lies between that and 1 is its own error.",
                )
            )
    return lines


def _short_digest(text: str) -> str:
    """Return a table's name with the beginning of its digest."""
    name, mark, digest = text.partition("sha256:")
    return f"{name.strip()} ({digest[:8]})" if mark else text


def _comparators(found: Readiness) -> tuple[ShortComparator, ...]:
    return tuple(
        ShortComparator(
            site=row.site,
            measure=wording.measure_title(row.metric, row.region),
            floor=wording.quantity(row.floor, row.unit, "not evaluated"),
            model=wording.quantity(row.model, row.unit, row.why),
            baseline=wording.quantity(row.baseline, row.unit, "not evaluated"),
            improvement=row.why if row.improvement is None else wording.share(row.improvement),
        )
        for row in found.comparison
    )


def _changes(found: Readiness) -> list[Line]:
    """Say which change asks for which examination again."""
    e = found.evaluation
    return [
        Line(
            label="The model (weights, settings, version)",
            text=f"The whole examination under the same lock, and 'qa-suite compare' with "
            f"{e.model.uri}.",
        ),
        Line(
            label="Scanner, coil, sequence or protocol of the source image",
            text="Check-ups of new patients at once; the whole examination with patients of the "
            "new protocol, since the verdict speaks of those named under Whom.",
        ),
        Line(
            label="CT scanner, kernel or tube voltage of the reference; HU to density table",
            text="The dose criteria anew, with the table of that scanner (--hlut).",
        ),
        Line(
            label="Planning system, technique or energy",
            text="The dose criteria anew, with a plan of that kind.",
        ),
        Line(
            label=f"qa-suite {e.code.suite_version}",
            text="'qa-suite judge' with the new version on the old record; measured anew where the "
            "changelog says that a measure changed.",
        ),
    ]


def _provenance(found: Readiness) -> list[Line]:
    e, v = found.evaluation, found.verdict
    code = e.code
    dirty = {True: ", with uncommitted changes", False: "", None: ", changes unknown"}
    cohort = e.cohort
    lines = [
        ("Model", e.model.uri),
        ("Weights SHA-256", e.model.weights_sha256 or "the model carries no weight hash"),
        ("Training sites", ", ".join(e.model.training_sites) or "the model does not say"),
        (
            "Cohort",
            f"{cohort.name}, {wording.direction_text(cohort.direction)}, {cohort.anatomy}, "
            f"{cohort.split}: {count(cohort.patients, 'patient')}, {count(cohort.cases, 'case')}",
        ),
        ("Cohort digest", cohort.digest),
        ("Profile SHA-256", v.profile_sha256),
        (
            "Measured with",
            f"qa-suite {code.suite_version} at {(code.git_commit or 'no commit')[:12]}"
            f"{dirty[code.git_dirty] if code.git_commit else ''}, Python {code.python}",
        ),
        *((f"SHA-256 of {name}", digest) for name, digest in sorted(e.tables_sha256.items())),
    ]
    return [Line(label=label, text=text) for label, text in lines]
