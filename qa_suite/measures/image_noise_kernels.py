"""The loops behind the measures of shared noise; importing this module loads numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def even_places(reference, mask, low, high, ranges):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``ranges`` with the reference's range over 3×3×3 voxels; NaN where it is not even.

    Even is a voxel whose 27 voxels all lie in image and mask, with values in ``[low, high)``.
    """
    ni, nj, nk = mask.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                ranges[i, j, k] = np.nan
                inside = 0 < i < ni - 1 and 0 < j < nj - 1 and 0 < k < nk - 1
                if inside and mask[i, j, k]:
                    ranges[i, j, k] = _range(reference, mask, i, j, k, low, high)


@njit(nogil=True, cache=True)
def _range(reference, mask, i, j, k, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    least, most = np.float32(np.inf), np.float32(-np.inf)
    for p in range(i - 1, i + 2):
        for q in range(j - 1, j + 2):
            for r in range(k - 1, k + 2):
                value = reference[p, q, r]
                if not (mask[p, q, r] and low <= value < high):  # NaN is in no window
                    return np.float32(np.nan)
                least, most = min(least, value), max(most, value)
    return most - least


@njit(nogil=True, cache=True)
def fine_detail(image, places, shift, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the mixed second differences of an image at places that are shifted.

    The product of the three axes' (1, −2, 1), divided by the root of its sum of squares, so
    that white noise keeps its standard deviation; NaN beyond the image. ``places`` is int64,
    shape (n, 3).
    """
    ni, nj, nk = image.shape
    weights = np.empty((3, 3, 3))
    for p in range(3):
        for q in range(3):
            for r in range(3):
                weights[p, q, r] = (-2.0) ** (3 - abs(p - 1) - abs(q - 1) - abs(r - 1))
    for n in range(places.shape[0]):
        i, j, k = places[n, 0] + shift[0], places[n, 1] + shift[1], places[n, 2] + shift[2]
        result[n] = np.nan
        if 0 < i < ni - 1 and 0 < j < nj - 1 and 0 < k < nk - 1:
            total = 0.0
            for p in range(-1, 2):
                for q in range(-1, 2):
                    for r in range(-1, 2):
                        weight = weights[p + 1, q + 1, r + 1]
                        total += weight * np.float64(image[i + p, j + q, k + r])
            result[n] = total / np.sqrt(216.0)
