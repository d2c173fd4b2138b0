"""Whether two groups of patients differ in any of several features: a permutation test.

The statistic is the largest of the features' t statistics, whose spread within sites is pooled
over every site of the comparison. Its distribution under "no difference" comes from dealing the
patients of the two groups anew: every deal where there are few, else a drawn sample of them. That
holds its level whatever the features' distribution and however they depend on each other, and the
same deals adjust each feature's own p value for the others.

References
----------
.. [1] Westfall PH, Young SS (1993), Resampling-Based Multiple Testing, Wiley (max t, single step).
.. [2] Phipson B, Smyth GK (2010), Stat Appl Genet Mol Biol 9:39 (drawn deals: one is added).
.. [3] Hedges LV, Olkin I (1985), Statistical Methods for Meta-Analysis, Academic Press: interval
   of a standardised difference, chapter 5.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DEALS = 4999
"""Deals that are drawn where there are more."""
_TIED = 1 - 1e-9


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Sum of squares within the sites beside the two groups, and its degrees of freedom."""

    squares: NDArray[np.float64]
    freedom: NDArray[np.float64]

    @classmethod
    def of(cls, groups: list[NDArray[np.float64]], features: int) -> Spread:
        """Pool groups of shape (patients, features), each about its own mean."""
        squares, freedom = np.zeros(features), np.zeros(features)
        for group in groups:
            known = np.isfinite(group)
            count = known.sum(axis=0)
            mean = np.where(known, group, 0).sum(axis=0) / np.maximum(count, 1)
            squares += np.where(known, np.square(group - mean), 0).sum(axis=0)
            freedom += np.maximum(count - 1, 0)
        return cls(squares=squares, freedom=freedom)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """How one group differs from another; arrays have one entry a feature.

    ``difference`` is in standard deviations within sites, with ``low`` and ``high``; NaN where
    either group has fewer than two patients with the feature. ``p_value`` is of all features
    together, ``p_values`` of each, adjusted for the others.
    """

    statistic: float
    p_value: float
    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_values: NDArray[np.float64]


def least_p_value(here: int, there: int) -> float:
    """Return the smallest p value that groups of these sizes can have."""
    deals = math.comb(here + there, here)
    return max((2 if here == there else 1) / deals, 1 / (DEALS + 1))


def contrast(
    here: NDArray[np.float64],
    there: NDArray[np.float64],
    others: Spread,
    least: NDArray[np.float64],
    *,
    confidence: float,
    seed: int,
) -> Contrast:
    """Compare two groups of patients.

    Parameters
    ----------
    here, there
        Shape (patients, features); NaN where a feature was not measured.
    others
        Spread within further sites.
    least
        Smallest standard deviation that is believed, by feature.
    confidence
        Of the intervals, each for itself.
    seed
        Of the drawn deals.
    """
    both = np.concatenate([here, there])
    known = np.isfinite(both)
    centre = np.where(known, both, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    values = np.where(known, both - centre, 0)
    deals, exact = _deals(len(here), len(both), seed)
    found = _t_statistics(deals, values, known, others, least)
    largest = found.max(axis=1)
    added = 0 if exact else 1

    def p_of(observed: float) -> float:
        reached = int((largest[0 if exact else 1 :] >= observed * _TIED).sum()) + added
        return reached / (len(deals) - (0 if exact else 1) + added)

    difference, half = _standardised(deals[:1], values, known, others, least, confidence)
    return Contrast(
        statistic=float(largest[0]),
        p_value=p_of(float(largest[0])),
        difference=difference,
        low=difference - half,
        high=difference + half,
        p_values=np.array([p_of(float(t)) for t in found[0]]),
    )


def _deals(first: int, total: int, seed: int) -> tuple[NDArray[np.float64], bool]:
    """Return who stands in the first group, shape (deals, patients), the observed deal first."""
    if math.comb(total, first) <= DEALS + 1:
        chosen = np.array(list(itertools.combinations(range(total), first)))
        deals = np.zeros((len(chosen), total))
        np.put_along_axis(deals, chosen, 1.0, axis=1)
        return deals, True
    rng = np.random.default_rng([seed, first, total])
    order = rng.random((DEALS, total)).argsort(axis=1)
    drawn = (order < first).astype(np.float64)
    observed = np.zeros((1, total))
    observed[0, :first] = 1
    return np.concatenate([observed, drawn]), False


def _moments(
    deals: NDArray[np.float64], values: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], ...]:
    """Return counts, means of both groups and the sum of squares within them, by deal."""
    weight = known.astype(np.float64)
    n_here = deals @ weight
    n_there = weight.sum(axis=0) - n_here
    sum_here = deals @ values
    sum_there = values.sum(axis=0) - sum_here
    mean_here = sum_here / np.maximum(n_here, 1)
    mean_there = sum_there / np.maximum(n_there, 1)
    squares = np.square(values).sum(axis=0)
    within = squares - n_here * np.square(mean_here) - n_there * np.square(mean_there)
    return n_here, n_there, mean_here - mean_there, np.maximum(within, 0)


def _t_statistics(
    deals: NDArray[np.float64],
    values: NDArray[np.float64],
    known: NDArray[np.bool_],
    others: Spread,
    least: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_here, n_there, difference, within = _moments(deals, values, known)
    freedom = np.maximum(n_here + n_there - 2 + others.freedom, 1)
    spread = np.maximum(np.sqrt((within + others.squares) / freedom), least)
    error = spread * np.sqrt(1 / np.maximum(n_here, 1) + 1 / np.maximum(n_there, 1))
    told = (n_here >= 2) & (n_there >= 2)
    return np.where(told, np.abs(difference) / error, 0.0)


def _standardised(
    observed: NDArray[np.float64],
    values: NDArray[np.float64],
    known: NDArray[np.bool_],
    others: Spread,
    least: NDArray[np.float64],
    confidence: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the differences in standard deviations and half their intervals [3]_."""
    n_here, n_there, difference, within = (part[0] for part in _moments(observed, values, known))
    freedom = np.maximum(n_here + n_there - 2 + others.freedom, 1)
    spread = np.maximum(np.sqrt((within + others.squares) / freedom), least)
    told = (n_here >= 2) & (n_there >= 2)
    size = np.where(told, difference / spread, np.nan)
    error = np.sqrt(
        1 / np.maximum(n_here, 1) + 1 / np.maximum(n_there, 1) + size**2 / (2 * freedom)
    )
    return size, stats.t.ppf((1 + confidence) / 2, freedom) * error
