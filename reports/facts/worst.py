"""The site and the stratum that fare worst, measured by how much of their bounds they use up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import pandas as pd

from qa_suite.core.dimensions import DIMENSIONS, SITE, Cell, Scan, cells_of
from qa_suite.core.records import CaseRecord, Criterion, Evaluation, Finding, Verdict
from qa_suite.core.wording import count, listing, some
from reports.facts import wording
from reports.facts.patients import over_patients

FEWEST_OF_A_STRATUM = 5
"""Patients that a stratum holds at least to be named: fewer are single patients, shown as such."""


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """The worst stratum but the sites: which, in what, and how it is said.

    ``name`` is empty where none can be named; ``text`` says why.
    """

    text: str
    name: str = ""
    measure: str = ""
    estimate: float | None = None
    bound: float | None = None
    unit: str = ""
    patients: int = 0


def used_up(finding: Finding) -> float | None:
    """Return how much of its bound an estimate uses up: above 1 it is missed.

    None where there is no estimate, or the bound is no scale to measure by.
    """
    if finding.estimate is None:
        return None
    return used_of(finding.criterion, finding.estimate)


def used_of(criterion: Criterion, estimate: float) -> float | None:
    """Return how much of a criterion's bound a value uses up; None where it is no scale."""
    c = criterion
    if wording.is_share(c) or c.direction == "at_least":
        room = 1 - c.bound if c.unit in ("1", "") and c.bound < 1 else abs(c.bound)
        return 1 + (c.bound - estimate) / room if room > 0 else None
    value = abs(estimate) if c.direction == "within" else estimate
    return value / c.bound if c.bound > 0 else None


def worst_site(verdict: Verdict) -> str:
    """Name the site with most bounds missed, and how many; of none the one nearest to a bound."""
    missed: dict[str, list[str]] = {}
    for one in verdict.findings:
        if one.outcome == "fail":
            for site in one.sites or ((one.scope_name,) if one.scope_name != "pooled" else ()):
                missed.setdefault(site, []).append(one.criterion.name)
    if not missed:
        of_sites = [f for f in verdict.findings if f.criterion.scope == "each_site"]
        if not of_sites:
            return "No criterion asks site by site."
        return f"No site misses a bound.{_nearest(of_sites)}"
    site = min(missed, key=lambda name: (-len(missed[name]), name))
    names = listing(some(list(dict.fromkeys(missed[site])), 4))
    bounds = count(len(missed[site]), "bound")
    return f"{site} misses {bounds}: {names}."


def _nearest(findings: Sequence[Finding]) -> str:
    """Say which site uses up most of a bound; nothing where no site has an estimate."""
    known = [(used, one) for one in findings if (used := used_up(one)) is not None]
    if not known:
        return ""
    _, one = min(known, key=lambda each: (-each[0], each[1].scope_name, each[1].criterion.name))
    bound = wording.bound_text(one.criterion.direction, wording.bound_value(one.criterion))
    return (
        f" Nearest to one: {one.scope_name}, {one.criterion.name} {wording.estimate_text(one)} "
        f"(bound {bound})."
    )


def worst_stratum(
    judged: pd.DataFrame, cases: Sequence[CaseRecord], evaluation: Evaluation, verdict: Verdict
) -> Stratum:
    """Return the stratum whose patients use up most of a bound in their mean or median.

    Scanners, protocols, sex, age and whatever else is recorded of the judged cases divide the
    patients; sites are told by :func:`worst_site`. It describes and tests nothing: with so many
    strata the worst one is bad by chance too.

    Parameters
    ----------
    judged
        The measurements, excluded cases left out.
    cases, evaluation, verdict
        The rest of the record.
    """
    asked = [c for c in verdict.profile.criteria if _of_a_middle(c)]
    if not asked:
        return Stratum(text="No criterion bounds a mean or median that strata could be held to.")
    scans = [
        Scan(
            case=case,
            anatomy=evaluation.cohort.anatomy,
            source=evaluation.cohort.direction.partition("->")[0],
        )
        for case in cases
        if case.status == "evaluated" and case.case not in verdict.excluded
    ]
    cells = [
        cell
        for cell in cells_of(scans, [one for one in DIMENSIONS.values() if one.key != SITE])
        if cell.recorded and len(cell.cases) < len(scans)
    ]
    if not cells:
        return Stratum(text="Nothing recorded but the site divides the patients.")
    found = [
        (used, cells.index(cell), criterion, estimate, patients)
        for criterion in asked
        for cell, estimate, patients in _middles(judged, criterion, cells)
        if (used := used_of(criterion, estimate)) is not None
    ]
    if not found:
        return Stratum(
            text=f"No stratum but the site holds {FEWEST_OF_A_STRATUM} patients with a value."
        )
    used, place, c, estimate, patients = min(found, key=lambda one: (-one[0], one[1], one[2].name))
    name = cells[place].name
    middle = wording.STATISTIC_WORDS[c.statistic]
    bound = wording.bound_text(c.direction, wording.bound_value(c))
    word = "beyond" if used > 1 else "within"
    return Stratum(
        name=name,
        measure=c.name,
        estimate=estimate,
        bound=c.bound,
        unit=c.unit,
        patients=patients,
        text=f"{name} ({count(patients, 'patient')}): {c.name}, {middle} "
        f"{wording.quantity(estimate, c.unit)}, {word} the bound {bound}. Described, not tested; "
        f"an audit tests strata.",
    )


def _of_a_middle(criterion: Criterion) -> bool:
    return criterion.statistic in ("mean", "median") and criterion.scope in ("pooled", "each_site")


def _middles(
    judged: pd.DataFrame, c: Criterion, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, float, int]]:
    """Yield each stratum with its mean or median and its number of patients."""
    rows = judged[
        (judged["metric"] == c.metric)
        & (judged["region"] == c.region)
        & (judged["variant"] == c.variant)
    ]
    for cell in cells:
        values = over_patients(rows[rows["case"].isin(cell.cases)].itertuples(index=False))
        if len(values) < FEWEST_OF_A_STRATUM or any(value.censored for value in values):
            continue
        numbers = [value.low for value in values]
        middle = fmean(numbers) if c.statistic == "mean" else float(median(numbers))
        if math.isfinite(middle):
            yield cell, middle, len(values)
