"""The smooth shading of an MR, told by its CT: within one tissue the MR should be the same.

The field of a coil makes one tissue brighter at one end of a limb than at the other. Where the
structure along the limb is weak, the similarity then gains more by following the shading than it
loses at the borders of bone and muscle, and the estimate is drawn along the limb by millimetres.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.registration.consensus import reference_bins
from qa_suite.imaging.registration.rigid import BINS, Level

_DEGREE = 3
_LEAST_BINS = 2.0  # below it there is no signal to be shaded
_REFITS = 3
_MOST_POINTS = 5_000
_OUTLIER = 1.5  # median absolute deviations


def flattened(level: Level, motion: FloatArray) -> Level:
    """Divide the source by the smooth field that it shows within the reference's values.

    The logarithm of the source is explained by the bin of the reference that the motion finds at
    each point, and by a polynomial of third degree in the position; the latter is the shading.
    What does not follow either (other tissues of the same HU, points that do not match) is left
    out of the fit by its deviation.

    Parameters
    ----------
    level
        The source in proportion to its signal; see :class:`Level`.
    motion
        Where the reference lies, as well as is known.
    """
    reference, seen = reference_bins(level, motion)
    fit = np.flatnonzero(seen & (level.bins >= _LEAST_BINS) & (level.bins < BINS - 1.01))
    fit = fit[:: max(1, len(fit) // _MOST_POINTS)]
    terms = _terms(level.points_mm)
    if len(fit) < 20 * terms.shape[1]:
        return level
    signal, basis, group = np.log(level.bins[fit]), terms[fit], reference[fit]
    weight = np.ones(len(signal))
    for _ in range(_REFITS):
        here = _without_mean(basis, group, weight)
        rest = _without_mean(signal[:, None], group, weight)[:, 0]
        root = np.sqrt(weight)
        field, *_ = np.linalg.lstsq(here * root[:, None], rest * root, rcond=None)
        left = np.abs(rest - here @ field)
        scale = _OUTLIER * max(float(np.median(left)), 1e-6)
        weight = 1 / (1 + (left / scale) ** 2)
    shading = terms @ field
    shading -= np.average(shading[fit], weights=weight)
    bins = level.bins * np.exp(-shading)
    most = float(np.percentile(bins, 99.5))
    return replace(level, bins=np.clip(bins * min(1.0, (BINS - 1) / most), 0, BINS - 1))


def _terms(points_mm: FloatArray) -> FloatArray:
    """Return the products of x, y and z up to the degree, without the constant, shape (n, k)."""
    x = points_mm / np.abs(points_mm).max(axis=0)
    terms: list[FloatArray] = []
    for degree in range(1, _DEGREE + 1):
        for axes in combinations_with_replacement(range(3), degree):
            terms.append(np.asarray(np.multiply.reduce([x[:, axis] for axis in axes])))
    return np.stack(terms, axis=1)


def _without_mean(values: FloatArray, group: NDArray[np.int_], weight: FloatArray) -> FloatArray:
    """Subtract the weighted mean of every group from its values, shape (n, k)."""
    total = np.maximum(np.bincount(group, weight, minlength=BINS), 1e-12)
    means = [np.bincount(group, weight * column, minlength=BINS) / total for column in values.T]
    return np.asarray(values - np.stack(means, axis=1)[group])
