"""Normalised mutual information and its derivative by a rigid motion.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def information(bins, value, rows, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Normalised mutual information of two sampled images, and its gradient.

    The joint histogram is filled linearly along both axes, as in :mod:`.rigid`.

    Parameters
    ----------
    bins
        First image, 0 .. count − 1, shape (n,).
    value
        Second image in the same bins; NaN where it was not seen.
    rows
        Derivative of ``value`` by the motion, shape (n, 6).

    Returns
    -------
    similarity : float
    gradient : ndarray, shape (6,)
    inside : int
        Points that were seen.
    """
    joint = np.zeros((count, count))
    inside = 0
    for n in range(bins.size):
        if not np.isfinite(value[n]):
            continue
        inside += 1
        a, b = min(int(bins[n]), count - 2), min(int(value[n]), count - 2)
        f, g = bins[n] - a, value[n] - b
        joint[a, b] += (1 - f) * (1 - g)
        joint[a, b + 1] += (1 - f) * g
        joint[a + 1, b] += f * (1 - g)
        joint[a + 1, b + 1] += f * g
    gradient = np.zeros(6)
    if inside == 0:
        return 1.0, gradient, inside
    joint /= inside
    own, other = joint.sum(axis=1), joint.sum(axis=0)
    together = first = second = 0.0
    for a in range(count):
        if own[a] > 0:
            first -= own[a] * np.log(own[a])
        if other[a] > 0:
            second -= other[a] * np.log(other[a])
        for b in range(count):
            if joint[a, b] > 0:
                together -= joint[a, b] * np.log(joint[a, b])
    if together <= 1e-9:
        return 1.0, gradient, inside
    similarity = (first + second) / together
    # derivative of the similarity by each entry of the joint histogram
    slope = np.zeros((count, count))
    tiny = 1e-3 / inside
    for a in range(count):
        for b in range(count):
            by_sum = -np.log(max(own[a], tiny)) - np.log(max(other[b], tiny))
            slope[a, b] = (by_sum + similarity * np.log(max(joint[a, b], tiny))) / together
    for n in range(bins.size):
        if not np.isfinite(value[n]):
            continue
        a, b = min(int(bins[n]), count - 2), min(int(value[n]), count - 2)
        f = bins[n] - a
        by_value = (1 - f) * (slope[a, b + 1] - slope[a, b]) + f * (
            slope[a + 1, b + 1] - slope[a + 1, b]
        )
        for c in range(6):
            gradient[c] += by_value * rows[n, c]
    for c in range(6):
        gradient[c] /= inside
    return similarity, gradient, inside
