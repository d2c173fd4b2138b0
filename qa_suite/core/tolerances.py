"""When two numbers of other people's files are one: one tolerance a quantity.

Planning systems write angles as 8e-10 or 359.9999999, weights that begin at 1e-10, and decimals
cut to sixteen characters. Numbers that come out of files are therefore never compared exactly.
Each tolerance lies below what a treatment machine can tell apart and above what writing and
reading a number does to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ANGLE_DEG = 0.05
"""Of gantry, collimator and couch: 0.2 mm at 200 mm from the axis; machines show 0.1°."""
LENGTH_MM = 0.1
"""Of positions, as machines show them; grids have their own (:mod:`qa_suite.core.volume`)."""
SOURCE_MM = 1.0
"""Of the distance from source to axis: 0.2 % of dose by the inverse square at 1000 mm."""
WEIGHT = 1e-3
"""Of cumulative weights and metersets, as a share of the whole beam's."""
METERSET = 1e-3
"""Monitor units (or protons) that count as none."""
ENERGY = 0.01
"""MV or MeV: 0.02 mm of range at 100 MeV."""


def turn_deg(start: float, end: float) -> float:
    """Return the turn from one angle to another the short way, above -180° and up to 180°."""
    turn = math.remainder(end - start, 360.0)
    return turn if turn > -180.0 else 180.0


def same_angle(first: float, second: float = 0.0) -> bool:
    """Whether two angles are one, on the circle."""
    return abs(turn_deg(first, second)) <= ANGLE_DEG


def wrapped_deg(angle: float) -> float:
    """Return an angle from 0 to below 360, without the dust of its arithmetic."""
    wrapped = round(angle, 6) % 360.0
    return 0.0 if wrapped >= 360.0 else wrapped


def same_length(first: float, second: float = 0.0) -> bool:
    """Whether two lengths in mm are one."""
    return abs(first - second) <= LENGTH_MM


def same_source(first: float, second: float) -> bool:
    """Whether two distances from source to axis, in mm, are one."""
    return abs(first - second) <= SOURCE_MM


def no_meterset(meterset: float) -> bool:
    """Whether a meterset delivers nothing."""
    return meterset <= METERSET


def distinct(values: Iterable[float], tolerance: float) -> tuple[float, ...]:
    """Return values in ascending order, those within a tolerance of the one before left out."""
    kept: list[float] = []
    for value in sorted(values):
        if not kept or value - kept[-1] > tolerance:
            kept.append(value)
    return tuple(kept)
