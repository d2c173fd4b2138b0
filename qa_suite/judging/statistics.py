"""Intervals with the patient as the unit of inference.

Voxels, slices and repeated examinations of one patient are not independent; patients are.
Every function here takes one value a patient (see :func:`per_patient`) and refuses NaN,
infinity and the empty sample instead of stepping over them. All intervals are two-sided at
the stated confidence unless their name says otherwise.

References
----------
.. [1] Clopper CJ, Pearson ES (1934), Biometrika 26:404-413.
.. [2] Welch BL (1947), Biometrika 34:28-35.
.. [3] Efron B (1987), J Am Stat Assoc 82:171-185 (BCa).
.. [4] Holm S (1979), Scand J Stat 6:65-70.
.. [5] Hahn GJ, Meeker WQ (1991), Statistical Intervals, Wiley: order-statistic interval of
   the median (5.2), prediction interval for one future observation (4.7).
.. [6] Schuirmann DJ (1987), J Pharmacokinet Biopharm 15:657-680 (two one-sided tests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qa_suite.core.errors import InputError

Side = Literal["two", "lower", "upper"]
Estimator = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and how far it can be trusted.

    ``low`` and ``high`` are None where the sample is too small for any interval at this
    confidence; ``n`` counts patients (sites, for a prediction about a new site).
    """

    estimate: float
    low: float | None
    high: float | None
    n: int
    confidence: float
    method: str


# ---------------------------------------------------------------------------------------
# From examinations to patients


def per_patient(values: pd.DataFrame, *, column: str = "value") -> pd.Series:
    """Return one value a patient: the mean over the patient's examinations.

    ``values`` has one row an examination, with the columns ``patient`` and ``column``; the
    result is indexed and sorted by patient.

    Raises
    ------
    InputError
        If a value is missing, NaN or infinite, or a patient has no name.
    """
    if values["patient"].isna().any():
        raise InputError("A measurement without a patient cannot be counted.")
    found: dict[str, list[float]] = {}
    for patient, value in zip(values["patient"], values[column].astype("float64"), strict=True):
        found.setdefault(str(patient), []).append(value)
    return patient_means(found)


def patient_means(values: Mapping[str, Sequence[float]]) -> pd.Series:
    """Average each patient's values; indexed and sorted by patient, and refusing NaN."""
    bad = sorted(patient for patient, found in values.items() if not np.isfinite(found).all())
    if bad:
        raise InputError(
            f"The values of {', '.join(bad)} are not finite numbers; NaN is never averaged."
        )
    patients = sorted(values)
    means = [float(np.mean(values[patient])) for patient in patients]
    return pd.Series(means, index=pd.Index(patients, name="patient"), dtype="float64")


# ---------------------------------------------------------------------------------------
# One sample


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Student's t interval of a mean; no interval below two patients."""
    sample = _sample(values, confidence)
    n, mean = sample.size, float(sample.mean())
    method = f"Student t over {n} patients"
    if n < 2:
        return _bare(mean, n, confidence, method)
    half = _t_quantile(confidence, n - 1) * float(sample.std(ddof=1)) / np.sqrt(n)
    return _around(mean, half, n, confidence, method)


def bootstrap_mean_interval(
    values: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 9999
) -> Interval:
    """BCa bootstrap interval of a mean, patients resampled; for skewed values [3]_."""
    sample = _sample(values, confidence)
    return _bca((sample,), _mean, float(sample.mean()), rng, confidence, resamples)


def median_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Exact order-statistic interval of a median, free of any distribution [5]_.

    The interval is ``[x_(d), x_(n+1-d)]`` with the largest ``d`` whose binomial tail
    ``P(B < d)``, B ~ Bin(n, 1/2), does not exceed half of ``1 - confidence``. Its coverage is
    at least the confidence; below six patients there is no such interval at 95 %.
    """
    sample = np.sort(_sample(values, confidence))
    n = sample.size
    tails = stats.binom.cdf(np.arange(n), n, 0.5)
    depth = int(np.searchsorted(tails, (1 - confidence) / 2, side="right"))
    method = f"exact order statistics over {n} patients"
    if depth < 1:
        return _bare(float(np.median(sample)), n, confidence, method)
    return Interval(
        estimate=float(np.median(sample)),
        low=float(sample[depth - 1]),
        high=float(sample[n - depth]),
        n=n,
        confidence=confidence,
        method=method,
    )


def proportion_interval(
    successes: int, n: int, *, confidence: float = 0.95, side: Side = "two"
) -> Interval:
    """Exact Clopper-Pearson limits of a proportion [1]_.

    ``side`` is ``"two"``, ``"lower"`` for a lower limit (high is 1) or ``"upper"`` (low is 0);
    a one-sided limit puts all of ``1 - confidence`` on its side.
    """
    _check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} of {n} patients is not a proportion.")
    tail = (1 - confidence) / 2 if side == "two" else 1 - confidence
    low, high = 0.0, 1.0
    if side != "upper" and successes > 0:
        low = float(stats.beta.ppf(tail, successes, n - successes + 1))
    if side != "lower" and successes < n:
        high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    sides = {"two": "", "lower": ", lower limit", "upper": ", upper limit"}[side]
    method = f"Clopper-Pearson over {n} patients{sides}"
    return Interval(
        estimate=successes / n, low=low, high=high, n=n, confidence=confidence, method=method
    )


def new_site_interval(
    values_by_site: Mapping[str, ArrayLike], *, confidence: float = 0.95, min_sites: int = 3
) -> Interval:
    """Prediction interval for the mean of one further site.

    Student's t prediction interval for one future observation [5]_ with the site means as
    the sample, ``m ± t_(k-1) s sqrt(1 + 1/k)``: it holds the spread between sites and the
    sampling of patients within them, and is exact for normal site means of equal precision.
    No interval below ``min_sites`` sites.
    """
    means = np.array([_sample(v, confidence).mean() for v in values_by_site.values()])
    k = means.size
    method = f"Student t prediction from {k} site means"
    if k < 1:
        raise InputError("There is no site to predict a new one from.")
    centre = float(means.mean())
    if k < min_sites:
        return _bare(centre, k, confidence, method)
    half = _t_quantile(confidence, k - 1) * float(means.std(ddof=1)) * np.sqrt(1 + 1 / k)
    return _around(centre, half, k, confidence, method)


# ---------------------------------------------------------------------------------------
# Two samples


def welch_interval(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Welch's interval for the difference of two means, ``mean(a) - mean(b)`` [2]_.

    The two samples may differ in spread and size; no interval where one has fewer than two
    patients.
    """
    first, second = _sample(a, confidence), _sample(b, confidence)
    n = first.size + second.size
    difference = float(first.mean() - second.mean())
    method = f"Welch t, {first.size} against {second.size} patients"
    if min(first.size, second.size) < 2:
        return _bare(difference, n, confidence, method)
    error, freedom = _welch_error(first, second)
    half = _t_quantile(confidence, freedom) * error
    return _around(difference, half, n, confidence, method)


def welch_p_value(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of Welch's t test; the smallest level whose interval excludes zero."""
    first, second = _sample(a, 0.95), _sample(b, 0.95)
    if min(first.size, second.size) < 2:
        raise InputError("Welch's test needs two patients in each group.")
    error, freedom = _welch_error(first, second)
    difference = abs(float(first.mean() - second.mean()))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(difference / error, freedom))


def bootstrap_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """BCa bootstrap interval for ``mean(a) - mean(b)``, each group resampled by itself [3]_."""
    first, second = _sample(a, confidence), _sample(b, confidence)
    difference = float(first.mean() - second.mean())
    return _bca((first, second), _mean_difference, difference, rng, confidence, resamples)


# ---------------------------------------------------------------------------------------
# Many questions, and equivalence


def holm_p_values(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p values, in the order given [4]_.

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
    """Confidence level of each question's interval under Holm's procedure.

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
    """P value of two one-sided t tests that the mean lies between ``low`` and ``high`` [6]_.

    At level alpha it rejects exactly where the two-sided ``1 - 2 alpha`` interval of
    :func:`mean_interval` lies within the bounds; a criterion ``within`` at 95 % confidence
    is therefore an equivalence test at 2.5 %.
    """
    sample = _sample(values, 0.95)
    if sample.size < 2 or not low < high:
        raise InputError(
            f"An equivalence test needs two patients and ordered bounds, got {sample.size} "
            f"patients and bounds {low} and {high}."
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


def _sample(values: ArrayLike, confidence: float) -> NDArray[np.float64]:
    _check_confidence(confidence)
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise InputError("There is no patient to estimate from.")
    if not np.isfinite(sample).all():
        raise InputError(
            f"{int((~np.isfinite(sample)).sum())} of {sample.size} values are NaN or infinite; "
            f"count them as missing before estimating."
        )
    return sample


def _check_confidence(confidence: float) -> None:
    if not 0.5 < confidence < 1:
        raise InputError(f"The confidence must lie between 0.5 and 1, got {confidence}.")


def _t_quantile(confidence: float, freedom: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, freedom))


def _bare(estimate: float, n: int, confidence: float, method: str) -> Interval:
    return Interval(
        estimate=estimate,
        low=None,
        high=None,
        n=n,
        confidence=confidence,
        method=f"{method}: too few for an interval",
    )


def _around(centre: float, half: float, n: int, confidence: float, method: str) -> Interval:
    return Interval(
        estimate=centre,
        low=float(centre - half),
        high=float(centre + half),
        n=n,
        confidence=confidence,
        method=method,
    )


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


def _mean(sample: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.mean(sample, axis=axis)


def _mean_difference(
    a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    return np.mean(a, axis=axis) - np.mean(b, axis=axis)


def _bca(
    samples: tuple[NDArray[np.float64], ...],
    estimator: Estimator,
    estimate: float,
    rng: np.random.Generator,
    confidence: float,
    resamples: int,
) -> Interval:
    n = sum(sample.size for sample in samples)
    method = f"BCa bootstrap of {resamples} resamples over {n} patients"
    if min(sample.size for sample in samples) < 2:
        return _bare(estimate, n, confidence, method)
    if all(np.ptp(sample) == 0 for sample in samples):
        # Every resample is the sample: the acceleration is 0/0, the interval a point.
        return _around(estimate, 0.0, n, confidence, method)
    found = stats.bootstrap(
        samples,
        estimator,
        n_resamples=resamples,
        confidence_level=confidence,
        method="BCa",
        vectorized=True,
        axis=-1,
        rng=rng,
    ).confidence_interval
    if not (np.isfinite(found.low) and np.isfinite(found.high)):
        return _bare(estimate, n, confidence, method)
    return Interval(
        estimate=estimate,
        low=float(found.low),
        high=float(found.high),
        n=n,
        confidence=confidence,
        method=method,
    )
