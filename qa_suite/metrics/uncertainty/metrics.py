"""Does the predicted standard deviation mean anything? Coverage, calibration and order.

The error of a voxel is synthetic minus reference; a translator that says σ claims that the
error is of that size. Every metric is a function from a :class:`Claim` (errors and σ of one
region) to a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.metrics.base import Censored, NoValue
from qa_suite.metrics.facts import METRICS, MetricFacts, MetricFunctions
from qa_suite.metrics.uncertainty.ranks import (
    Ordered,
    area,
    ordered,
    rank_correlation,
    remaining_error,
)
from qa_suite.metrics.uncertainty.settings import UncertaintySettings

_EMPTY = (
    "undefined where the translator gives no std, or the region has no voxel; an error where a "
    "std is not positive, or anything not finite"
)
_ORDER_EMPTY = f"{_EMPTY}; undefined where the std, or the error, is the same in all voxels"
_DEFAULTS = UncertaintySettings()
_RANKED = {"most_voxels": _DEFAULTS.most_ranked, "seed": _DEFAULTS.seed}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Errors and predicted standard deviations of one region.

    Parameters
    ----------
    error
        Absolute error, shape (voxels,), finite, at least one.
    std
        Predicted standard deviation, positive.
    levels, observed
        Nominal coverages, and the share of voxels within them.
    ranked_error, error_order, std_order
        Of the voxels that are ranked: their errors, and the order by error and by std.
    removed
        Shares of the voxels that the sparsification takes away, from 0.
    """

    error: FloatArray
    std: FloatArray
    levels: FloatArray
    observed: FloatArray
    ranked_error: FloatArray
    error_order: Ordered
    std_order: Ordered
    removed: FloatArray


def claim_of(error: FloatArray, std: FloatArray, settings: UncertaintySettings) -> Claim:
    """Count and sort once what all metrics of a region need."""
    levels = np.asarray(settings.levels)
    chosen = _choice(error.size, settings)
    ranked_error, ranked_std = error[chosen], std[chosen]
    steps = int(np.ceil(1 / settings.sparsification_step - 1e-9))
    return Claim(
        error=error,
        std=std,
        levels=levels,
        observed=observed_coverage(error, std, _multiples(levels)),
        ranked_error=ranked_error,
        error_order=ordered(ranked_error),
        std_order=ordered(ranked_std),
        removed=np.arange(steps, dtype=np.float64) * settings.sparsification_step,
    )


def observed_coverage(error: FloatArray, std: FloatArray, multiples: FloatArray) -> FloatArray:
    """Share of voxels whose error lies within each (increasing) multiple of the std."""
    reached = np.searchsorted(multiples, error / std, side="left")  # the first that holds it
    counts = np.bincount(reached, minlength=len(multiples) + 1)
    return np.asarray(np.cumsum(counts)[:-1] / error.size, dtype=np.float64)


def _multiples(levels: FloatArray) -> FloatArray:
    """Half width, in σ, of the central interval of a normal distribution at each level."""
    return np.array([NormalDist().inv_cdf((1 + level) / 2) for level in levels])


def _choice(voxels: int, settings: UncertaintySettings) -> NDArray[np.int64] | slice:
    if voxels <= settings.most_ranked:
        return slice(None)
    rng = np.random.default_rng(settings.seed)
    return np.sort(rng.choice(voxels, settings.most_ranked, replace=False, shuffle=False))


OF_STD: MetricFunctions[Callable[[Claim], float | Censored | NoValue]] = MetricFunctions(
    "uncertainty"
)
"""Metrics of the predicted standard deviation, in every region."""


# ---------------------------------------------------------------------------------------
# Size


@OF_STD.add(
    "coverage_68",
    MetricFacts(
        family="uncertainty",
        title="Coverage of ±1 σ",
        unit="1",
        direction="none",
        range="[0, 1]",
        kind="bounded",
        formula="share of voxels with |error| <= σ; 0.6827 where errors are normal and σ is right",
        empty=_EMPTY,
        reference="Kuleshov, Fenner, Ermon 2018, Proc Mach Learn Res 80:2796",
    ),
)
def coverage_68(claim: Claim) -> float:
    """Share of voxels whose error lies within one predicted standard deviation."""
    return float(np.count_nonzero(claim.error <= claim.std) / claim.error.size)


@OF_STD.add(
    "coverage_95",
    MetricFacts(
        family="uncertainty",
        title="Coverage of ±1.96 σ",
        unit="1",
        direction="none",
        range="[0, 1]",
        kind="bounded",
        formula="share of voxels with |error| <= 1.96 σ; 0.95 where errors are normal, σ right",
        empty=_EMPTY,
        reference="Kuleshov, Fenner, Ermon 2018, Proc Mach Learn Res 80:2796",
    ),
)
def coverage_95(claim: Claim) -> float:
    """Share of voxels whose error lies within 1.96 predicted standard deviations."""
    return float(np.count_nonzero(claim.error <= 1.96 * claim.std) / claim.error.size)


@OF_STD.add(
    "calibration_error",
    MetricFacts(
        family="uncertainty",
        title="Calibration error",
        unit="1",
        direction="lower",
        range="[0, 0.5]",
        kind="bounded",  # reached where σ is zero or endless: the mean of the levels
        formula=(
            "mean over the levels p of |share of voxels with |error| <= z_p σ - p|; z_p: half "
            "width of the central interval of a normal distribution that holds p"
        ),
        empty=_EMPTY,
        reference="After Kuleshov, Fenner, Ermon 2018, Proc Mach Learn Res 80:2796 (squared there)",
        settings={"levels": "0.05 to 0.95 in steps of 0.05"},
    ),
)
def calibration_error(claim: Claim) -> float:
    """Mean absolute difference of observed and nominal coverage."""
    return float(np.abs(claim.observed - claim.levels).mean())


@OF_STD.add(
    "std_ratio",
    MetricFacts(
        family="uncertainty",
        title="Errors against their predicted size",
        unit="%",
        direction="zero",
        range="[-100, inf)",
        kind="signed",
        formula=(
            "100 (rms error / rms σ - 1); positive where errors are larger than predicted "
            "(over-confident)"
        ),
        empty=_EMPTY,
        reference="Fortin, Abaza, Anctil, Turcotte 2014, J Hydrometeorol 15:1708",
    ),
)
def std_ratio(claim: Claim) -> float:
    """By how much the errors exceed their predicted size, in percent."""
    return float(100 * (np.sqrt(np.square(claim.error).mean() / np.square(claim.std).mean()) - 1))


# ---------------------------------------------------------------------------------------
# Order


@OF_STD.add(
    "error_std_rank",
    MetricFacts(
        family="uncertainty",
        title="Rank correlation of error and std",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        kind="bounded",
        formula=(
            "Spearman's ρ of |error| and σ, equal values with their mean rank; of a random "
            "choice of the voxels where there are more than that"
        ),
        empty=_ORDER_EMPTY,
        sampled="ranked are voxels drawn at random from all of the region",
        reference="Spearman 1904, Am J Psychol 15:72",
        settings=_RANKED,
    ),
)
def error_std_rank(claim: Claim) -> float | NoValue:
    """Spearman's rank correlation of absolute error and predicted standard deviation."""
    return _unordered(claim) or rank_correlation(claim.error_order, claim.std_order)


@OF_STD.add(
    "sparsification_error",
    MetricFacts(
        family="uncertainty",
        title="Sparsification error, relative",
        unit="1",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "(A_σ - A_oracle) / (A_random - A_oracle); A: area under the mean |error| of the "
            "remaining voxels, relative to all, against the share taken away (trapezoidal rule); "
            "taken away first: largest σ, largest error, any. 0: ordered as the errors "
            "themselves; 1: no better than chance"
        ),
        empty=_ORDER_EMPTY,
        sampled="ranked are voxels drawn at random from all of the region",
        reference=(
            "Ilg et al. 2018, ECCV, LNCS 11211:677 (AUSE, there without dividing by the area of "
            "chance)"
        ),
        settings={"step": _DEFAULTS.sparsification_step, **_RANKED},
    ),
)
def sparsification_error(claim: Claim) -> float | NoValue:
    """Area between the sparsification by std and by error, relative to that of chance."""
    why = _unordered(claim)
    if why is not None:
        return why
    by_std, by_error = (
        area(claim.removed, remaining_error(claim.ranked_error, order, claim.removed))
        for order in (claim.std_order, claim.error_order)
    )
    chance = area(claim.removed, np.ones(claim.removed.size))
    if chance - by_error < 1e-12:
        return NoValue(why="too few voxels to take any away")
    return max(by_std - by_error, 0.0) / (chance - by_error)


def _unordered(claim: Claim) -> NoValue | None:
    """Say why there is no order to compare, if there is none."""
    if claim.std_order.constant:
        return NoValue(why="the std is the same in all voxels, so it puts them in no order")
    if claim.error_order.constant:
        return NoValue(why="the error is the same in all voxels, so there is no order to predict")
    return None


METRICS.declare(
    "std_samples",
    MetricFacts(
        family="uncertainty",
        title="Samples behind the std",
        unit="1",
        direction="none",
        range="integers in [2, inf)",
        kind="count",
        formula="number of samples whose standard deviation (with n - 1) is taken for σ",
        empty="undefined where the translator states its std itself, or gives neither",
        reference="Definition of this suite",
    ),
)


def std_samples(samples: int) -> float | NoValue:
    """Return the number of samples that σ was taken from; 0 stands for a std that was stated."""
    return float(samples) if samples else NoValue(why="the translator states its std itself")
