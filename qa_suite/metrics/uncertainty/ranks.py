"""Does the predicted std put the voxels in the order of their errors? Plain functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """Which values of an array are equal, in increasing order.

    Parameters
    ----------
    order
        Indices that sort the array, shape (n,).
    first
        Where each group of equal values starts in that order, shape (groups,).
    sizes
        How many each group holds.
    """

    order: NDArray[np.int64]
    first: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def constant(self) -> bool:
        """Whether there are fewer than two different values, so nothing to order by."""
        return self.first.size < 2


def ordered(values: FloatArray) -> Ordered:
    """Sort values, and note which are equal."""
    order = np.argsort(values)  # which of equal ones comes first makes no difference
    in_order = values[order]
    first = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]][: values.size])
    return Ordered(order=order, first=first, sizes=np.diff(np.r_[first, values.size]))


def rank_correlation(first: Ordered, second: Ordered) -> float:
    """Spearman's ρ of two arrays, equal values with their mean rank; neither is constant."""
    one, two = (_centred_ranks(which) for which in (first, second))
    return float((one * two).sum() / np.sqrt((one * one).sum() * (two * two).sum()))


def _centred_ranks(which: Ordered) -> FloatArray:
    count = which.order.size
    ranks = np.empty(count)
    ranks[which.order] = np.repeat(which.first + (which.sizes - 1) / 2, which.sizes)
    return ranks - (count - 1) / 2


def remaining_error(errors: FloatArray, by: Ordered, shares: FloatArray) -> FloatArray:
    """Mean error of what remains when the last voxels in an order are taken away.

    Parameters
    ----------
    errors
        Not negative, shape (n,).
    by
        The order; of equal values a random choice goes first, so its expectation is taken.
    shares
        Shares to take away, from 0 to below 1.

    Returns
    -------
    ndarray, as a share of the mean error of all; at least one voxel always remains
    """
    sums = np.add.reduceat(errors[by.order], by.first)
    expected = np.repeat(sums / by.sizes, by.sizes)
    mean = np.cumsum(expected) / np.arange(1, errors.size + 1)
    kept = errors.size - np.floor(shares * errors.size + 1e-9).astype(np.int64)
    return np.asarray(mean[np.maximum(kept, 1) - 1] / errors.mean(), dtype=np.float64)


def area(x: FloatArray, y: FloatArray) -> float:
    """Area under a curve, by the trapezoidal rule."""
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
