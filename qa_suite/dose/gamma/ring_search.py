"""Outwards from a voxel: the neighbours of the cells it touches, then blocks of cells in rings.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.dose.gamma.visits import distance_from, visit
from qa_suite.imaging.compiled import compiled

BLOCK = 4
"""Cells along an axis of a block."""


@compiled
def ranges_of_cells(dose):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Lowest and highest dose of every cell and of every block of cells."""
    ni, nj, nk = dose.shape[0] - 1, dose.shape[1] - 1, dose.shape[2] - 1
    cells = np.empty((ni, nj, nk, 2), np.float32)
    blocks = np.empty((-(-ni // BLOCK), -(-nj // BLOCK), -(-nk // BLOCK), 2), np.float32)
    blocks[..., 0], blocks[..., 1] = np.inf, -np.inf
    for i in range(ni):
        for j in range(nj):
            low = min(dose[i, j, 0], dose[i + 1, j, 0], dose[i, j + 1, 0], dose[i + 1, j + 1, 0])
            high = max(dose[i, j, 0], dose[i + 1, j, 0], dose[i, j + 1, 0], dose[i + 1, j + 1, 0])
            for k in range(nk):
                a, b = dose[i, j, k + 1], dose[i + 1, j, k + 1]
                c, d = dose[i, j + 1, k + 1], dose[i + 1, j + 1, k + 1]
                next_low, next_high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
                least, most = min(low, next_low), max(high, next_high)
                cells[i, j, k, 0], cells[i, j, k, 1] = least, most
                low, high = next_low, next_high
                block = blocks[i // BLOCK, j // BLOCK, k // BLOCK]
                block[0], block[1] = min(block[0], least), max(block[1], most)
    return cells, blocks


@compiled
def _widen(first, last, size, p, reach, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cells along an axis within ``reach`` mm of ``p``, at most one beyond the given ones."""
    a = max(first - 1, 0, np.int64(np.floor(p - reach / step)))
    b = min(last + 1, size - 2, np.int64(np.floor(p + reach / step)))
    return min(a, first), max(b, last)


@compiled
def _reaches(p, reach, first, last, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a better point could lie beyond the cells ``first`` to ``last`` of an axis."""
    return (first > 0 and p - reach < first) or (last < size - 2 and p + reach > last + 1)


@compiled
def _blocks_within(home, ring, p, reach, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    first = max(home - ring, 0, np.int64(np.floor((p - reach) / BLOCK)))
    last = min(home + ring, count - 1, np.int64(np.floor((p + reach) / BLOCK)))
    return first, last


@compiled
def look_beyond(  # type: ignore[no-untyped-def]
    dose, cells, blocks, p, first, last, w, r, step, rho, d, dta, simplex, floor, best, x
):  # pragma: no cover
    """Look for a better point behind the cells that touch the voxel, which are done."""
    reach = np.sqrt(max(best - floor, 0.0))
    a0, a1 = _widen(first[0], last[0], dose.shape[0], p[0], reach, step[0])
    b0, b1 = _widen(first[1], last[1], dose.shape[1], p[1], reach, step[1])
    c0, c1 = _widen(first[2], last[2], dose.shape[2], p[2], reach, step[2])
    for i in range(a0, a1 + 1):
        for j in range(b0, b1 + 1):
            known = first[0] <= i <= last[0] and first[1] <= j <= last[1]
            for k in range(c0, c1 + 1):
                if known and first[2] <= k <= last[2]:
                    continue
                best, x = visit(dose, cells, i, j, k, p, w, r, step, rho, d, dta, simplex, best, x)
    reach = np.sqrt(max(best - floor, 0.0))
    if (
        _reaches(p[0], reach / step[0], a0, a1, dose.shape[0])
        or _reaches(p[1], reach / step[1], b0, b1, dose.shape[1])
        or _reaches(p[2], reach / step[2], c0, c1, dose.shape[2])
    ):
        inner = (a0, a1, b0, b1, c0, c1)
        best, x = _far(
            dose, cells, blocks, inner, p, w, r, step, rho, d, dta, simplex, floor, best, x
        )
    return best, x


@compiled
def _far(  # type: ignore[no-untyped-def]
    dose, cells, blocks, inner, p, w, r, step, rho, d, dta, simplex, floor, best, x
):  # pragma: no cover
    """Search block by block, in rings around the voxel's own, until none can be better."""
    home = (
        min(np.int64(p[0]), dose.shape[0] - 2) // BLOCK,
        min(np.int64(p[1]), dose.shape[1] - 2) // BLOCK,
        min(np.int64(p[2]), dose.shape[2] - 2) // BLOCK,
    )
    rings = max(
        max(home[0], blocks.shape[0] - 1 - home[0]),
        max(home[1], blocks.shape[1] - 1 - home[1]),
        max(home[2], blocks.shape[2] - 1 - home[2]),
    )
    for ring in range(rings + 1):
        # The reach shrinks as better points are found; blocks beyond it are not even looked at.
        reach = np.sqrt(max(best - floor, 0.0))
        a0, a1 = _blocks_within(home[0], ring, p[0], reach / step[0], blocks.shape[0])
        b0, b1 = _blocks_within(home[1], ring, p[1], reach / step[1], blocks.shape[1])
        c0, c1 = _blocks_within(home[2], ring, p[2], reach / step[2], blocks.shape[2])
        touched = False
        for a in range(a0, a1 + 1):
            for b in range(b0, b1 + 1):
                side = abs(a - home[0]) == ring or abs(b - home[1]) == ring
                for c in range(c0, c1 + 1):
                    if not side and abs(c - home[2]) != ring:
                        continue
                    touched = True
                    near = (
                        distance_from(p[0], a * BLOCK, a * BLOCK + BLOCK - 1, step[0])
                        + distance_from(p[1], b * BLOCK, b * BLOCK + BLOCK - 1, step[1])
                        + distance_from(p[2], c * BLOCK, c * BLOCK + BLOCK - 1, step[2])
                    )
                    gap = max(0.0, blocks[a, b, c, 0] - d, d - blocks[a, b, c, 1])
                    if near + rho * gap * gap >= best:
                        continue
                    best, x = _through_block(
                        dose, cells, a, b, c, inner, p, w, r, step, rho, d, dta, simplex, best, x
                    )
        if not touched:
            break
    return best, x


@compiled
def _through_block(  # type: ignore[no-untyped-def]
    dose, cells, a, b, c, inner, p, w, r, step, rho, d, dta, simplex, best, x
):  # pragma: no cover
    for i in range(a * BLOCK, min(a * BLOCK + BLOCK, cells.shape[0])):
        for j in range(b * BLOCK, min(b * BLOCK + BLOCK, cells.shape[1])):
            known = inner[0] <= i <= inner[1] and inner[2] <= j <= inner[3]
            for k in range(c * BLOCK, min(c * BLOCK + BLOCK, cells.shape[2])):
                if known and inner[4] <= k <= inner[5]:
                    continue
                best, x = visit(dose, cells, i, j, k, p, w, r, step, rho, d, dta, simplex, best, x)
    return best, x
