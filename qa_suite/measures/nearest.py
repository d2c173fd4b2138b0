"""Exact distance of every point of one set to the nearest point of another.

The points are sorted into cubes of a few voxels; a search goes through the cubes in shells
around a point, and leaves out every cube that lies farther away than what is found already.
Neighbours in the list start from the answer of the one before. Nothing is approximated.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def nearest_distances(queries: FloatArray, points: FloatArray, edge: float) -> FloatArray:
    """Distance of every query to its nearest point.

    Parameters
    ----------
    queries, points
        Positions, shape (n, 3) and (m, 3), in mm. Queries that follow each other should lie
        near each other: it is quicker.
    edge
        Edge of the cubes, in mm; about four times the distance between points. It changes
        the time and not the answer.

    Returns
    -------
    ndarray, shape (n,), in mm; inf where there is no point
    """
    if len(points) == 0 or len(queries) == 0:
        return np.full(len(queries), np.inf)
    low, high = _extent(queries, points)
    shape = np.floor((high - low) / edge).astype(np.int64) + 1
    starts, ordered = _sorted_into_cubes(points, low, shape, float(edge))
    filled = np.flatnonzero(np.diff(starts))
    result = np.empty(len(queries))
    _search(queries, ordered, starts, filled, low, shape, float(edge), result)
    return result


@njit(nogil=True, cache=True)
def _extent(first, second):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Lowest and highest coordinates of two sets of positions."""
    low, high = first[0].copy(), first[0].copy()
    for positions in (first, second):
        for n in range(positions.shape[0]):
            for axis in range(3):
                low[axis] = min(low[axis], positions[n, axis])
                high[axis] = max(high[axis], positions[n, axis])
    return low, high


@njit(nogil=True, cache=True)
def _sorted_into_cubes(points, low, shape, edge):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Points in the order of their cubes, and where each cube's points start."""
    number = np.empty(points.shape[0], dtype=np.int64)
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, dtype=np.int64)
    for n in range(points.shape[0]):
        number[n] = 0
        for axis in range(3):
            cube = min(int((points[n, axis] - low[axis]) / edge), shape[axis] - 1)
            number[n] = number[n] * shape[axis] + cube
        starts[number[n] + 1] += 1
    for cube in range(1, starts.size):
        starts[cube] += starts[cube - 1]
    free = starts.copy()
    ordered = np.empty_like(points)
    for n in range(points.shape[0]):
        ordered[free[number[n]]] = points[n]
        free[number[n]] += 1
    return starts, ordered


@njit(nogil=True, cache=True)
def _gap(value, low, edge, cube):  # type: ignore[no-untyped-def]  # pragma: no cover
    """How far a coordinate lies outside the cube's span along one axis, squared."""
    begin = low + cube * edge
    if value < begin:
        return (begin - value) * (begin - value)
    if value > begin + edge:
        return (value - begin - edge) * (value - begin - edge)
    return 0.0


@njit(nogil=True, cache=True)
def _best_of(  # type: ignore[no-untyped-def]
    position, points, first, stop, best, where
):  # pragma: no cover
    """Smaller of ``best`` and the squared distances to some points, and which point it is."""
    for t in range(first, stop):
        dx = points[t, 0] - position[0]
        dy = points[t, 1] - position[1]
        dz = points[t, 2] - position[2]
        squared = dx * dx + dy * dy + dz * dz
        if squared < best:
            best = squared
            where = t
    return best, where


@njit(nogil=True, cache=True)
def _search(  # type: ignore[no-untyped-def]
    queries, points, starts, filled, low, shape, edge, result
):  # pragma: no cover
    where = 0
    cube = np.empty(3, dtype=np.int64)
    for n in range(queries.shape[0]):
        position = queries[n]
        inset = np.inf  # from the position to the nearest face of its own cube
        for axis in range(3):
            cube[axis] = min(int((position[axis] - low[axis]) / edge), shape[axis] - 1)
            inside = position[axis] - low[axis] - cube[axis] * edge
            inset = min(inset, inside, edge - inside)
        inset = max(inset, 0.0)
        best, where = _best_of(position, points, where, where + 1, np.inf, where)
        ring = 0
        while best > 0.0:
            reach = inset + (ring - 1) * edge  # no cube of this shell is nearer
            if ring > 0 and reach * reach >= best:
                break
            if (2 * ring + 1) ** 3 > 4 * filled.size:
                best, where = _through_list(
                    position, points, starts, filled, low, shape, edge, best, where
                )
                break
            best, where = _through_shell(
                position, points, starts, low, shape, edge, cube, ring, best, where
            )
            ring += 1
        result[n] = np.sqrt(best)


@njit(nogil=True, cache=True)
def _through_shell(  # type: ignore[no-untyped-def]
    position, points, starts, low, shape, edge, cube, ring, best, where
):  # pragma: no cover
    """Search the cubes that are ``ring`` steps away along at least one axis."""
    for i in range(max(cube[0] - ring, 0), min(cube[0] + ring + 1, shape[0])):
        gap_i = _gap(position[0], low[0], edge, i)
        if gap_i >= best:
            continue
        for j in range(max(cube[1] - ring, 0), min(cube[1] + ring + 1, shape[1])):
            gap_j = gap_i + _gap(position[1], low[1], edge, j)
            if gap_j >= best:
                continue
            step = 1  # an outer column is searched whole, an inner one at its two ends
            if abs(i - cube[0]) < ring and abs(j - cube[1]) < ring:
                step = 2 * ring
            for k in range(cube[2] - ring, cube[2] + ring + 1, step):
                if k < 0 or k >= shape[2]:
                    continue
                number = (i * shape[1] + j) * shape[2] + k
                first, stop = starts[number], starts[number + 1]
                if first == stop or gap_j + _gap(position[2], low[2], edge, k) >= best:
                    continue
                best, where = _best_of(position, points, first, stop, best, where)
    return best, where


@njit(nogil=True, cache=True)
def _through_list(  # type: ignore[no-untyped-def]
    position, points, starts, filled, low, shape, edge, best, where
):  # pragma: no cover
    """Search all cubes with points: quicker than shells where the nearest is far away."""
    for number in filled:
        gap = _gap(position[2], low[2], edge, number % shape[2])
        gap += _gap(position[1], low[1], edge, number // shape[2] % shape[1])
        if gap >= best:
            continue
        gap += _gap(position[0], low[0], edge, number // shape[2] // shape[1])
        if gap >= best:
            continue
        best, where = _best_of(position, points, starts[number], starts[number + 1], best, where)
    return best, where
