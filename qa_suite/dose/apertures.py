"""Fluence of an imported photon beam: which share of each pixel is open, for which share of MU.

Maps lie in the isocentre plane, in the axes of the beam limiting device (IEC 61217): the second
index runs along +x (crossline), the first along +y (inline), and the map's centre is the
central axis. A value is 1 where the field is open for all monitor units of the beam; leaves and
jaws are sharp and let nothing through, since leakage and penumbra belong to the engine's machine.

Between two control points everything moves linearly with the monitor units: the standard leaves
that open (PS3.3, C.8.8.14.5), and linacs are driven so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.open_areas import STILL_MM, Positions, mean_opening, narrowed
from qa_suite.errors import InputError
from qa_suite.io.rtplan_types import BeamLimiter, ControlPoint, FloatArray, PhotonBeam

SHAPE = (400, 400)
PIXEL_MM = 1.0
_STILL_DEG = 1e-6


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a beam with one set of angles.

    Parameters
    ----------
    gantry_deg, collimator_deg, couch_deg
        Of an arc: in the middle between two control points.
    weight
        Share of the beam's monitor units, 0 to 1.
    fluence
        Open share of each pixel over the segment's own monitor units, 0 to 1; float32, shape
        (inline, crossline).
    """

    gantry_deg: float
    collimator_deg: float
    couch_deg: float
    weight: float
    fluence: NDArray[Any] = field(repr=False)


def aperture_fluence(
    beam: PhotonBeam, shape: tuple[int, int] = SHAPE, pixel_mm: float = PIXEL_MM
) -> NDArray[np.float32]:
    """Return the fluence of a beam whose gantry, collimator and couch stand still.

    Parameters
    ----------
    beam
        From :func:`qa_suite.io.rtplan.read_plan`.
    shape
        Pixels inline and crossline.
    pixel_mm
        Their size in the isocentre plane.

    Returns
    -------
    ndarray of float32, shape ``shape``
        Share of the beam's monitor units for which each pixel is open, weighted by its open
        area; times the beam's monitor units, the MU map.

    Raises
    ------
    InputError
        If an angle changes during the beam, see :func:`segment_fluences`; or if the field
        reaches beyond the map.
    """
    segments = segment_fluences(beam, shape, pixel_mm)
    if len(segments) != 1:
        raise InputError(
            f"Beam {beam.name} turns during delivery; it has {len(segments)} fluences, one for "
            f"each step between control points, and not one."
        )
    return np.asarray(segments[0].fluence, dtype=np.float32)


def segment_fluences(
    beam: PhotonBeam, shape: tuple[int, int] = SHAPE, pixel_mm: float = PIXEL_MM
) -> tuple[Segment, ...]:
    """Return the fluence of each part of a beam in which no angle changes.

    A static beam, step-and-shoot and sliding window are one part each; an arc is one part a
    step between control points, at the middle of its angles. Steps without monitor units are
    left out.

    Raises
    ------
    InputError
        If the field reaches beyond the map.
    """
    edges = tuple(_pixel_edges(size, pixel_mm) for size in shape)
    _require_room(beam, shape, pixel_mm)
    parts: list[Segment] = []
    for first, second in pairwise(beam.control_points):
        weight = second.weight - first.weight
        if weight <= 0:
            continue
        fluence = mean_opening(beam.limiters, first, second, edges[1], edges[0])
        gantry, collimator, couch = _middle_angles(first, second)
        part = Segment(
            gantry_deg=gantry,
            collimator_deg=collimator,
            couch_deg=couch,
            weight=weight,
            fluence=fluence,
        )
        if parts and not _turns(first, second) and _same_angles(parts[-1], part):
            part = _joined(parts.pop(), part)
        elif parts:
            parts[-1] = _rounded(parts[-1])
        parts.append(part)
    return (*parts[:-1], *map(_rounded, parts[-1:]))


def _same_angles(first: Segment, second: Segment) -> bool:
    return (first.gantry_deg, first.collimator_deg, first.couch_deg) == (
        second.gantry_deg,
        second.collimator_deg,
        second.couch_deg,
    )


def _joined(first: Segment, second: Segment) -> Segment:
    weight = first.weight + second.weight
    share = second.weight / weight
    fluence = (1 - share) * first.fluence + share * second.fluence
    return replace(first, weight=weight, fluence=fluence)


def _rounded(part: Segment) -> Segment:
    return replace(part, fluence=part.fluence.astype(np.float32))


def _pixel_edges(size: int, pixel_mm: float) -> FloatArray:
    return np.asarray((np.arange(size + 1) - size / 2) * pixel_mm, dtype=float)


def _require_room(beam: PhotonBeam, shape: tuple[int, int], pixel_mm: float) -> None:
    """Refuse a field that the map would cut."""
    half = {"x": shape[1] * pixel_mm / 2, "y": shape[0] * pixel_mm / 2}
    for point in beam.control_points:
        frame = _frame(beam.limiters, point.positions_mm)
        for axis, (low, high) in frame.items():
            reach = max(-low, high)
            if high > low and reach > half[axis] + STILL_MM:
                raise InputError(
                    f"Beam {beam.name} opens to {reach:.0f} mm along {axis}, beyond a fluence map "
                    f"of {half[axis]:.0f} mm to each side; use a larger map."
                )


def _frame(limiters: Sequence[BeamLimiter], positions: Positions) -> dict[str, tuple[float, float]]:
    """Return the rectangle that jaws and leaf banks leave at most, by axis."""
    frame = {"x": (-np.inf, np.inf), "y": (-np.inf, np.inf)}
    for one in limiters:
        lows, highs = positions[one.kind]
        opened = highs > lows
        across = "y" if one.axis == "x" else "x"
        reach = (float(lows[opened].min()), float(highs[opened].max())) if opened.any() else (0, 0)
        frame[one.axis] = narrowed(frame[one.axis], reach)
        if one.boundaries_mm is not None:
            edges = one.boundaries_mm
            frame[across] = narrowed(frame[across], (float(edges[0]), float(edges[-1])))
    return frame


def _turns(first: ControlPoint, second: ControlPoint) -> bool:
    pairs = (
        (first.gantry_deg, second.gantry_deg),
        (first.collimator_deg, second.collimator_deg),
        (first.couch_deg, second.couch_deg),
    )
    return any(abs(a - b) > _STILL_DEG for a, b in pairs)


def _middle_angles(first: ControlPoint, second: ControlPoint) -> tuple[float, float, float]:
    return (
        _middle(first.gantry_deg, second.gantry_deg, first.gantry_rotation),
        _middle(first.collimator_deg, second.collimator_deg, "NONE"),
        _middle(first.couch_deg, second.couch_deg, "NONE"),
    )


def _middle(start: float, end: float, rotation: str) -> float:
    """Return the angle half way; ``CW`` turns upwards (IEC 61217), no direction the short way."""
    turn = (end - start) % 360.0
    if rotation == "CC" or (rotation == "NONE" and turn > 180.0):
        turn -= 360.0 if turn else 0.0
    return float((start + turn / 2) % 360.0)
