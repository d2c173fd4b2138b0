"""How each site differs from the sites that the model was trained on.

A site outside the training is compared with the pooled held-out patients of the training
sites; a training site with those of the *other* training sites (leave one out). Where the
training sites are not known (a vendor's black box) every site is compared with all others.
The comparison is Welch's difference of means over patients; Holm's procedure over every gap
of one call keeps the chance of naming any site wrongly at ``1 - confidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.measure_kinds import UNKNOWN_KIND, MeasureKind
from qa_suite.core.records import CaseRecord, SiteGap
from qa_suite.core.wording import (
    count,
    listing,
    measure_name,
    named_cases,
    number,
    quantity,
    suffix,
)
from qa_suite.judging.collect import collect
from qa_suite.judging.comparisons import holm_levels, welch_interval, welch_p_value
from qa_suite.judging.estimates import NO_MEAN
from qa_suite.judging.mean_intervals import mean_interval_by_kind
from qa_suite.judging.patient_values import Measure, PatientValues
from qa_suite.judging.statistics import Interval
from qa_suite.judging.tables import require_sound_tables

Better = Literal["lower", "higher", "zero"]


@dataclass(frozen=True, kw_only=True)
class GapMeasure:
    """A measure to compare between sites, and which way is better."""

    measure: Measure
    better: Better
    kind: MeasureKind = UNKNOWN_KIND


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """One site against its reference, before the levels are shared out.

    ``here`` and ``there`` are one value a patient; nobody stands on both sides. Where a
    patient of either is censored there is no mean to compare.
    """

    better: Better
    site: PatientValues
    here: NDArray[np.float64]
    there: NDArray[np.float64]
    reference_name: str
    name: str
    in_training: bool
    censored_there: int

    @property
    def comparable(self) -> bool:
        return self.has_means and len(self.here) >= 2 and len(self.there) >= 2

    @property
    def has_means(self) -> bool:
        return not self.site.censored and not self.censored_there


def site_gaps(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    measures: Sequence[GapMeasure],
    *,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
    sound: bool = False,
) -> tuple[SiteGap, ...]:
    """Estimate every site, and its gap to the training sites.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation; cases that were excluded from judging left out of both
        or of ``cases`` alone.
    measures
        What to compare, and which way is better.
    training_sites
        Where the model was trained; empty if that is not known.
    confidence
        Of each site's interval, and family-wise of all gaps of this call together: a gap's
        interval stands at its Holm level and excludes zero exactly where Holm rejects.
    sound
        Whether the tables were found to be sound already.

    Returns
    -------
    tuple of SiteGap
        By measure in the order given, then by site.

    Raises
    ------
    Problems
        If the tables contradict themselves or hold a value that is not finite.
    """
    kept = {case.case for case in cases}
    measurements = measurements[measurements["case"].isin(kept)]
    if not sound:
        require_sound_tables(measurements, cases)
    comparisons = [
        comparison
        for item in measures
        for comparison in _comparisons(
            replace(collect(measurements, cases, item.measure), kind=item.kind),
            item.better,
            frozenset(training_sites),
        )
    ]
    testable = [c for c in comparisons if c.comparable]
    levels = holm_levels([welch_p_value(c.here, c.there) for c in testable], confidence=confidence)
    by_comparison = {id(c): level for c, level in zip(testable, levels, strict=True)}
    return tuple(_gap(c, confidence, by_comparison.get(id(c)), len(testable)) for c in comparisons)


def _comparisons(
    values: PatientValues, better: Better, training: frozenset[str]
) -> list[_Comparison]:
    result = []
    for site in values.sites:
        home = site in training
        if not training:
            others, name = frozenset(values.sites) - {site}, "the other sites"
        elif home:
            others, name = training - {site}, "the other training sites"
        else:
            others, name = training, "the training sites"
        own, elsewhere = values.at(site), values.at(*others)
        here, there = own.patient_values(), elsewhere.patient_values()
        result.append(
            _Comparison(
                better=better,
                site=own,
                here=here.to_numpy(),
                there=there[~there.index.isin(here.index)].to_numpy(),
                reference_name=name,
                name=site,
                in_training=home,
                censored_there=len(elsewhere.censored - own.patients),
            )
        )
    return result


def _gap(comparison: _Comparison, confidence: float, level: float | None, family: int) -> SiteGap:
    site = comparison.site
    here, there = comparison.here, comparison.there
    has_mean = len(here) > 0 and not site.censored
    own = mean_interval_by_kind(here, site.kind, confidence=confidence) if has_mean else None
    gap = None
    if level is not None:
        gap = welch_interval(here, there, confidence=level)
    elif comparison.has_means and len(here) and len(there):
        gap = welch_interval(here, there, confidence=confidence)
    shifted = _shifted(comparison, gap) if level is not None and gap is not None else None
    method = own.method if own else NO_MEAN if site.censored else "no patient with a value"
    if gap is not None:
        method += f"; gap: {gap.method}"
    if level is not None:
        method += f", Holm over {count(family, 'gap')} (at {100 * level:.3g} %)"
    return SiteGap(
        metric=site.measure.metric,
        region=site.measure.region,
        variant=site.measure.variant,
        unit=site.unit or "",
        site=comparison.name,
        in_training=comparison.in_training,
        patients=len(site.measured),
        censored=len(site.censored),
        missing=len(site.missing),
        estimate=own.estimate if own else None,
        low=own.low if own else None,
        high=own.high if own else None,
        gap=gap.estimate if gap else None,
        gap_low=gap.low if gap else None,
        gap_high=gap.high if gap else None,
        shifted=shifted,
        method=method,
        sentence=_sentence(comparison, own, gap, shifted),
    )


def _shifted(comparison: _Comparison, gap: Interval) -> bool:
    """Say whether the gap's interval excludes zero to the worse side."""
    if gap.low is None or gap.high is None:
        raise ValueError("a comparable site has an interval")
    if gap.low <= 0 <= gap.high:
        return False
    if comparison.better == "zero":
        return bool(abs(comparison.here.mean()) > abs(comparison.there.mean()))
    return gap.low > 0 if comparison.better == "lower" else gap.high < 0


def _sentence(
    comparison: _Comparison, own: Interval | None, gap: Interval | None, shifted: bool | None
) -> str:
    values, unit = comparison.site, comparison.site.unit or ""
    measure = values.measure
    what = f"{measure_name(measure.metric, measure.region, measure.variant)} at {comparison.name}"
    missing = values.reasons("refused", "lost", "absent")
    tail = f" No value: {named_cases(missing)}." if missing else ""
    if values.censored:
        some_known = f"{len(values.censored)} of {count(len(values.measured), 'patient')}"
        return f"{what}: {NO_MEAN} of {some_known}.{tail}"
    if own is None:
        return f"{what}: no patient has a value.{tail}"
    if own.low is None or own.high is None:
        return (
            f"{what}: {quantity(own.estimate, unit)} (no interval: {own.why}, n = {own.n})"
            f"{_against(comparison, gap, shifted, unit)}.{tail}"
        )
    spread = f"{100 * own.confidence:.4g} % CI {number(own.low)} to {number(own.high)}"
    text = f"{what}: {quantity(own.estimate, unit)} ({spread}, n = {own.n})"
    return f"{text}{_against(comparison, gap, shifted, unit)}.{tail}"


def _against(comparison: _Comparison, gap: Interval | None, shifted: bool | None, unit: str) -> str:
    name = comparison.reference_name
    if comparison.censored_there:
        return f"; {name} have censored values, and so no mean to compare with"
    if gap is None:
        return f"; no patient of {name} has a value to compare with"
    if gap.low is None or gap.high is None:
        few = [
            f"{count(len(sample), 'patient')} at {where}"
            for sample, where in ((comparison.here, comparison.name), (comparison.there, name))
            if len(sample) < 2
        ]
        return f"; too few for a comparison ({listing(few)})"
    more = "more" if gap.estimate > 0 else "less"
    text = f", {quantity(abs(gap.estimate), unit)} {more} than at {name}"
    text += f" (gap interval {number(gap.low)} to {number(gap.high)}{suffix(unit)})"
    if shifted:
        return f"{text}: worse than there"
    if gap.low <= 0 <= gap.high:
        return f"{text}: no shift shown"
    return f"{text}: not worse than there"
