"""The estimate of one criterion over one sample, and what censored values leave of it. Pure.

A censored value is never a number in a mean: a mean over one is no estimate at all. A share and
a median are taken twice, with every censored value at either end of what it can be; the two
intervals together hold every interval that the true values could give, so that an outcome
which follows from them does not depend on what is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import Criterion, Outcome
from qa_suite.judging.outcomes import interval_outcome
from qa_suite.judging.patient_values import Examined, PatientValues
from qa_suite.judging.statistics import (
    Interval,
    mean_interval,
    median_interval,
    proportion_interval,
)

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
    """

    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    low: float | None
    high: float | None
    n: int
    confidence: float
    method: str


def measured(interval: Interval) -> Estimate:
    """Return the estimate of a sample without censored values."""
    return Estimate(
        value=interval.estimate,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        confidence=interval.confidence,
        method=interval.method,
    )


def no_mean(criterion: Criterion, n: int) -> Estimate:
    """Return what a mean over censored values is: nothing."""
    return Estimate(
        value=None, low=None, high=None, n=n, confidence=criterion.confidence, method=NO_MEAN
    )


def estimate(criterion: Criterion, values: PatientValues) -> Estimate:
    """Estimate a criterion's mean, median or share over a sample with at least one value."""
    confidence = criterion.confidence
    if criterion.statistic == "fraction_within":
        return _share(criterion, values.worst_bounds(criterion.direction))
    if criterion.statistic == "median":
        return _median(values.patient_bounds(), confidence)
    if values.censored:
        return no_mean(criterion, len(values.measured))
    return measured(mean_interval(values.patient_values(), confidence=confidence))


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


def _share(criterion: Criterion, bounds: pd.DataFrame) -> Estimate:
    limit = criterion.per_patient_bound
    assert limit is not None
    n, confidence = len(bounds), criterion.confidence
    fewest, most = _met(criterion, bounds, limit)
    low = proportion_interval(fewest, n, confidence=confidence)
    if fewest == most:  # what is unknown changes nobody's answer
        return measured(low)
    high = proportion_interval(most, n, confidence=confidence)
    return Estimate(
        value=None,
        at_least=low.estimate,
        at_most=high.estimate,
        low=low.low,
        high=high.high,
        n=n,
        confidence=confidence,
        method=low.method + _BOTH_ENDS,
    )


def _met(criterion: Criterion, bounds: pd.DataFrame, limit: float) -> tuple[int, int]:
    """Count the patients who are proven to meet a limit, and those who may."""
    low, high = bounds["low"].to_numpy(), bounds["high"].to_numpy()
    good = {"at_most": (-np.inf, limit), "at_least": (limit, np.inf), "within": (-limit, limit)}
    least, most = good[criterion.direction]
    proven = (low >= least) & (high <= most)
    possible = (high >= least) & (low <= most)
    return int(proven.sum()), int(possible.sum())


def _median(bounds: pd.DataFrame, confidence: float) -> Estimate:
    low, high = bounds["low"].to_numpy(), bounds["high"].to_numpy()
    if (low == high).all():
        return measured(median_interval(low, confidence=confidence))
    first = _order_statistics(low, confidence)
    last = _order_statistics(high, confidence)
    same = first.estimate == last.estimate
    return Estimate(
        value=first.estimate if same else None,
        at_least=None if same else _finite(first.estimate),
        at_most=None if same else _finite(last.estimate),
        low=first.low,
        high=last.high,
        n=first.n,
        confidence=confidence,
        method=first.method + _BOTH_ENDS,
    )


def _order_statistics(values: NDArray[np.float64], confidence: float) -> Interval:
    """Interval of the median of values of which some are infinite: their order is enough."""
    finite = np.abs(values[np.isfinite(values)])
    farthest = float(finite.max()) if finite.size else 1.0
    far = 1 + 4 * farthest  # also half of it, in the mean of two middle values, is beyond
    found = median_interval(np.clip(values, -far, far), confidence=confidence)

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
