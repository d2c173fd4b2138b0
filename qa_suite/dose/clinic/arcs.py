"""The parts of a beam in which the machine counts as standing still.

A beam is cut into motions between its control points; a motion that turns far is cut again, and
neighbours that turn little are taken together, so that within a part no angle turns by more than
a step. Leaves go on moving within a part: they are averaged exactly, and only the angle is that
of the part's middle.

What steps of 4° do, measured with the photon surrogate in water against finer ones: on
a full arc with a window of 50 mm the target's mean differs by 0.01 %, 99 % of voxels by less than
0.6 % of the maximum, none by 1.5 %; the *difference* between two images by less than 0.1 % anywhere
(``tests/test_dose_arcs.py``). On a partial arc of 120° with a narrow window of 30 mm off the axis
it is 1 % (root mean square) and up to 7 % at field edges near the skin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from qa_suite.core.tolerances import ANGLE_DEG, turn_deg, wrapped_deg
from qa_suite.io.rt.plan.types import ControlPoint, FloatArray, PhotonBeam

STEP_DEG = 4.0
"""Most that gantry, collimator or couch turn within a part."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What a machine does between two states that follow each other.

    Parameters
    ----------
    first, second
        The states; of a motion that was cut, those at the cuts.
    start_deg, end_deg
        Gantry, collimator and couch before and after, shape (3,), counted on without a jump at
        360°.
    """

    first: ControlPoint
    second: ControlPoint
    start_deg: FloatArray
    end_deg: FloatArray

    @property
    def weight(self) -> float:
        """Its share of the beam's meterset."""
        return self.second.weight - self.first.weight


@dataclass(frozen=True, kw_only=True)
class Part:
    """Motions that follow each other and turn by no more than a step together."""

    motions: tuple[Motion, ...]

    @property
    def weight(self) -> float:
        """Its share of the beam's meterset."""
        return sum(motion.weight for motion in self.motions)

    @property
    def angles_deg(self) -> tuple[float, float, float]:
        """Gantry, collimator and couch: means over the meterset, 0 to below 360."""
        total = sum(
            (motion.weight * (motion.start_deg + motion.end_deg) / 2 for motion in self.motions),
            start=np.zeros(3),
        )
        gantry, collimator, couch = (wrapped_deg(float(v)) for v in total / self.weight)
        return gantry, collimator, couch


def still_parts(beam: PhotonBeam, step_deg: float = STEP_DEG) -> tuple[Part, ...]:
    """Cut a beam into parts in which no angle turns by more than a step.

    Motions without meterset deliver nothing and are left out.
    """
    parts: list[list[Motion]] = []
    for motion in _motions(beam, step_deg):
        if parts and _span([*parts[-1], motion]) <= step_deg + ANGLE_DEG:
            parts[-1].append(motion)
        else:
            parts.append([motion])
    return tuple(Part(motions=tuple(part)) for part in parts)


def _span(motions: Sequence[Motion]) -> float:
    angles = np.array([state for one in motions for state in (one.start_deg, one.end_deg)])
    return float(np.ptp(angles, axis=0).max())


def _motions(beam: PhotonBeam, step_deg: float) -> Iterator[Motion]:
    at = np.array(_angles(beam.control_points[0]))
    for first, second in pairwise(beam.control_points):
        turns = np.array(_turns(first, second))
        if second.weight > first.weight:
            count = max(1, math.ceil(float(np.abs(turns).max()) / (step_deg + ANGLE_DEG)))
            for low, high in pairwise(np.arange(count + 1) / count):
                yield Motion(
                    first=_between(first, second, float(low)),
                    second=_between(first, second, float(high)),
                    start_deg=at + low * turns,
                    end_deg=at + high * turns,
                )
        at = at + turns


def _between(first: ControlPoint, second: ControlPoint, share: float) -> ControlPoint:
    """Return a state on the way; weight, jaws and leaves move linearly, angles stay."""
    if share <= 0 or share >= 1:
        return first if share <= 0 else second
    positions = {
        kind: (1 - share) * low + share * second.positions_mm[kind]
        for kind, low in first.positions_mm.items()
    }
    weight = (1 - share) * first.weight + share * second.weight
    return replace(first, weight=weight, positions_mm=positions)


def _angles(point: ControlPoint) -> tuple[float, float, float]:
    return point.gantry_deg, point.collimator_deg, point.couch_deg


def _turns(first: ControlPoint, second: ControlPoint) -> tuple[float, float, float]:
    """Return the turns of gantry, collimator and couch to the next control point.

    ``CW`` is upwards for the gantry, which is looked at from the isocentre, and downwards for
    collimator and couch, which are looked at from the source and from above (PS3.3, C.8.8.14;
    IEC 61217).
    """
    starts, ends = _angles(first), _angles(second)
    return (
        _turn(starts[0], ends[0], {"CW": 1, "CC": -1}.get(first.gantry_rotation, 0)),
        _turn(starts[1], ends[1], {"CW": -1, "CC": 1}.get(first.collimator_rotation, 0)),
        _turn(starts[2], ends[2], {"CW": -1, "CC": 1}.get(first.couch_rotation, 0)),
    )


def _turn(start: float, end: float, sense: int) -> float:
    """Return the turn upwards (1), downwards (-1), or the short way (0).

    Angles that are one by the tolerance do not go round the circle to each other.
    """
    short = turn_deg(start, end)
    if not sense or abs(short) <= ANGLE_DEG or short * sense > 0:
        return short
    return short + sense * 360.0
