"""Whether two groups of patients differ in any of several features: a permutation test.

The statistic is the largest of the features' t statistics, whose spread within sites is pooled
over every site of the comparison. Its distribution under "no difference" comes from dealing the
residuals of all patients (about the mean of their site, all features of a patient together) anew
to the sites. Dealing the patients of the two groups alone would be exact, but five against five
have 252 deals, too few for an answer among several sites; how well the residuals hold the level
is simulated (``docs/appendix/shift.md``). The same deals adjust each feature's p value for the
others.

References
----------
.. [1] ter Braak CJF (1992), in: Bootstrapping and Related Techniques, Springer, 79-86
   (residuals of the full model); Anderson MJ, Legendre P (1999), J Stat Comput Simul 62:271.
.. [2] Westfall PH, Young SS (1993), Resampling-Based Multiple Testing, Wiley (max t, single step).
.. [3] Phipson B, Smyth GK (2010), Stat Appl Genet Mol Biol 9:39 (drawn deals: one is added).
.. [4] Hedges LV, Olkin I (1985), Statistical Methods for Meta-Analysis, Academic Press: interval
   of a standardised difference, chapter 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DEALS = 2999
FEWEST_PATIENTS = 3
"""Of either group: fewer show nothing."""
FEWEST_FREEDOM = 8
"""Degrees of freedom within all sites together, below which a spread is not believed."""
_TIED = 1 - 1e-9

Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """How one group differs from another; arrays have one entry a feature.

    ``difference`` is in standard deviations within sites, with ``low`` and ``high``; NaN where
    either group has fewer than two patients with the feature. ``p_value`` is of all features
    together, ``p_values`` of each, adjusted for the others.
    """

    statistic: float
    p_value: float
    difference: Rows
    low: Rows
    high: Rows
    p_values: Rows


def within_sites(groups: Sequence[Rows]) -> tuple[Rows, Rows]:
    """Return the sum of squares within sites and its degrees of freedom, by feature.

    Parameters
    ----------
    groups
        Shape (patients, features) each; NaN where a feature was not measured.
    """
    residuals = [_residuals(group) for group in groups]
    squares = np.sum([np.square(r).sum(axis=0) for r in residuals], axis=0)
    counts = [np.isfinite(group).sum(axis=0) for group in groups]
    return squares, np.sum([np.maximum(n - 1, 0) for n in counts], axis=0).astype(float)


def contrast(
    here: Rows, there: Rows, others: Sequence[Rows], least: Rows, *, confidence: float, seed: int
) -> Contrast:
    """Compare two groups of patients.

    Parameters
    ----------
    here, there
        Shape (patients, features); NaN where a feature was not measured.
    others
        Further sites, which only tell the spread.
    least
        Smallest standard deviation that is believed, by feature.
    confidence
        Of the intervals, each for itself.
    seed
        Of the deals.
    """
    groups = [group for group in (here, there, *others) if len(group)]
    known = np.isfinite(np.concatenate(groups))
    residuals = np.concatenate([_residuals(group) for group in groups])
    sizes = np.array([len(group) for group in groups])
    squares, freedom = within_sites(groups)
    n_here, n_there = (np.isfinite(group).sum(axis=0) for group in (here, there))
    spread = np.maximum(np.sqrt(squares / np.maximum(freedom, 1)), least)
    told = (n_here >= 2) & (n_there >= 2)
    gap = np.where(told, _mean(here) - _mean(there), np.nan)
    root = np.sqrt(1 / np.maximum(n_here, 1) + 1 / np.maximum(n_there, 1))
    observed = np.where(told, np.abs(gap) / (spread * root), 0.0)
    believed = _believed(residuals, squares, freedom, least, seed)
    dealt = _dealt(believed, known, sizes, least, seed)
    largest = np.where(told, dealt, 0.0).max(axis=1)
    reached = (largest[:, None] >= observed * _TIED).sum(axis=0)
    statistic = float(observed.max())
    size = gap / spread
    error = np.sqrt(root**2 + size**2 / (2 * np.maximum(freedom, 1)))
    half = stats.t.ppf((1 + confidence) / 2, np.maximum(freedom, 1)) * error
    return Contrast(
        statistic=statistic,
        p_value=(int((largest >= statistic * _TIED).sum()) + 1) / (DEALS + 1),
        difference=size,
        low=size - half,
        high=size + half,
        p_values=(reached + 1) / (DEALS + 1),
    )


def _mean(group: Rows) -> Rows:
    known = np.isfinite(group)
    return np.where(known, group, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _residuals(group: Rows) -> Rows:
    """Return a group about its own mean; 0 where a feature was not measured."""
    return np.where(np.isfinite(group), group - _mean(group), 0.0)


def _believed(residuals: Rows, squares: Rows, freedom: Rows, least: Rows, seed: int) -> Rows:
    """Give a feature without a spread of its own the least one: normal residuals of that size.

    A protocol that is the same in all patients of each site has none to deal.
    """
    small = np.sqrt(squares / np.maximum(freedom, 1)) < least
    if not small.any():
        return residuals
    drawn = np.random.default_rng([seed, len(residuals)]).normal(size=residuals.shape) * least
    return np.where(small, drawn, residuals)


@lru_cache(maxsize=16)  # the comparisons of one audit are often of one size
def _orders(patients: int, seed: int) -> NDArray[np.intp]:
    """Return the drawn orders of so many patients, shape (deals, patients)."""
    orders = np.random.default_rng([seed, patients]).random((DEALS, patients)).argsort(axis=1)
    orders.setflags(write=False)
    return orders


def _dealt(
    residuals: Rows, known: NDArray[np.bool_], sizes: NDArray[np.intp], least: Rows, seed: int
) -> Rows:
    """Return |t| of the first two groups in every deal of the residuals, (deals, features)."""
    orders = _orders(len(residuals), seed)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = np.add.reduceat(residuals[orders], starts, axis=1)
    if known.all():
        counts = np.broadcast_to(sizes[None, :, None].astype(float), sums.shape)
    else:
        counts = np.add.reduceat(known[orders].astype(float), starts, axis=1)
    means = sums / np.maximum(counts, 1)
    within = np.square(residuals).sum(axis=0) - (counts * np.square(means)).sum(axis=1)
    freedom = np.maximum(counts - 1, 0).sum(axis=1)
    spread = np.maximum(np.sqrt(np.maximum(within, 0) / np.maximum(freedom, 1)), least)
    n_here, n_there = counts[:, 0], counts[:, 1]
    root = np.sqrt(1 / np.maximum(n_here, 1) + 1 / np.maximum(n_there, 1))
    t = np.abs(means[:, 0] - means[:, 1]) / (spread * root)
    return np.where((n_here >= 2) & (n_there >= 2), t, 0.0)
