"""Two groups of patients, many such questions together, and equivalence.

References
----------
.. [1] Welch BL (1947), Biometrika 34:28-35.
.. [2] Holm S (1979), Scand J Stat 6:65-70.
.. [3] Schuirmann DJ (1987), J Pharmacokinet Biopharm 15:657-680 (two one-sided tests).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count
from qa_suite.judging.statistics import Interval, around, bare, finite_sample, t_quantile


def welch_interval(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Welch's interval for the difference of two means, ``mean(a) - mean(b)`` [1]_.

    The two samples may differ in spread and size; no interval where one has fewer than two
    patients.
    """
    first, second = finite_sample(a, confidence), finite_sample(b, confidence)
    n = first.size + second.size
    difference = float(first.mean() - second.mean())
    method = f"Welch t, {first.size} against {count(second.size, 'patient')}"
    if min(first.size, second.size) < 2:
        return bare(difference, n, confidence, method, why="one patient on one side")
    error, freedom = _welch_error(first, second)
    half = t_quantile(confidence, freedom) * error
    return around(difference, half, n, confidence, method)


def welch_p_value(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of Welch's t test; the smallest level whose interval excludes zero."""
    first, second = finite_sample(a, 0.95), finite_sample(b, 0.95)
    if min(first.size, second.size) < 2:
        raise InputError("Welch's test needs two patients in each group.")
    error, freedom = _welch_error(first, second)
    difference = abs(float(first.mean() - second.mean()))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(difference / error, freedom))


def holm_p_values(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p values, in the order given [2]_.

    Rejecting those at or below alpha keeps the chance of any false rejection at or below
    alpha, whatever the dependence between the tests.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(_ranked(p_values)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def holm_levels(p_values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, ...]:
    """Confidence level of each question's interval under Holm's procedure [2]_.

    An interval at its level excludes the null value exactly where Holm rejects: the k-th
    smallest p value of m is held against ``alpha / (m - k + 1)``, and all that follow the
    first one kept are held against that one's level.
    """
    alpha, m = 1 - confidence, len(p_values)
    levels = [0.0] * m
    level, rejecting = alpha, True
    for rank, index in enumerate(_ranked(p_values)):
        if rejecting:
            level = alpha / (m - rank)
            rejecting = p_values[index] <= level
        levels[index] = 1 - level
    return tuple(levels)


def tost_p_value(values: ArrayLike, *, low: float, high: float) -> float:
    """P value of two one-sided t tests that the mean lies between ``low`` and ``high`` [3]_.

    At level alpha it rejects exactly where the two-sided ``1 - 2 alpha`` interval of
    :func:`.statistics.mean_interval` lies within the bounds; a criterion ``within`` at 95 %
    confidence is therefore an equivalence test at 2.5 %.
    """
    sample = finite_sample(values, 0.95)
    if sample.size < 2 or not low < high:
        raise InputError(
            f"An equivalence test needs two patients and ordered bounds, got "
            f"{count(sample.size, 'patient')} and bounds {low} and {high}."
        )
    error = float(sample.std(ddof=1)) / np.sqrt(sample.size)
    mean = float(sample.mean())
    if error == 0:
        return 0.0 if low < mean < high else 1.0
    freedom = sample.size - 1
    above_low = stats.t.sf((mean - low) / error, freedom)
    below_high = stats.t.cdf((mean - high) / error, freedom)
    return float(max(above_low, below_high))


# ---------------------------------------------------------------------------------------
# Parts


def _welch_error(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """Return the difference's standard error and Welch-Satterthwaite degrees of freedom."""
    va, vb = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    if va + vb == 0:
        return 0.0, float(a.size + b.size - 2)
    # Shares first: squares of tiny variances would underflow.
    share = va / (va + vb)
    freedom = 1 / (share**2 / (a.size - 1) + (1 - share) ** 2 / (b.size - 1))
    return float(np.sqrt(va + vb)), freedom


def _ranked(p_values: Sequence[float]) -> list[int]:
    if any(not 0 <= p <= 1 for p in p_values):
        raise InputError(f"P values lie between 0 and 1, got {list(p_values)}.")
    return sorted(range(len(p_values)), key=lambda index: p_values[index])
