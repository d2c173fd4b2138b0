"""Exact distance of every point of one set to the nearest point of another.

The points are sorted into cubes of a few voxels, and the cubes into groups. A search goes
through the cubes in shells around a point, and where nothing is near through the groups; it
leaves out all that lies farther away than what is found already. Neighbours in the list start
from the answer of the one before. Nothing is approximated.

Importing this module loads numba, so it is imported where it is used.

``queries`` ask for their nearest of ``points``, both in mm; ``position`` is one of them. Cubes of
edge ``edge`` fill ``shape`` places from ``low`` on, ``cube`` is the one of the position;
``starts`` says at which point each begins, ``cubes`` lists those of each of ``groups``, whose
corners are ``boxes``. ``best`` is the squared distance so far, of point ``where``; ``result``
takes distances in mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.compiled import compiled

_CUBES_IN_A_GROUP = 8
"""Along each axis: so that neither the groups nor the cubes of one are many to look through."""


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
    cubes, groups, boxes = _grouped(ordered, starts, shape)
    result = np.empty(len(queries))
    _search(queries, ordered, starts, low, shape, float(edge), cubes, groups, boxes, result)
    return result


def _grouped(
    points: FloatArray, starts: NDArray[np.int64], shape: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Sort the cubes that hold points into groups of neighbours.

    Returns
    -------
    cubes
        Their numbers, group by group.
    groups
        Where each group starts among them, and their end.
    boxes
        Lowest and highest coordinates of each group's points, shape (groups, 2, 3).
    """
    filled = np.flatnonzero(np.diff(starts))
    place = np.stack(np.unravel_index(filled, tuple(shape))) // _CUBES_IN_A_GROUP
    coarse = tuple(shape // _CUBES_IN_A_GROUP + 1)
    number = np.ravel_multi_index(tuple(place), coarse)
    order = np.argsort(number, kind="stable")
    cubes, number = filled[order], number[order]
    groups = np.r_[np.flatnonzero(np.r_[True, number[1:] != number[:-1]]), len(cubes)]
    boxes = np.empty((len(groups) - 1, 2, 3))
    _fill_boxes(points, starts, cubes, groups, boxes)
    return cubes, groups, boxes


@compiled
def _fill_boxes(  # type: ignore[no-untyped-def]
    points, starts, cubes, groups, boxes
):  # pragma: no cover
    boxes[:, 0] = np.inf
    boxes[:, 1] = -np.inf
    for group in range(groups.size - 1):
        for c in range(groups[group], groups[group + 1]):
            for t in range(starts[cubes[c]], starts[cubes[c] + 1]):
                for axis in range(3):
                    boxes[group, 0, axis] = min(boxes[group, 0, axis], points[t, axis])
                    boxes[group, 1, axis] = max(boxes[group, 1, axis], points[t, axis])


@compiled
def _extent(first, second):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Lowest and highest coordinates of two sets of positions."""
    low, high = first[0].copy(), first[0].copy()
    for positions in (first, second):
        for n in range(positions.shape[0]):
            for axis in range(3):
                low[axis] = min(low[axis], positions[n, axis])
                high[axis] = max(high[axis], positions[n, axis])
    return low, high


@compiled
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


@compiled
def _gap(value, low, edge, cube):  # type: ignore[no-untyped-def]  # pragma: no cover
    """How far a coordinate lies outside the cube's span along one axis, squared."""
    begin = low + cube * edge
    if value < begin:
        return (begin - value) * (begin - value)
    if value > begin + edge:
        return (value - begin - edge) * (value - begin - edge)
    return 0.0


@compiled
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


@compiled
def _search(  # type: ignore[no-untyped-def]
    queries, points, starts, low, shape, edge, cubes, groups, boxes, result
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
            if ring > 1 and (2 * ring + 1) ** 3 > groups.size:
                best, where = _through_groups(
                    position, points, starts, low, shape, edge, cubes, groups, boxes, best, where
                )
                break
            best, where = _through_shell(
                position, points, starts, low, shape, edge, cube, ring, best, where
            )
            ring += 1
        result[n] = np.sqrt(best)


@compiled
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


@compiled
def _through_groups(  # type: ignore[no-untyped-def]
    position, points, starts, low, shape, edge, cubes, groups, boxes, best, where
):  # pragma: no cover
    """Search all groups of cubes: quicker than shells where the nearest is far away."""
    for group in range(groups.size - 1):
        gap = 0.0
        for axis in range(3):
            outside = max(
                boxes[group, 0, axis] - position[axis], position[axis] - boxes[group, 1, axis], 0.0
            )
            gap += outside * outside
        if gap >= best:
            continue
        for c in range(groups[group], groups[group + 1]):
            number = cubes[c]
            k = number % shape[2]
            j = number // shape[2] % shape[1]
            i = number // shape[2] // shape[1]
            gap = _gap(position[2], low[2], edge, k) + _gap(position[1], low[1], edge, j)
            gap += _gap(position[0], low[0], edge, i)
            if gap < best:
                best, where = _best_of(
                    position, points, starts[number], starts[number + 1], best, where
                )
    return best, where
