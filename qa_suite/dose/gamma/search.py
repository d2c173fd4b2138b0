"""The search: for every reference voxel the nearest point of the evaluated dose, cell by cell.

Cells touching the voxel come first, then their neighbours, then blocks of cells outwards. What
cannot hold a better point is left out: a cell or block is no nearer than its distance and its
range of dose. The result is the minimum over the whole evaluated dose, not over a set of samples.
Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.dose.gamma.cells import cell_coefficients, cell_value
from qa_suite.dose.gamma.ring_search import look_beyond
from qa_suite.dose.gamma.visits import look_in_cell, visit
from qa_suite.imaging.compiled import compiled

_ON_VOXEL = 1e-5  # of a voxel: a reference voxel this near to an evaluated one lies on it


@compiled
def _is_voxel(p):  # type: ignore[no-untyped-def]  # pragma: no cover
    return abs(p - np.floor(p + 0.5)) <= _ON_VOXEL


@compiled
def _touching(p, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """First and last cell along an axis that touches position ``p``."""
    if _is_voxel(p):
        nearest = np.int64(np.floor(p + 0.5))
        return max(nearest - 1, 0), min(nearest, size - 2)
    first = min(max(np.int64(np.floor(p)), 0), size - 2)
    return first, first


@compiled
def _downhill_side(dose, i, j, k, axis, first, last, e):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Which of the two cells beside a voxel along an axis the dose difference falls towards."""
    if first == last:
        return 0
    if axis == 0:
        slope = dose[last + 1, j, k] - dose[first, j, k]
    elif axis == 1:
        slope = dose[i, last + 1, k] - dose[i, first, k]
    else:
        slope = dose[i, j, last + 1] - dose[i, j, first]
    return 1 if e * slope < 0 else 0


@compiled
def _leads_away(dose, i, j, k, axis, di, dj, dk, e):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether the four edges of a cell along an axis all lead away from the sought dose.

    The cell lies on the sides ``di, dj, dk`` (-1 or 1) of voxel ``i, j, k``. Where they do, no
    point of the cell is better than the best of its face through the voxel: the foot of a point
    on that face is nearer and, unless the dose difference has changed its sign by then (so that
    it is zero on the way there, nearer still), has the smaller difference.
    """
    for one in range(2):
        for two in range(2):
            if axis == 0:
                b, c = j + one * dj, k + two * dk
                rise = dose[i + di, b, c] - dose[i, b, c]
            elif axis == 1:
                a, c = i + one * di, k + two * dk
                rise = dose[a, j + dj, c] - dose[a, j, c]
            else:
                a, b = i + one * di, j + two * dj
                rise = dose[a, b, k + dk] - dose[a, b, k]
            if e * rise < 0:
                return False
    return True


@compiled
def _cells_to_visit(dose, i, j, k, first, last, e):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cell beside the voxel that comes first (bits: upper side an axis), and a bit for each to do.

    Bit ``t`` stands for the cell on the other side of the axes in ``t``.
    """
    choice = (
        _downhill_side(dose, i, j, k, 0, first[0], last[0], e)
        + 2 * _downhill_side(dose, i, j, k, 1, first[1], last[1], e)
        + 4 * _downhill_side(dose, i, j, k, 2, first[2], last[2], e)
    )
    todo = 1
    for turn in range(1, 8):
        if (
            (turn & 1 and first[0] == last[0])
            or (turn & 2 and first[1] == last[1])
            or (turn & 4 and first[2] == last[2])
        ):
            continue
        o = choice ^ turn
        di = 1 if (o & 1 if first[0] < last[0] else i == first[0]) else -1
        dj = 1 if (o & 2 if first[1] < last[1] else j == first[1]) else -1
        dk = 1 if (o & 4 if first[2] < last[2] else k == first[2]) else -1
        if not (
            (turn & 1 and _leads_away(dose, i, j, k, 0, di, dj, dk, e))
            or (turn & 2 and _leads_away(dose, i, j, k, 1, di, dj, dk, e))
            or (turn & 4 and _leads_away(dose, i, j, k, 2, di, dj, dk, e))
        ):
            todo |= 1 << turn
    return choice, todo


@compiled
def _nearby(  # type: ignore[no-untyped-def]
    dose, cells, p, first, last, choice, todo, w, r, step, rho, d, dta, simplex, best, x
):  # pragma: no cover
    """Look for a better point in the cells that touch the voxel."""
    for turn in range(8):
        if not todo >> turn & 1:
            continue
        o = choice ^ turn
        best, x = visit(
            dose,
            cells,
            last[0] if o & 1 else first[0],
            last[1] if o & 2 else first[1],
            last[2] if o & 4 else first[2],
            p,
            w,
            r,
            step,
            rho,
            d,
            dta,
            simplex,
            best,
            x,
        )
    return best, x


@compiled
def search(  # type: ignore[no-untyped-def]
    where,
    reference,
    matrix,
    dose,
    cells,
    blocks,
    extremes,
    step,
    rho,
    local,
    dta,
    cap,
    simplex,
    out,
):  # pragma: no cover
    """Distances in mm of reference voxels to the evaluated dose, one row of ``out`` a search.

    ``where`` are flat indices of voxels that lie within the evaluated grid; ``matrix`` (3×4)
    takes their indices to those of the evaluated grid. ``rho`` is the squared ratio of distance
    to dose criterion, in (mm/Gy)², or in mm² of a relative dose difference where ``local``.
    ``out`` (searches × voxels) divided by the distance criterion ``dta`` is gamma.
    """
    nj, nk = reference.shape[1], reference.shape[2]
    w = (step[0] * step[0], step[1] * step[1], step[2] * step[2])
    r = (1.0 / w[0], 1.0 / w[1], 1.0 / w[2])
    steps = (step[0], step[1], step[2])
    latest = np.full((rho.size, 3), -1.0)  # nearest point of the last voxel that had it far away
    for n in range(where.size):
        i = where[n] // (nj * nk)
        j = where[n] // nk - i * nj
        k = where[n] - (i * nj + j) * nk
        d = np.float64(reference[i, j, k])
        p = (
            _within(matrix, 0, i, j, k, dose.shape[0]),
            _within(matrix, 1, i, j, k, dose.shape[1]),
            _within(matrix, 2, i, j, k, dose.shape[2]),
        )
        a0, a1 = _touching(p[0], dose.shape[0])
        b0, b1 = _touching(p[1], dose.shape[1])
        c0, c1 = _touching(p[2], dose.shape[2])
        first, last = (a0, b0, c0), (a1, b1, c1)
        room = min(
            _room(p[0], a0, a1, dose.shape[0], steps[0]),
            _room(p[1], b0, b1, dose.shape[1], steps[1]),
            _room(p[2], c0, c1, dose.shape[2], steps[2]),
        )
        gap = max(0.0, extremes[0] - d, d - extremes[1])
        a, b, c = np.int64(p[0] + 0.5), np.int64(p[1] + 0.5), np.int64(p[2] + 0.5)
        e = np.float64(dose[a, b, c]) - d
        on_voxel = _is_voxel(p[0]) and _is_voxel(p[1]) and _is_voxel(p[2])
        if not on_voxel:
            coefficients = cell_coefficients(dose, a1, b1, c1)
            e = cell_value(coefficients, p[0] - a1, p[1] - b1, p[2] - c1) - d
        choice, todo = 0, 255
        if on_voxel or not simplex:
            choice, todo = _cells_to_visit(dose, a, b, c, first, last, e)
        else:  # between voxels the dose over tetrahedra is another one
            e = np.float64(np.inf)
        i, j, k = a1 if choice & 1 else a0, b1 if choice & 2 else b0, c1 if choice & 4 else c0
        coefficients = cell_coefficients(dose, i, j, k)
        q = (p[0] - i, p[1] - j, p[2] - k)
        x, away, off = p, 0.0, np.inf  # the last search's point: squared distance and difference
        for s in range(rho.size):
            ratio = rho[s] / (d * d) if local[s] else rho[s]
            limit = cap[s] * cap[s]
            best = min(ratio * e * e, limit, away + ratio * off)
            if best < away + ratio * off:
                x = p
            if best > 1e-12 * dta[s] * dta[s]:
                if todo == 1 and not simplex:
                    best, x = look_in_cell(
                        coefficients, i, j, k, q, w, r, ratio, d, dta[s], best, x
                    )
                else:
                    best, x = _nearby(
                        dose,
                        cells,
                        p,
                        first,
                        last,
                        choice,
                        todo,
                        w,
                        r,
                        steps,
                        ratio,
                        d,
                        dta[s],
                        simplex,
                        best,
                        x,
                    )
                floor = ratio * gap * gap
                if best - floor > room:
                    if not simplex:
                        best, x = _as_before(dose, latest[s], p, w, ratio, d, best, x)
                    best, x = look_beyond(
                        dose,
                        cells,
                        blocks,
                        p,
                        first,
                        last,
                        w,
                        r,
                        steps,
                        ratio,
                        d,
                        dta[s],
                        simplex,
                        floor,
                        best,
                        x,
                    )
                    latest[s, 0], latest[s, 1], latest[s, 2] = x[0], x[1], x[2]
            out[s, n] = np.sqrt(best)
            off = np.inf
            if best < limit:
                away = _squared(x, p, w)
                off = max(best - away, 0.0) / ratio


@compiled
def _as_before(dose, latest, p, w, rho, d, best, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Try the point that was nearest to another voxel: neighbours have neighbouring ones."""
    if latest[0] < 0.0:
        return best, x
    i = min(np.int64(latest[0]), dose.shape[0] - 2)
    j = min(np.int64(latest[1]), dose.shape[1] - 2)
    k = min(np.int64(latest[2]), dose.shape[2] - 2)
    tried = (latest[0], latest[1], latest[2])
    f = cell_value(cell_coefficients(dose, i, j, k), tried[0] - i, tried[1] - j, tried[2] - k)
    value = _squared(tried, p, w) + rho * (f - d) ** 2
    if value < best:
        return value, tried
    return best, x


@compiled
def _squared(x, p, w):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance of two points, in mm²."""
    return w[0] * (x[0] - p[0]) ** 2 + w[1] * (x[1] - p[1]) ** 2 + w[2] * (x[2] - p[2]) ** 2


@compiled
def _room(p, first, last, size, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance, in mm², from ``p`` to where cells beyond ``first`` to ``last`` begin."""
    below = (p - first) * step if first > 0 else np.inf
    above = (last + 1 - p) * step if last < size - 2 else np.inf
    return min(below, above) ** 2


@compiled
def _within(matrix, axis, i, j, k, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Position along an axis of the evaluated grid, moved onto it where rounding put it off."""
    p = matrix[axis, 0] * i + matrix[axis, 1] * j + matrix[axis, 2] * k + matrix[axis, 3]
    return min(max(p, 0.0), size - 1.0)
