"""The loops behind the measures of shared noise; importing this module loads numba."""

from __future__ import annotations

import numpy as np
from numba import njit

WEIGHTS = (1.0, -2.0, 1.0)  # of a second difference


@njit(nogil=True, cache=True)
def even_places(reference, mask, low, high, ranges):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``ranges`` with the reference's range over 3×3×3 voxels; NaN where it is not even.

    Even is a voxel whose 27 voxels all lie in image and mask, with values in ``[low, high)``.
    """
    ni, nj, nk = mask.shape
    least = np.empty((3, nj, nk), dtype=np.float32)  # over 3×3 voxels of the last three planes
    most = np.empty((3, nj, nk), dtype=np.float32)
    lines = np.empty((2, nj, nk), dtype=np.float32)
    for i in range(ni):
        ranges[i] = np.nan
        _ends_of_plane(reference[i], mask[i], low, high, lines, least[i % 3], most[i % 3])
        if i >= 2:
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    if mask[i - 1, j, k]:
                        a = min(least[0, j, k], min(least[1, j, k], least[2, j, k]))
                        b = max(most[0, j, k], max(most[1, j, k], most[2, j, k]))
                        if b < np.inf:
                            ranges[i - 1, j, k] = b - a


@njit(nogil=True, cache=True)
def _ends_of_plane(image, mask, low, high, lines, least, most):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Least and highest value over 3×3 voxels; infinite where one of them is not even."""
    nj, nk = mask.shape
    infinite = np.float32(np.inf)
    for j in range(nj):
        for k in range(nk):
            value = image[j, k]
            even = mask[j, k] and low <= value < high  # NaN is in no window
            lines[0, j, k] = value if even else -infinite
            lines[1, j, k] = value if even else infinite
    for j in range(1, nj - 1):
        for k in range(1, nk - 1):
            a, b = infinite, -infinite
            for q in range(j - 1, j + 2):
                a = min(a, min(lines[0, q, k - 1], min(lines[0, q, k], lines[0, q, k + 1])))
                b = max(b, max(lines[1, q, k - 1], max(lines[1, q, k], lines[1, q, k + 1])))
            least[j, k] = a
            most[j, k] = b


@njit(nogil=True, cache=True)
def fine_detail(image, mask, places, shift, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the mixed second differences of an image at places that are shifted.

    The product of the three axes' (1, −2, 1), divided by the root of its sum of squares, so
    that white noise keeps its standard deviation; NaN where one of the 27 voxels lies beyond the
    image or the mask. ``places`` is int64, shape (n, 3).
    """
    for n in range(places.shape[0]):
        i, j, k = places[n, 0] + shift[0], places[n, 1] + shift[1], places[n, 2] + shift[2]
        result[n] = _detail(image, mask, i, j, k)


@njit(nogil=True, cache=True)
def detail_around(image, mask, places, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the mean size of the fine detail at the 3×3×3 voxels around places.

    Detail that is not finite or reaches beyond image or mask is left out; ``inf``: none is left.
    """
    for n in range(places.shape[0]):
        total, count = 0.0, 0
        for p in range(-1, 2):
            for q in range(-1, 2):
                for r in range(-1, 2):
                    i, j, k = places[n, 0] + p, places[n, 1] + q, places[n, 2] + r
                    found = _detail(image, mask, i, j, k)
                    if np.isfinite(found):
                        total += abs(found)
                        count += 1
        result[n] = total / count if count else np.inf


@njit(nogil=True, cache=True)
def _detail(image, mask, i, j, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    ni, nj, nk = image.shape
    if not (0 < i < ni - 1 and 0 < j < nj - 1 and 0 < k < nk - 1):
        return np.nan
    total, inside = 0.0, True
    for p in range(-1, 2):
        for q in range(-1, 2):
            for r in range(-1, 2):
                weight = WEIGHTS[p + 1] * WEIGHTS[q + 1] * WEIGHTS[r + 1]
                total += weight * np.float64(image[i + p, j + q, k + r])
                inside &= mask[i + p, j + q, k + r]
    return total / np.sqrt(216.0) if inside else np.nan
