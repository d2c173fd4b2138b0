"""One measure over the patients and by site: a value each, or what is known of a censored one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import pandas as pd

from qa_suite.core.records import Criterion, Evaluation, Verdict
from qa_suite.core.wording import brief, number, suffix
from reports.facts.wording import without_value

SHOWN: Final = ("ok", "censored")
"""Status of the rows that say something of a value."""


@dataclass(frozen=True, kw_only=True)
class PatientValue:
    """One patient: the mean of the examinations, or between what it lies.

    ``cases`` names them. ``low`` and ``high`` are alike where every examination was measured,
    and infinite to the side that nothing is known of.
    """

    cases: str
    low: float
    high: float

    @property
    def censored(self) -> bool:
        """Whether only bounds are known."""
        return self.low != self.high

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """At least and at most."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return low, high

    @property
    def known(self) -> float:
        """The value, or the bound that is known of it: where it is drawn."""
        low, high = self.bounds
        return self.low if low is not None else float(high or 0.0)

    def text(self, unit: str = "") -> str:
        """Write it with its unit: ``9.81 mm``, ``≥ 10 mm``."""
        said = brief(*self.bounds) if self.censored else number(self.low)
        return f"{said}{suffix(unit)}".replace(" ", "\N{NO-BREAK SPACE}")

    def mildest(self, direction: str) -> float:
        """Return how bad it is proven to be: larger is worse; ``direction`` is the better side."""
        if direction == "zero":
            return abs(min(max(0.0, self.low), self.high))
        return self.low if direction == "lower" else -self.high


def over_patients(rows: Iterable[Any]) -> list[PatientValue]:
    """Average each patient's examinations; patients in the order of their names.

    Parameters
    ----------
    rows
        With the columns of :class:`~qa_suite.core.records.Measurement` as attributes, of one
        measure.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if row.status in SHOWN:
            found[str(row.patient)].append(row)
    return [
        PatientValue(
            cases=", ".join(sorted(str(row.case) for row in mine)),
            low=fmean(_end(row, "at_least", -math.inf) for row in mine),
            high=fmean(_end(row, "at_most", math.inf) for row in mine),
        )
        for _, mine in sorted(found.items())
    ]


def worst_patient(values: Sequence[PatientValue], direction: str) -> PatientValue | None:
    """Return the patient who is proven the worst; None without a better side, or all alike.

    Equally bad ones are told apart by being censored, and then by name, so that the same
    record names the same patient.
    """
    alike = len(values) > 1 and len({(v.low, v.high) for v in values}) == 1
    if direction not in ("lower", "higher", "zero") or not values or alike:
        return None
    return min(values, key=lambda v: (-v.mildest(direction), not v.censored, v.cases))


def range_text(values: Sequence[PatientValue], unit: str) -> str:
    """Write from where to where the values lie: ``from 1.2 to ≥ 10 mm``."""
    low, high = min(values, key=lambda v: v.low), max(values, key=lambda v: v.high)
    return f"from {low.text()} to {high.text(unit)}"


def censored_text(values: Sequence[PatientValue]) -> str:
    """Say how many patients are censored; empty where none is."""
    count = sum(value.censored for value in values)
    return f"{count} of {len(values)} censored" if count else ""


def _end(row: Any, side: str, otherwise: float) -> float:
    if row.status == "ok":
        return float(row.value)
    bound: float | None = getattr(row, side)
    return otherwise if bound is None or math.isnan(bound) else float(bound)


# -------------------------------------------------------------------------------------------------
# The patients of each site, of one measure


STANDARD_PLOTS = (("mae", "body"), ("me", "body"), ("mae", "bone"), ("dice", "seg:Bone"))
"""What the distributions always show; every other measure of the profile follows."""


@dataclass(frozen=True, kw_only=True)
class SiteValues:
    """One measure of the patients of one site, and the cases without it: (case, what is said)."""

    site: str
    in_training: bool
    values: tuple[PatientValue, ...]
    without: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One measure over all sites, with the bounds that the profile sets on it."""

    metric: str
    region: str
    variant: str
    unit: str
    criteria: tuple[Criterion, ...]
    sites: tuple[SiteValues, ...]


def distributions(
    table: pd.DataFrame, evaluation: Evaluation, verdict: Verdict
) -> tuple[Distribution, ...]:
    """Arrange the standard measures, those bounded and those described by the profile.

    ``table`` holds the measurements to show, excluded cases left out.
    """
    judged = [(c.metric, c.region) for c in verdict.profile.criteria]
    described = [(d.metric, d.region) for d in verdict.profile.describe]
    plots = []
    for metric, region in dict.fromkeys((*STANDARD_PLOTS, *judged, *described)):
        criteria = tuple(
            c for c in verdict.profile.criteria if (c.metric, c.region) == (metric, region)
        )
        rows = table[(table["metric"] == metric) & (table["region"] == region)]
        variants = dict.fromkeys(c.variant for c in criteria)
        variants |= dict.fromkeys(
            d.variant for d in verdict.profile.describe if (d.metric, d.region) == (metric, region)
        )
        for variant in variants or sorted(set(rows["variant"]))[:1]:
            chosen = rows[rows["variant"] == variant]
            if chosen.empty:
                continue
            plots.append(
                Distribution(
                    metric=metric,
                    region=region,
                    variant=variant,
                    unit=str(chosen["unit"].iloc[0]),
                    criteria=tuple(c for c in criteria if c.variant == variant),
                    sites=tuple(
                        _site_values(chosen[chosen["site"] == site], site, evaluation)
                        for site in evaluation.cohort.sites
                    ),
                )
            )
    return tuple(plots)


def _site_values(rows: pd.DataFrame, site: str, evaluation: Evaluation) -> SiteValues:
    """Arrange one site's patients; several examinations of a patient show as their mean."""
    missing = rows[~rows["status"].isin(SHOWN)]
    values = over_patients(rows.itertuples(index=False))
    said = [(str(row.case), without_value(row)) for row in missing.itertuples(index=False)]
    return SiteValues(
        site=site,
        in_training=site in evaluation.model.training_sites,
        values=tuple(sorted(values, key=lambda value: (value.known, value.cases))),
        without=tuple(sorted(said)),
    )


def over_one_site(plot: Distribution, better: str) -> tuple[str, PatientValue] | None:
    """Return site and patient of the worst over all sites; None where nobody is worst."""
    everybody = [(site.site, value) for site in plot.sites for value in site.values]
    worst = worst_patient([value for _, value in everybody], better)
    return next(((site, value) for site, value in everybody if value is worst), None)
