"""Exact Euclidean distance transform on an anisotropic grid.

The separable lower-envelope algorithm of Felzenszwalb and Huttenlocher (2012), Theory of
Computing 8:415. Same answer as ``scipy.ndimage.distance_transform_edt``, several times
faster. Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Triple
from qa_suite.imaging.compiled import compiled


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
    squared = np.empty(mask.shape, dtype=np.float64)
    _fill(np.ascontiguousarray(mask), *(float(step) for step in spacing_mm), squared)
    return np.sqrt(squared, out=squared)


@compiled
def _fill(mask, di, dj, dk, squared):  # type: ignore[no-untyped-def]  # pragma: no cover
    ni, nj, nk = mask.shape
    sites = np.empty(max(ni, nj), dtype=np.int64)
    starts = np.empty(max(ni, nj) + 1)
    lines = np.empty((nk, max(ni, nj)))
    result = np.empty(max(ni, nj))
    for i in range(ni):
        for j in range(nj):
            _first_axis(mask[i, j], dk, squared[i, j])
        _along_first(squared[i], dj, lines, sites, starts, result)
    for j in range(nj):
        _along_first(squared[:, j], di, lines, sites, starts, result)


@compiled
def _along_first(  # type: ignore[no-untyped-def]
    plane, spacing, lines, sites, starts, result
):  # pragma: no cover
    """Lower envelopes along the first axis of a plane, which is turned to read it in order."""
    size, nk = plane.shape
    for p in range(size):
        for k in range(nk):
            lines[k, p] = plane[p, k]
    for k in range(nk):
        _lower_envelope(lines[k], size, spacing, sites, starts, result)
        lines[k, :size] = result[:size]
    for p in range(size):
        for k in range(nk):
            plane[p, k] = lines[k, p]


@compiled
def _first_axis(line, spacing, squared):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance along one line of voxels: a scan forth and a scan back."""
    last = -1
    for k in range(line.size):
        if line[k]:
            last = k
        squared[k] = np.inf if last < 0 else ((k - last) * spacing) ** 2
    last = -1
    for k in range(line.size - 1, -1, -1):
        if line[k]:
            last = k
        if last >= 0:
            squared[k] = min(squared[k], ((last - k) * spacing) ** 2)


@compiled
def _lower_envelope(  # type: ignore[no-untyped-def]
    heights, size, spacing, sites, starts, result
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
        result[:size] = np.inf
        return
    ruling = 0
    for p in range(size):
        while ruling < last and starts[ruling + 1] < p:
            ruling += 1
        step = (p - sites[ruling]) * spacing
        result[p] = heights[sites[ruling]] + step * step
