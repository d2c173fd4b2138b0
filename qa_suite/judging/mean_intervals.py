"""The interval of a mean, by the kind of the measure.

Its target is the arithmetic mean over patients. What kind a measure is its registry entry
declares; where the interval holds stands in :mod:`qa_suite.judging.mean_regions`, and where it
does not there is none, with the reason.

- *Event*: exact Clopper-Pearson limits.
- *Signed*: Student's t; where the values are skewed, as far as they reach themselves, since the
  mean lies beyond all of them only where every patient lies on one side of it.
- *Positive*: below, Student's t, which errs to the safe side where values are skewed upwards;
  above, the wider of Student's t and the generalised limit of a log-normal mean, so that the
  interval holds for what lies between normal and log-normal. With a value of exactly nought the
  limit is that of a gamma mean.
- *Bounded*: the distances from either end are positive; each end's limit is the wider of
  Student's t and the generalised limit of a gamma mean, which takes a distance of nought.
- *Count*: the widest of Student's t, the gamma limit and Garwood's exact Poisson limits [1]_ of the
  total, divided by its overdispersion.

References
----------
.. [1] Garwood F (1936), Biometrika 28:437-442.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.core.wording import count, number
from qa_suite.judging.generalised_limits import cube_upper, log_upper
from qa_suite.judging.mean_regions import FEWEST, LEAST_TO_SEE_SKEW, REGIONS, SKEWED_BELOW
from qa_suite.judging.statistics import (
    Interval,
    bare,
    finite_sample,
    proportion_interval,
    t_quantile,
)

Array = NDArray[np.float64]

INSTEAD = "take more patients, their median or a share of patients"


def mean_interval_by_kind(
    values: ArrayLike,
    kind: MeasureKind,
    *,
    confidence: float = 0.95,
    unit: str = "patient",
    least: int = 0,
    lost: int = 0,
) -> Interval:
    """Interval of a mean, two-sided, or none with the reason.

    Parameters
    ----------
    values
        One a patient (or the mean of one a hospital, see ``unit``).
    kind
        Of the measure, with the ends of its range.
    confidence
        Of both sides together.
    unit, least
        What a value is of, and how many of them a mean needs at least, whatever its kind.
    lost
        How many more were asked and have no value. They count to the fewest that a mean needs: a
        loss must not leave undecided what fails without it, and where there is one nothing passes.
    """
    sample = finite_sample(values, confidence)
    n, mean = sample.size, float(sample.mean())
    if kind.kind == "event" and unit == "patient":
        return proportion_interval(float(sample.sum()), n, confidence=confidence)
    method = f"{REGIONS[kind.kind].method} over {count(n, unit)}"
    why = _outside(sample, kind, unit, least, lost)
    if why:
        return bare(mean, n, confidence, method, why=why)
    low, high = _limits(sample, kind, confidence)
    if kind.kind == "signed" and is_skewed(sample):
        low, high = min(low, float(sample.min())), max(high, float(sample.max()))
        skewness = number(float(stats.skew(sample)))
        method += f", as far as the values reach (skewness {skewness})"
    return Interval(
        estimate=mean,
        low=float(max(low, kind.low)),
        high=float(min(high, kind.high)),
        n=n,
        confidence=confidence,
        method=method,
    )


def _limits(sample: Array, kind: MeasureKind, confidence: float) -> tuple[float, float]:
    mean, n = float(sample.mean()), sample.size
    half = t_quantile(confidence, n - 1) * float(sample.std(ddof=1)) / np.sqrt(n)
    low, high, level = mean - half, mean + half, (1 + confidence) / 2
    if kind.kind == "positive":
        distances = sample - kind.low
        above = log_upper if (distances > 0).all() else cube_upper
        return low, max(high, kind.low + above(distances, level))
    if kind.kind in ("bounded", "event"):
        up = kind.low + cube_upper(sample - kind.low, level)
        down = kind.high - cube_upper(kind.high - sample, level)
        return min(low, down), max(high, up)
    if kind.kind == "count":
        least, most = _garwood(sample - kind.low, confidence)
        up = kind.low + max(most, cube_upper(sample - kind.low, level))
        return min(low, kind.low + least), max(high, up)
    return low, high


def _garwood(counts: Array, confidence: float) -> tuple[float, float]:
    """Exact Poisson limits of the total over its overdispersion, a patient."""
    n, mean = counts.size, float(counts.mean())
    tail, normal = (1 - confidence) / 2, float(stats.norm.ppf((1 + confidence) / 2))
    scatter = max(1.0, float(counts.var(ddof=1)) / mean)
    scatter *= (t_quantile(confidence, n - 1) / normal) ** 2
    total = n * mean / scatter
    low = float(stats.chi2.ppf(tail, 2 * total)) / 2
    high = float(stats.chi2.ppf(1 - tail, 2 * total + 2)) / 2
    return low * scatter / n, high * scatter / n


def _outside(sample: Array, kind: MeasureKind, unit: str, least: int, lost: int) -> str:
    """Say why the sample lies where the interval does not hold its promise; empty inside."""
    n, region = sample.size, REGIONS[kind.kind]
    if n + lost < (needed := max(least, region.least)) or n < FEWEST:
        return f"too few for an interval, {n} of {count(needed, unit)} needed"
    spread = float(np.ptp(sample))
    if spread <= 1e-12 * float(np.abs(sample).max()):
        return f"all {count(n, 'value')} are alike, and no spread tells how far their mean is known"
    if region.largest_cv is not None:
        cv, of = _cv(sample, kind)
        if cv > region.largest_cv:
            return (
                f"the values scatter too much for the interval of a mean ({of} by {100 * cv:.0f} % "
                f"of their mean, at most {100 * region.largest_cv:.0f} %): {INSTEAD}"
            )
    return ""


def is_skewed(sample: Array) -> bool:
    """Whether D'Agostino's test finds that values are skewed; of few it is not asked."""
    enough = sample.size >= LEAST_TO_SEE_SKEW
    return enough and float(stats.skewtest(sample).pvalue) < SKEWED_BELOW


def _cv(sample: Array, kind: MeasureKind) -> tuple[float, str]:
    """Coefficient of variation of the values, or of their distances from the nearer end."""
    mean, deviation = float(sample.mean()), float(sample.std(ddof=1))
    if kind.kind == "positive":
        return deviation / (mean - kind.low), "they"
    return deviation / min(mean - kind.low, kind.high - mean), "the distances from the nearer end"
