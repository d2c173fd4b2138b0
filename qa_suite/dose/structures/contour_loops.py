"""Contours on planes to simple loops: keyholes cut open, holes told from outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.io.rt.structures import Contour, Structure

SAME_PLANE_MM = 0.01
_SAME_POINT_MM = 1e-3
_NOT_FLAT_MM = 0.5

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ContourPlane:
    """One plane of contours.

    Parameters
    ----------
    place_mm
        Along the normal of the planes.
    loops
        Closed polygons in the plane, each of shape (n, 2), in mm; no keyholes.
    depths
        In how many other loops each lies: even for outlines, odd for holes.
    """

    place_mm: float
    loops: tuple[Points, ...]
    depths: tuple[int, ...]


def planes_of(structure: Structure) -> tuple[tuple[ContourPlane, ...], Points]:
    """Sort the contours of a structure into planes.

    Returns
    -------
    planes : tuple of ContourPlane
        Ascending along the normal.
    axes : ndarray, shape (3, 3)
        Columns: the two axes of the planes and their normal, in LPS.

    Raises
    ------
    InputError
        If the contours are not flat or not parallel.
    """
    turned, axes = _turned(structure)
    thickness = max(float(np.ptp(points[:, 2])) for points in turned)
    if thickness > _NOT_FLAT_MM:
        raise InputError(
            f"The contours of {structure.name} are not flat or not parallel ({thickness:.1f} mm); "
            f"give the structure as a mask."
        )
    groups: list[list[Points]] = []
    places: list[float] = []
    for points in sorted(turned, key=lambda p: float(p[:, 2].mean())):
        place = float(points[:, 2].mean())
        if not places or place - places[-1] > SAME_PLANE_MM:
            places.append(place)
            groups.append([])
        groups[-1].append(points[:, :2])
    planes = (_plane(*pair) for pair in zip(places, groups, strict=True))
    return tuple(plane for plane in planes if plane.loops), axes


def places_mm_of(structure: Structure) -> list[float]:
    """Return where the planes of a structure lie along their normal, ascending, in mm."""
    if not structure.contours:
        return []
    turned, _ = _turned(structure)
    places: list[float] = []
    for place in sorted(float(points[:, 2].mean()) for points in turned):
        if not places or place - places[-1] > SAME_PLANE_MM:
            places.append(place)
    return places


def _turned(structure: Structure) -> tuple[list[Points], Points]:
    axes = _axes(max(structure.contours, key=lambda c: float(np.linalg.norm(_area(c)))))
    return [contour @ axes for contour in structure.contours], axes


def _plane(place: float, polygons: list[Points]) -> ContourPlane:
    loops = [loop for polygon in polygons for loop in cut_keyholes(polygon)]
    return ContourPlane(place_mm=place, loops=tuple(loops), depths=nesting(loops))


def _area(points: Contour) -> Points:
    centred = points - points[0]
    return np.asarray(np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0) / 2)


def _axes(points: Contour) -> Points:
    normal = _area(points)
    size = float(np.linalg.norm(normal))
    normal = normal / size if size > 0 else np.array([0.0, 0.0, 1.0])
    normal = normal * (1 if normal[int(np.argmax(np.abs(normal)))] > 0 else -1)
    first = np.eye(3)[0 if abs(normal[0]) < 0.9 else 1]
    first = first - (first @ normal) * normal
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal], axis=1)


def cut_keyholes(polygon: Points) -> list[Points]:
    """Split a polygon at edges that it runs along in both directions.

    The two sides of a keyhole's channel cancel, and what remains is its outline and its hole.

    Returns
    -------
    list of ndarray
        Loops of three points or more; the polygon itself where it has no such edge.
    """
    count = len(polygon)
    rounded = np.round(polygon / _SAME_POINT_MM).astype(np.int64)
    _, numbers = np.unique(rounded[:, 0] * (1 << 31) + rounded[:, 1], return_inverse=True)
    following = np.roll(numbers, -1)
    moves = numbers != following
    there, back = numbers * count + following, following * count + numbers
    if not np.isin(there[moves], back[moves]).any():
        return [polygon] if np.count_nonzero(moves) >= 3 else []
    keys = numbers.tolist()
    edges = [(n, (n + 1) % count) for n in range(count) if keys[n] != keys[(n + 1) % count]]
    unmatched: dict[tuple[int, int], list[int]] = {}
    kept = set(range(len(edges)))
    for number, (a, b) in enumerate(edges):
        twins = unmatched.get((keys[b], keys[a]))
        if twins:
            kept -= {number, twins.pop()}
        else:
            unmatched.setdefault((keys[a], keys[b]), []).append(number)
    leaving: dict[int, list[int]] = {}
    for number in sorted(kept, reverse=True):
        leaving.setdefault(keys[edges[number][0]], []).append(number)
    loops = []
    for start in sorted(kept):
        points, place = [], keys[edges[start][0]]
        while leaving.get(place):
            number = leaving[place].pop()
            points.append(polygon[edges[number][0]])
            place = keys[edges[number][1]]
        if len(points) >= 3:
            loops.append(np.array(points))
    return loops


def nesting(loops: Sequence[Points]) -> tuple[int, ...]:
    """Count for every loop in how many others it lies.

    Loops that cross are no nest: then all of the plane count as outlines of one level, and the
    even-odd rule says what is inside.
    """
    if len(loops) < 2:
        return (0,) * len(loops)
    depths = []
    for n, loop in enumerate(loops):
        depth = 0
        for m, other in enumerate(loops):
            if m == n or not _boxes_touch(loop, other):
                continue
            share = float(contains(other, loop).mean())
            if 0.1 < share < 0.9:
                return (0,) * len(loops)
            depth += share > 0.5
        depths.append(depth)
    return tuple(depths)


def _boxes_touch(first: Points, second: Points) -> bool:
    low, high = first.min(axis=0), first.max(axis=0)
    return bool((low <= second.max(axis=0)).all() and (high >= second.min(axis=0)).all())


def contains(polygon: Points, points: Points) -> NDArray[np.bool_]:
    """Say which points, shape (n, 2), lie in a polygon (even-odd)."""
    x, y = points[:, None, 0], points[:, None, 1]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    crosses = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        right = x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return np.asarray((crosses & right).sum(axis=1) % 2 == 1)
