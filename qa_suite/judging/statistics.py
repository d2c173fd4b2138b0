"""Intervals with the patient as the unit of inference.

Voxels, slices and repeated examinations of one patient are not independent; patients are.
Every function here takes one value a patient (see :func:`patient_means`) and refuses NaN,
infinity and the empty sample instead of stepping over them. All intervals are two-sided at
the stated confidence unless their name says otherwise.

References
----------
.. [1] Clopper CJ, Pearson ES (1934), Biometrika 26:404-413.
.. [2] Hahn GJ, Meeker WQ (1991), Statistical Intervals, Wiley: order-statistic interval of
   the median (5.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count

Side = Literal["two", "upper"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and how far it can be trusted.

    ``low`` and ``high`` are None where there is no interval, and ``why`` says the reason; ``n``
    counts patients (sites, where hospitals are the sample).
    """

    estimate: float
    low: float | None
    high: float | None
    n: int
    confidence: float
    method: str
    why: str = ""


# ---------------------------------------------------------------------------------------
# From examinations to patients


def patient_means(values: Mapping[str, Sequence[float]]) -> pd.Series:
    """Average each patient's values; indexed and sorted by patient, and refusing NaN."""
    bad = sorted(p for p, found in values.items() if not all(map(math.isfinite, found)))
    if bad:
        raise InputError(
            f"The values of {', '.join(bad)} are not finite numbers; NaN is never averaged."
        )
    patients = sorted(values)
    means = [_mean(values[patient]) for patient in patients]
    return pd.Series(means, index=pd.Index(patients, name="patient"), dtype="float64")


def _mean(found: Sequence[float]) -> float:
    return float(found[0]) if len(found) == 1 else float(np.mean(found))


# ---------------------------------------------------------------------------------------
# One sample


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Student's t interval of a mean; no interval below two patients."""
    sample = finite_sample(values, confidence)
    n, mean = sample.size, float(sample.mean())
    method = f"Student t over {count(n, 'patient')}"
    if n < 2:
        return bare(mean, n, confidence, method, why="one patient gives no interval")
    half = t_quantile(confidence, n - 1) * float(sample.std(ddof=1)) / np.sqrt(n)
    return around(mean, half, n, confidence, method)


def median_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Exact order-statistic interval of a median, free of any distribution [2]_.

    The interval is ``[x_(d), x_(n+1-d)]`` with the largest ``d`` whose binomial tail
    ``P(B < d)``, B ~ Bin(n, 1/2), does not exceed half of ``1 - confidence``. Its coverage is
    at least the confidence; below six patients there is no such interval at 95 %.
    """
    sample = np.sort(finite_sample(values, confidence))
    n = sample.size
    tails = stats.binom.cdf(np.arange(n), n, 0.5)
    depth = int(np.searchsorted(tails, (1 - confidence) / 2, side="right"))
    method = f"exact order statistics over {count(n, 'patient')}"
    if depth < 1:
        level = f"{100 * confidence:.4g} %"
        why = f"{count(n, 'patient')} can give no interval of a median at {level}"
        return bare(float(np.median(sample)), n, confidence, method, why=why)
    return Interval(
        estimate=float(np.median(sample)),
        low=float(sample[depth - 1]),
        high=float(sample[n - depth]),
        n=n,
        confidence=confidence,
        method=method,
    )


def proportion_interval(
    successes: float, n: float, *, confidence: float = 0.95, side: Side = "two"
) -> Interval:
    """Exact Clopper-Pearson limits of a proportion [1]_.

    ``side`` is ``"two"``, or ``"upper"`` for an upper limit alone (low is 0), which puts all of
    ``1 - confidence`` on its side. Neither number need be whole: a patient's share of events, or
    an effective number of patients.
    """
    _check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes:g} of {patients_of(n)} is not a proportion.")
    tail = (1 - confidence) / 2 if side == "two" else 1 - confidence
    low, high = 0.0, 1.0
    if side == "two" and successes > 0:
        low = float(stats.beta.ppf(tail, successes, n - successes + 1))
    if successes < n:
        high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    sides = {"two": "", "upper": ", upper limit"}[side]
    method = f"Clopper-Pearson over {patients_of(n)}{sides}"
    return Interval(
        estimate=successes / n, low=low, high=high, n=round(n), confidence=confidence, method=method
    )


# ---------------------------------------------------------------------------------------
# Parts


def finite_sample(values: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Return the values as an array; refuse none at all, NaN and a confidence that is no share."""
    _check_confidence(confidence)
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise InputError("There is no patient to estimate from.")
    if not np.isfinite(sample).all():
        raise InputError(
            f"{int((~np.isfinite(sample)).sum())} of {count(sample.size, 'value')} are NaN or "
            "infinite; "
            f"count them as missing before estimating."
        )
    return sample


def _check_confidence(confidence: float) -> None:
    if not 0.5 < confidence < 1:
        raise InputError(f"The confidence must lie between 0.5 and 1, got {confidence}.")


def patients_of(n: float) -> str:
    """Say a number of patients, which may be an effective one: ``1 patient``, ``12.5 patients``."""
    return count(round(n), "patient") if n == round(n) else f"{n:.3g} patients"


def t_quantile(confidence: float, freedom: float) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(stats.t.ppf((1 + confidence) / 2, freedom))


def bare(estimate: float, n: int, confidence: float, method: str, *, why: str) -> Interval:
    """Return an estimate without an interval, and why it has none."""
    return Interval(
        estimate=estimate,
        low=None,
        high=None,
        n=n,
        confidence=confidence,
        method=f"{method}: {why}",
        why=why,
    )


def around(centre: float, half: float, n: int, confidence: float, method: str) -> Interval:
    """Return the interval ``centre ± half``."""
    return Interval(
        estimate=centre,
        low=float(centre - half),
        high=float(centre + half),
        n=n,
        confidence=confidence,
        method=method,
    )
