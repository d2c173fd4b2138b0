"""The nearest surface element: a search from a good start among neighbouring cells.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qa_suite.volume import Triple


def nearest_centres(
    position_mm: NDArray[np.float64],
    cells: NDArray[np.signedinteger],
    nearest: NDArray[np.int32],
    codes: NDArray[np.uint8],
    centre_mm: NDArray[np.float64],
    spacing_mm: Triple,
) -> NDArray[np.float64]:
    """Distance of every position to the nearest element of a surface, in mm.

    Parameters
    ----------
    position_mm
        From the centre of voxel (0, 0, 0), shape (n, 3).
    cells
        The cell that holds each position, shape (n, 3).
    nearest
        For every cell the nearest cell with an element, shape (3, ni, nj, nk).
    codes
        Surface code of every cell; 0 and 255 hold no element.
    centre_mm
        Centre of the element of each code, shape (256, 3).
    spacing_mm
        Voxel spacing along i, j, k.
    """
    result = np.empty(len(position_mm))
    _search(position_mm, cells, nearest, codes, centre_mm, np.asarray(spacing_mm), result)
    return result


@njit(nogil=True, cache=True)
def _squared(  # type: ignore[no-untyped-def]
    position, i, j, k, codes, centre, spacing
):  # pragma: no cover
    """Squared distance to the element of one cell; inf where it holds none."""
    code = codes[i, j, k]
    if code == 0 or code == 255:
        return np.inf
    dx = i * spacing[0] + centre[code, 0] - position[0]
    dy = j * spacing[1] + centre[code, 1] - position[1]
    dz = k * spacing[2] + centre[code, 2] - position[2]
    return dx * dx + dy * dy + dz * dz


@njit(nogil=True, cache=True)
def _search(  # type: ignore[no-untyped-def]
    position, cells, nearest, codes, centre, spacing, result
):  # pragma: no cover
    """Try what is nearest to the cell and to its 26 neighbours, each with its surroundings."""
    ni, nj, nk = codes.shape
    tried = np.empty((27, 3), dtype=np.int64)
    for n in range(position.shape[0]):
        ci, cj, ck = cells[n]
        best = _squared(position[n], ci, cj, ck, codes, centre, spacing)
        if best == 0.0:  # the surfaces agree here
            result[n] = 0.0
            continue
        count = 0
        for i in range(max(ci - 1, 0), min(ci + 2, ni)):
            for j in range(max(cj - 1, 0), min(cj + 2, nj)):
                for k in range(max(ck - 1, 0), min(ck + 2, nk)):
                    a, b, c = nearest[0, i, j, k], nearest[1, i, j, k], nearest[2, i, j, k]
                    known = False
                    for t in range(count):
                        if tried[t, 0] == a and tried[t, 1] == b and tried[t, 2] == c:
                            known = True
                            break
                    if known:
                        continue
                    tried[count, 0], tried[count, 1], tried[count, 2] = a, b, c
                    count += 1
                    found = _descend(position[n], a, b, c, codes, centre, spacing)
                    best = min(best, found)
        result[n] = np.sqrt(best)


@njit(nogil=True, cache=True)
def _descend(  # type: ignore[no-untyped-def]
    position, bi, bj, bk, codes, centre, spacing
):  # pragma: no cover
    """Step to the best of the 26 neighbours as long as that is nearer."""
    ni, nj, nk = codes.shape
    best = np.inf
    moved = True
    while moved:
        moved = False
        ci, cj, ck = bi, bj, bk
        for i in range(max(ci - 1, 0), min(ci + 2, ni)):
            for j in range(max(cj - 1, 0), min(cj + 2, nj)):
                for k in range(max(ck - 1, 0), min(ck + 2, nk)):
                    squared = _squared(position, i, j, k, codes, centre, spacing)
                    if squared < best:
                        best = squared
                        moved = moved or i != ci or j != cj or k != ck
                        bi, bj, bk = i, j, k
    return best
