"""Exact Euclidean distance transform on an anisotropic grid.

The separable lower-envelope algorithm of Felzenszwalb and Huttenlocher (2012), Theory of
Computing 8:415. Same answer as ``scipy.ndimage.distance_transform_edt``, several times
faster. Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qa_suite.volume import Triple


def distance_to(mask: NDArray[np.bool_], spacing_mm: Triple) -> NDArray[np.float64]:
    """Distance of every voxel centre to the nearest True voxel centre, in mm.

    Parameters
    ----------
    mask
        Indexed ``[i, j, k]``.
    spacing_mm
        Voxel spacing along i, j, k.

    Returns
    -------
    ndarray of float64, of the mask's shape; inf everywhere if the mask is empty.
    """
    squared, _ = _transform(mask, spacing_mm)
    return np.sqrt(squared, out=squared)


def nearest_index(mask: NDArray[np.bool_], spacing_mm: Triple) -> NDArray[np.int32]:
    """Index of the True voxel that is nearest to every voxel.

    Parameters
    ----------
    mask
        Indexed ``[i, j, k]``; at least one voxel is True.
    spacing_mm
        Voxel spacing along i, j, k.

    Returns
    -------
    ndarray of int32, shape (3, ni, nj, nk); of several equally near ones, one of them.
    """
    _, index = _transform(mask, spacing_mm)
    return index


def _transform(
    mask: NDArray[np.bool_], spacing_mm: Triple
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    squared = np.empty(mask.shape, dtype=np.float64)
    index = np.empty((3, *mask.shape), dtype=np.int32)
    _fill(np.ascontiguousarray(mask), *spacing_mm, squared, index)
    return squared, index


@njit(nogil=True, cache=True)
def _fill(  # type: ignore[no-untyped-def]
    mask, di, dj, dk, squared, index
):  # pragma: no cover
    ni, nj, nk = mask.shape
    longest = max(ni, nj, nk)
    heights = np.empty(longest)
    result = np.empty(longest)
    winner = np.empty(longest, dtype=np.int32)
    before = np.empty((2, longest), dtype=np.int32)
    sites = np.empty(longest, dtype=np.int64)
    starts = np.empty(longest + 1)
    for i in range(ni):
        for j in range(nj):
            _first_axis(mask[i, j], dk, squared[i, j], index[2, i, j])
        for k in range(nk):
            for j in range(nj):
                heights[j] = squared[i, j, k]
                before[0, j] = index[2, i, j, k]
            _lower_envelope(heights, nj, dj, sites, starts, result, winner)
            for j in range(nj):
                squared[i, j, k] = result[j]
                index[1, i, j, k] = winner[j]
                index[2, i, j, k] = before[0, winner[j]]
    for j in range(nj):
        for k in range(nk):
            for i in range(ni):
                heights[i] = squared[i, j, k]
                before[0, i] = index[1, i, j, k]
                before[1, i] = index[2, i, j, k]
            _lower_envelope(heights, ni, di, sites, starts, result, winner)
            for i in range(ni):
                squared[i, j, k] = result[i]
                index[0, i, j, k] = winner[i]
                index[1, i, j, k] = before[0, winner[i]]
                index[2, i, j, k] = before[1, winner[i]]


@njit(nogil=True, cache=True)
def _first_axis(line, spacing, squared, nearest):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance along one line of voxels: a scan forth and a scan back."""
    last = -1
    for k in range(line.size):
        if line[k]:
            last = k
        squared[k] = np.inf if last < 0 else ((k - last) * spacing) ** 2
        nearest[k] = max(last, 0)
    last = -1
    for k in range(line.size - 1, -1, -1):
        if line[k]:
            last = k
        if last >= 0 and ((last - k) * spacing) ** 2 < squared[k]:
            squared[k] = ((last - k) * spacing) ** 2
            nearest[k] = last


@njit(nogil=True, cache=True)
def _lower_envelope(  # type: ignore[no-untyped-def]
    heights, size, spacing, sites, starts, result, winner
):  # pragma: no cover
    """Minimum over q of ``heights[q] + ((p - q) spacing)²`` for every p of a line."""
    square = spacing * spacing
    last = -1  # of the parabolas on the envelope: ``sites`` and where each begins to rule
    for q in range(size):
        if heights[q] == np.inf:
            continue
        begin = -np.inf
        while last >= 0:
            v = sites[last]
            begin = ((heights[q] - heights[v]) / square + (q * q - v * v)) / (2.0 * (q - v))
            if begin > starts[last]:
                break
            last -= 1
            begin = -np.inf
        last += 1
        sites[last] = q
        starts[last] = begin
    if last < 0:
        for p in range(size):
            result[p] = np.inf
            winner[p] = 0
        return
    ruling = 0
    for p in range(size):
        while ruling < last and starts[ruling + 1] < p:
            ruling += 1
        step = (p - sites[ruling]) * spacing
        result[p] = heights[sites[ruling]] + step * step
        winner[p] = sites[ruling]
