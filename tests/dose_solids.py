"""Spheres, cylinders and cones: their volumes and doses in closed form, and their contours.

All are centred on the origin; cylinders and cones are 30 mm long, along z (across the slices) or
along x (in them).
"""

from __future__ import annotations

import numpy as np

from qa_suite.dose.structures.samples import ShapeStructure
from qa_suite.io.rt.structures import Structure

LENGTH_MM = 30.0
_TURN = 2 * np.pi * np.arange(96) / 96


def circle(radius, z, centre=(0.0, 0.0)):
    x, y = centre[0] + radius * np.cos(_TURN), centre[1] + radius * np.sin(_TURN)
    return np.stack([x, y, np.full(len(_TURN), z)], axis=1)


def slices(low, high, step, offset):
    places = np.arange(-100, 101) * step + offset
    return places[(places >= low) & (places < high)]


def sphere(radius, step, offset):
    places = slices(-radius, radius, step, offset)
    contours = [circle(np.sqrt(radius**2 - z**2), z) for z in places if abs(z) < radius]
    return contours, 4 / 3 * np.pi * radius**3


def cylinder_across(radius, step, offset):
    half = LENGTH_MM / 2
    places = slices(-half, half, step, offset)
    return [circle(radius, z) for z in places], np.pi * radius**2 * LENGTH_MM


def cylinder_within(radius, step, offset):
    half, contours = LENGTH_MM / 2, []
    for z in slices(-radius, radius, step, offset):
        w = np.sqrt(max(radius**2 - z**2, 0))
        contours.append(np.array([(-half, -w, z), (half, -w, z), (half, w, z), (-half, w, z)]))
    return contours, np.pi * radius**2 * LENGTH_MM


def cone_across(radius, step, offset):
    """Its flat base lies half a slice below the first contour."""
    places = np.arange(0, 100) * step + step / 2
    contours = [
        circle(radius * (1 - z / LENGTH_MM), z - LENGTH_MM / 2 + offset)
        for z in places[places < LENGTH_MM]
    ]
    return contours, np.pi * radius**2 * LENGTH_MM / 3


def cone_within(radius, step, offset):
    contours = []
    for z in slices(-radius, radius, step, offset):
        tip = LENGTH_MM * (1 - abs(z) / radius)
        if tip <= 0:
            continue
        x = tip * (1 - np.linspace(1, 0, 60) ** 2)
        w = np.sqrt(np.maximum((radius * (1 - x / LENGTH_MM)) ** 2 - z**2, 0))
        there, back = np.stack([x, w], axis=1), np.stack([x[::-1], -w[::-1]], axis=1)[1:]
        both = np.concatenate([there, back])
        contours.append(np.column_stack([both, np.full(len(both), z)]))
    return contours, np.pi * radius**2 * LENGTH_MM / 3


DRAWN = {
    "sphere": sphere,
    "cylinder across": cylinder_across,
    "cylinder within": cylinder_within,
    "cone across": cone_across,
    "cone within": cone_within,
}


def drawn(solid, radius, step, offset):
    """A solid as contours, and its volume in mm³."""
    contours, volume = DRAWN[solid](radius, step, offset)
    return Structure(name=solid, kind="", contours=tuple(contours)), volume


def _sphere_inside(radius):
    return lambda p: (p**2).sum(axis=1) <= radius**2


def _cylinder_inside(radius):
    return lambda p: (p[:, 0] ** 2 + p[:, 1] ** 2 <= radius**2) & (abs(p[:, 2]) <= LENGTH_MM / 2)


def _cone_inside(radius):
    """Base at z = -15 mm, tip at z = 15 mm."""

    def inside(p):
        share = 0.5 - p[:, 2] / LENGTH_MM
        return (share >= 0) & (share <= 1) & (p[:, 0] ** 2 + p[:, 1] ** 2 <= (radius * share) ** 2)

    return inside


def analytic(solid, radius):
    """A solid as a function of the position; its axis is z."""
    inside = {"sphere": _sphere_inside, "cylinder": _cylinder_inside, "cone": _cone_inside}[solid]
    high = radius if solid == "sphere" else LENGTH_MM / 2
    box = (radius, radius, high)
    return ShapeStructure(
        name=solid, inside=inside(radius), low_mm=tuple(-v for v in box), high_mm=box
    )


def volume_mm3(solid, radius):
    return {
        "sphere": 4 / 3 * np.pi * radius**3,
        "cylinder": np.pi * radius**2 * LENGTH_MM,
        "cone": np.pi * radius**2 * LENGTH_MM / 3,
    }[solid]


def share_above(solid, radius, z, axis="z"):
    """Share of the volume at positions of ``z`` or more along an axis (z or x)."""
    if solid == "sphere":
        height = np.clip(radius - z, 0, 2 * radius)
        return np.pi * height**2 * (3 * radius - height) / 3 / volume_mm3("sphere", radius)
    if axis == "x":
        if solid == "cylinder":
            t = np.clip(z / radius, -1, 1)
            return (np.arccos(t) - t * np.sqrt(1 - t * t)) / np.pi
        return _cone_across_x(radius, z)
    share = np.clip(0.5 - z / LENGTH_MM, 0, 1)
    return share if solid == "cylinder" else share**3


def _cone_across_x(radius, x):
    """Integrate the segments of its circles, finely."""
    t = (np.arange(20000) + 0.5) / 20000
    cut = np.clip(x / (radius * t), -1, 1)
    areas = (np.arccos(cut) - cut * np.sqrt(1 - cut * cut)) * t**2
    return areas.mean() * 3 / np.pi


def place_at_share(solid, radius, share, axis="z"):
    """Return the position that ``share`` of the volume lies above."""
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        if share_above(solid, radius, middle, axis) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
