"""The judge's intervals of a mean for many samples at once.

The same formulas as :mod:`qa_suite.judging.mean_intervals`, to which a test holds them; the
generalised limits are read from a fine table of the judge's own function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.judging.generalised_limits import cube_limit, log_margin
from qa_suite.judging.mean_regions import LEAST_TO_SEE_SKEW, REGIONS, SKEWED_BELOW

Array = NDArray[np.float64]
_POINTS = 120


def limits(
    samples: Array, kind: MeasureKind, *, confidence: float = 0.95
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return low, high and whether there is an interval, for samples of shape (runs, n)."""
    n = samples.shape[1]
    mean, deviation = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    level = (1 + confidence) / 2
    half = stats.t.ppf(level, n - 1) * deviation / np.sqrt(n)
    low, high = mean - half, mean + half
    region = REGIONS[kind.kind]
    decided = (np.ptp(samples, axis=1) > 0) & (n >= region.least)
    above = samples - kind.low
    if kind.kind == "positive":
        zeros = (above <= 0).any(axis=1)
        upper = np.where(zeros, _cube(np.maximum(above, 0), level), _log(above, level))
        high = np.maximum(high, kind.low + upper)
        decided &= deviation <= region.largest_cv * (mean - kind.low)
    elif kind.kind == "bounded":
        high = np.maximum(high, kind.low + _cube(above, level))
        low = np.minimum(low, kind.high - _cube(kind.high - samples, level))
        nearer = np.minimum(mean - kind.low, kind.high - mean)
        decided &= deviation <= region.largest_cv * nearer
    elif kind.kind == "count":
        high = np.maximum(high, kind.low + _cube(above, level))
        least, most = _garwood(above, confidence)
        low, high = np.minimum(low, kind.low + least), np.maximum(high, kind.low + most)
    elif kind.kind == "signed" and n >= LEAST_TO_SEE_SKEW:
        with np.errstate(all="ignore"):
            skewed = stats.skewtest(samples, axis=1).pvalue < SKEWED_BELOW
        low = np.where(skewed, np.minimum(low, samples.min(axis=1)), low)
        high = np.where(skewed, np.maximum(high, samples.max(axis=1)), high)
    return np.maximum(low, kind.low), np.minimum(high, kind.high), decided


def predictions(
    samples: Array, kind: MeasureKind, *, confidence: float = 0.95
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return low, high and whether there is a prediction of a hospital never seen.

    Of samples of shape (runs, hospitals, patients), alike in number: the formula of
    :func:`qa_suite.judging.hospitals.new_site_interval`, to which a test holds it.
    """
    means = samples.mean(axis=2)
    low, high = _predicted(means, confidence)
    decided = (np.ptp(means, axis=1) > 0) & (means > kind.low).all(axis=1)
    decided &= (means < kind.high).all(axis=1)
    with np.errstate(all="ignore"):
        if kind.kind in ("positive", "count"):
            ends = [kind.low + np.exp(e) for e in _predicted(np.log(means - kind.low), confidence)]
        elif kind.kind == "bounded":
            logits = np.log((means - kind.low) / (kind.high - means))
            width = kind.high - kind.low
            ends = [kind.low + width / (1 + np.exp(-e)) for e in _predicted(logits, confidence)]
        else:
            ends = [low, high]
    low, high = np.minimum(low, ends[0]), np.maximum(high, ends[1])
    return np.maximum(low, kind.low), np.minimum(high, kind.high), decided


def _predicted(means: Array, confidence: float) -> tuple[Array, Array]:
    k = means.shape[1]
    half = stats.t.ppf((1 + confidence) / 2, k - 1) * np.sqrt(1 + 1 / k) * means.std(axis=1, ddof=1)
    return means.mean(axis=1) - half, means.mean(axis=1) + half


def _log(values: Array, level: float) -> Array:
    logs = np.log(np.maximum(values, 1e-300))
    deviation = logs.std(axis=1, ddof=1)
    found = _table(log_margin, values.shape[1], level, 1e-4, 12.0)(deviation)
    return np.exp(np.minimum(logs.mean(axis=1) + found, 700))


def _cube(values: Array, level: float) -> Array:
    roots = np.cbrt(values)
    deviation = np.maximum(roots.std(axis=1, ddof=1), 1e-12)
    ratio = roots.mean(axis=1) / deviation
    found = _table(cube_limit, values.shape[1], level, 1e-2, 1e4)(ratio)
    return deviation**3 * found


def _table(
    function: Callable[..., Array], n: int, level: float, low: float, high: float
) -> Callable[[Array], Array]:
    grid, values = _tabled(function, n, level, low, high)
    return lambda x: np.exp(np.interp(np.log(np.clip(x, low, high)), grid, values))


@lru_cache(maxsize=64)
def _tabled(
    function: Callable[..., Array], n: int, level: float, low: float, high: float
) -> tuple[Array, Array]:
    points = np.geomspace(low, high, _POINTS)
    return np.log(points), np.log(function(points, n, level))


def _garwood(counts: Array, confidence: float) -> tuple[Array, Array]:
    n, mean = counts.shape[1], np.maximum(counts.mean(axis=1), 1e-12)
    level = (1 + confidence) / 2
    scatter = np.maximum(1, counts.var(axis=1, ddof=1) / mean)
    scatter *= (stats.t.ppf(level, n - 1) / stats.norm.ppf(level)) ** 2
    total = n * mean / scatter
    low = stats.chi2.ppf(1 - level, 2 * total) / 2
    return low * scatter / n, stats.chi2.ppf(level, 2 * total + 2) / 2 * scatter / n
