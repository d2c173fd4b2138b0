"""The estimate of one criterion over one sample, and what censored values leave of it. Pure.

A censored value is never a number in a mean: a mean over one is no estimate at all. It fails
where the mean of the least that the values can be lies wholly above its bound, or of the most
below it, since the true mean lies farther; it never passes. A share and a median are taken twice,
with every censored value at either end of what it can be; the two intervals together hold every
interval that the true values could give, so that an outcome which follows from them does not
depend on what is unknown.

Pooled over at least six hospitals an interval respects the hospital and speaks of hospitals like
these. Over fewer it takes them as strata, each with patients of its own, and speaks of these
alone: with as many patients of each as came, the spread over all patients is at least that within
hospitals, so that the interval of all patients errs to the safe side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import Criterion, Outcome, SpeaksOf
from qa_suite.judging.hospitals import (
    are_sample,
    mean_over_hospitals,
    median_over_hospitals,
    share_over_hospitals,
)
from qa_suite.judging.mean_intervals import mean_interval_by_kind
from qa_suite.judging.outcomes import interval_outcome
from qa_suite.judging.patient_values import Examined, PatientValues
from qa_suite.judging.statistics import Interval, median_interval, proportion_interval

_BOTH_ENDS = ", censored values at both ends of what they can be"
NO_MEAN = "no mean, as it would contain censored values"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate with its interval.

    Parameters
    ----------
    value
        None where it is censored; then ``at_least`` and ``at_most`` say what is known.
    low, high
        Of the interval; None where there is none, infinite where a censored value is unbounded.
    n
        Patients, or sites for a prediction about a new one.
    confidence, method
        Of the interval.
    why
        The reason why there is no interval.
    speaks_of
        Whom the interval speaks of.
    """

    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    low: float | None
    high: float | None
    n: int
    confidence: float
    method: str
    why: str = ""
    speaks_of: SpeaksOf | None = None


def measured(interval: Interval, speaks_of: SpeaksOf | None = None) -> Estimate:
    """Return the estimate of a sample without censored values."""
    return Estimate(
        value=interval.estimate,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        confidence=interval.confidence,
        method=interval.method,
        why=interval.why,
        speaks_of=speaks_of,
    )


def mean_of_censored(
    criterion: Criterion, values: PatientValues, interval: Callable[[str], Interval], n: int
) -> Estimate:
    """Return what a mean over censored values is: nothing, or proven to miss its bound.

    Parameters
    ----------
    criterion, values
        The mean of what.
    interval
        Of what is asked, from what each patient's value can be at the ``low`` or ``high`` end.
    n
        Of whom, where nothing is said.
    """
    none = Estimate(
        value=None,
        low=None,
        high=None,
        n=n,
        confidence=criterion.confidence,
        method=NO_MEAN,
        why=NO_MEAN,
    )
    for end, is_low in (("low", True), ("high", False)):
        if not np.isfinite(values.patient_bounds()[end]).all():
            continue
        found = interval(end)
        if found.low is None or found.high is None:
            continue
        proven = replace(
            none,
            at_least=found.estimate if is_low else None,
            at_most=None if is_low else found.estimate,
            low=found.low if is_low else -np.inf,
            high=np.inf if is_low else found.high,
            n=found.n,
            method=f"{found.method}, of the {'least' if is_low else 'most'} that values can be",
            why="",
        )
        if outcome_of(criterion, proven) == "fail":
            return proven
    return none


def estimate(criterion: Criterion, values: PatientValues) -> Estimate:
    """Estimate a criterion's mean, median or share over a sample with at least one value."""
    sample = _Sample.of(criterion, values)
    if criterion.statistic == "fraction_within":
        found = _share(criterion, values.worst_bounds(criterion.direction), sample)
    elif criterion.statistic == "median":
        found = _median(values.patient_bounds(), sample)
    elif values.censored:
        ends, n = values.patient_bounds(), len(values.measured)
        found = mean_of_censored(criterion, values, lambda end: _mean(ends[end], values, sample), n)
    else:
        found = measured(_mean(values.patient_values(), values, sample))
    return found if found.speaks_of else replace(found, speaks_of=sample.speaks_of)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Of what the sample of a criterion consists.

    ``hospitals`` is each patient's, where they are the sample, else None.
    """

    hospitals: dict[str, str] | None
    speaks_of: SpeaksOf
    confidence: float

    @classmethod
    def of(cls, criterion: Criterion, values: PatientValues) -> _Sample:
        sites = values.patient_hospitals()
        few: SpeaksOf = "these hospitals" if len(values.at_sites) > 1 else "this hospital"
        many = are_sample(list(sites.values()))
        return cls(
            hospitals=sites if many else None,
            speaks_of="hospitals like these" if many else few,
            confidence=criterion.confidence,
        )

    def of_patients(self, patients: pd.Index) -> list[str]:
        """Return the hospital of each patient."""
        assert self.hospitals is not None
        return [self.hospitals[patient] for patient in patients]


def _mean(found: pd.Series, values: PatientValues, sample: _Sample) -> Interval:
    if sample.hospitals is None:
        return mean_interval_by_kind(
            found, values.kind, confidence=sample.confidence, lost=len(values.lost)
        )
    at = sample.of_patients(found.index)
    if values.kind.kind == "event":
        share = share_over_hospitals(found, at, confidence=sample.confidence)
        if share.low is not None:
            return share
    return mean_over_hospitals(found, at, values.kind, confidence=sample.confidence)


def outcome_of(criterion: Criterion, found: Estimate) -> Outcome:
    """Hold an estimate's interval against the bound; undecided where there is none."""
    if found.low is None or found.high is None:
        return "inconclusive"
    return interval_outcome(criterion, found.low, found.high)


def mildest(criterion: Criterion, row: Examined) -> float:
    """Return the best that an examination's true value can be."""
    if criterion.direction == "at_most":
        return row.low
    if criterion.direction == "at_least":
        return row.high
    return float(np.clip(0.0, row.low, row.high))


def gravest(criterion: Criterion, row: Examined) -> float:
    """Return the worst that an examination's true value can be."""
    if criterion.direction == "at_most":
        return row.high
    if criterion.direction == "at_least":
        return row.low
    return max(row.low, row.high, key=abs)


# ---------------------------------------------------------------------------------------
# Shares and medians


def _share(criterion: Criterion, bounds: pd.DataFrame, sample: _Sample) -> Estimate:
    limit = criterion.per_patient_bound
    assert limit is not None
    proven, possible = _met(criterion, bounds, limit)
    low, speaks_of = _proportion(proven, bounds.index, sample)
    if (proven == possible).all():  # what is unknown changes nobody's answer
        return measured(low, speaks_of)
    high, _ = _proportion(possible, bounds.index, sample)
    return Estimate(
        value=None,
        at_least=low.estimate,
        at_most=high.estimate,
        low=low.low,
        high=high.high,
        n=len(bounds),
        confidence=sample.confidence,
        method=low.method + _BOTH_ENDS,
        speaks_of=speaks_of,
    )


def _proportion(
    met: NDArray[np.bool_], patients: pd.Index, sample: _Sample
) -> tuple[Interval, SpeaksOf]:
    """Return the interval of a share of patients, and whom it speaks of.

    Where every patient gave the same answer nothing tells how hospitals differ, and the exact
    interval over the patients speaks of these hospitals alone.
    """
    if sample.hospitals is not None:
        found = share_over_hospitals(
            met, sample.of_patients(patients), confidence=sample.confidence
        )
        if found.low is not None:
            return found, sample.speaks_of
    found = proportion_interval(int(met.sum()), met.size, confidence=sample.confidence)
    return found, "these hospitals" if sample.hospitals is not None else sample.speaks_of


def _met(
    criterion: Criterion, bounds: pd.DataFrame, limit: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each patient whether he is proven to meet a limit, and whether he may."""
    low, high = bounds["low"].to_numpy(), bounds["high"].to_numpy()
    good = {"at_most": (-np.inf, limit), "at_least": (limit, np.inf), "within": (-limit, limit)}
    least, most = good[criterion.direction]
    proven = (low >= least) & (high <= most)
    possible = (high >= least) & (low <= most)
    return proven, possible


def _median(bounds: pd.DataFrame, sample: _Sample) -> Estimate:
    low, high = bounds["low"].to_numpy(), bounds["high"].to_numpy()
    first = _order_statistics(low, bounds.index, sample)
    if (low == high).all():
        return measured(first)
    last = _order_statistics(high, bounds.index, sample)
    same = first.estimate == last.estimate
    return Estimate(
        value=first.estimate if same else None,
        at_least=None if same else _finite(first.estimate),
        at_most=None if same else _finite(last.estimate),
        low=first.low,
        high=last.high,
        n=first.n,
        confidence=sample.confidence,
        method=first.method + _BOTH_ENDS,
        why=first.why,
    )


def _order_statistics(values: NDArray[np.float64], patients: pd.Index, sample: _Sample) -> Interval:
    """Interval of the median of values of which some are infinite: their order is enough."""
    finite = np.abs(values[np.isfinite(values)])
    farthest = float(finite.max()) if finite.size else 1.0
    far = 1 + 4 * farthest  # also half of it, in the mean of two middle values, is beyond
    within = np.clip(values, -far, far)
    if sample.hospitals is None:
        found = median_interval(within, confidence=sample.confidence)
    else:
        at = sample.of_patients(patients)
        found = median_over_hospitals(within, at, confidence=sample.confidence)

    def place(value: float) -> float:
        return value if abs(value) <= farthest else float(np.copysign(np.inf, value))

    return replace(
        found,
        estimate=place(found.estimate),
        low=None if found.low is None else place(found.low),
        high=None if found.high is None else place(found.high),
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
