"""Fluence of an imported photon beam: which share of each pixel is open, for which share of MU.

Maps lie in the isocentre plane, in the axes of the beam limiting device (IEC 61217): the second
index runs along +x (crossline), the first along +y (inline), and the map's centre is the
central axis. A value is 1 where the field is open for all monitor units of the beam; leaves and
jaws are sharp and let nothing through, since leakage and penumbra belong to the engine's machine.

Between two control points everything moves linearly with the monitor units: the standard leaves
that open (PS3.3, C.8.8.14.5), and linacs are driven so.

Open areas of jaws and leaves are exact, so that a leaf edge within a pixel opens its part of the
pixel. Where only the leaves of one multileaf collimator move, the mean over a linear motion is
exact too: the open length of a pixel is the difference of two clipped leaf edges, and a clipped
linear motion has a closed integral. Where other parts move as well, the motion is cut into steps
in which none of them moves by more than a quarter of a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.tolerances import LENGTH_MM
from qa_suite.dose.clinic.arcs import STEP_DEG, Part, still_parts
from qa_suite.io.rt.plan.types import BeamLimiter, ControlPoint, FloatArray, PhotonBeam

SHAPE = (400, 400)
PIXEL_MM = 1.0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a beam with one set of angles.

    Parameters
    ----------
    gantry_deg, collimator_deg, couch_deg
        Of an arc: in the middle of the part, by monitor units.
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


def segment_fluences(
    beam: PhotonBeam,
    shape: tuple[int, int] = SHAPE,
    pixel_mm: float = PIXEL_MM,
    *,
    step_deg: float = STEP_DEG,
) -> tuple[Segment, ...]:
    """Return the fluence of each part of a beam in which the angles count as still.

    A static beam, step-and-shoot and sliding window are one part each; an arc is cut into parts
    that turn by a step at most (:mod:`qa_suite.dose.clinic.arcs`), however far apart or near its
    control points are.

    Parameters
    ----------
    step_deg
        Most that gantry, collimator or couch turn within a part.

    Raises
    ------
    InputError
        If the field reaches beyond the map.
    """
    edges = (_pixel_edges(shape[0], pixel_mm), _pixel_edges(shape[1], pixel_mm))
    _require_room(beam, shape, pixel_mm)
    return tuple(_segment(beam, part, edges) for part in still_parts(beam, step_deg))


def _segment(beam: PhotonBeam, part: Part, edges: tuple[FloatArray, FloatArray]) -> Segment:
    along, across = edges
    fluence = np.zeros((len(along) - 1, len(across) - 1))
    for motion in part.motions:
        opening = mean_opening(beam.limiters, motion.first, motion.second, across, along)
        fluence += motion.weight / part.weight * opening
    gantry, collimator, couch = part.angles_deg
    return Segment(
        gantry_deg=gantry,
        collimator_deg=collimator,
        couch_deg=couch,
        weight=part.weight,
        fluence=fluence.astype(np.float32),
    )


def _pixel_edges(size: int, pixel_mm: float) -> FloatArray:
    return np.asarray((np.arange(size + 1) - size / 2) * pixel_mm, dtype=float)


def _require_room(beam: PhotonBeam, shape: tuple[int, int], pixel_mm: float) -> None:
    """Refuse a field that the map would cut."""
    half = {"x": shape[1] * pixel_mm / 2, "y": shape[0] * pixel_mm / 2}
    for point in beam.control_points:
        frame = _frame(beam.limiters, point.positions_mm)
        for axis, (low, high) in frame.items():
            reach = max(-low, high)
            if high > low and reach > half[axis] + LENGTH_MM:
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


STILL_MM = 1e-6
_STEP_PIXELS = 0.25

Positions = Mapping[str, FloatArray]


def narrowed(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the interval that two intervals share; its low end above its high end if none."""
    return max(first[0], second[0]), min(first[1], second[1])


def mean_opening(
    limiters: Sequence[BeamLimiter],
    first: ControlPoint,
    second: ControlPoint,
    x_edges: FloatArray,
    y_edges: FloatArray,
) -> FloatArray:
    """Return the open share of each pixel, mean over the motion between two control points."""
    moves = {
        one.kind: float(np.abs(second.positions_mm[one.kind] - first.positions_mm[one.kind]).max())
        for one in limiters
    }
    moving = [kind for kind, way in moves.items() if way > STILL_MM]
    leaves = [one for one in limiters if one.boundaries_mm is not None]
    swept = leaves[0] if len(leaves) == 1 else None  # the one part whose motion is exact
    others = [moves[kind] for kind in moving if swept is None or kind != swept.kind]
    if not moving:
        return _opening(limiters, first.positions_mm, x_edges, y_edges)
    if swept is not None and not others:
        ends = (first.positions_mm, second.positions_mm)
        return _swept(limiters, swept, *ends, x_edges, y_edges)
    pixel = float(x_edges[1] - x_edges[0])
    count = int(np.ceil(max(others) / (_STEP_PIXELS * pixel)))
    total = np.zeros((len(y_edges) - 1, len(x_edges) - 1))
    for start, end in pairwise(np.linspace(0.0, 1.0, count + 1)):
        lows, middles, highs = (
            _between(first.positions_mm, second.positions_mm, t)
            for t in (start, (start + end) / 2, end)
        )
        if swept is not None:
            kind = swept.kind
            ends = (middles | {kind: lows[kind]}, middles | {kind: highs[kind]})
            total += _swept(limiters, swept, *ends, x_edges, y_edges)
        else:
            total += _opening(limiters, middles, x_edges, y_edges)
    return total / count


def _between(first: Positions, second: Positions, t: float) -> dict[str, FloatArray]:
    return {kind: (1 - t) * first[kind] + t * second[kind] for kind in first}


def _opening(
    limiters: Sequence[BeamLimiter], positions: Positions, x_edges: FloatArray, y_edges: FloatArray
) -> FloatArray:
    """Return the open share of each pixel for parts that stand still."""
    jaws = _jaw_frame(limiters, positions)
    rectangles = [np.array([[jaws["x"][0], jaws["x"][1], jaws["y"][0], jaws["y"][1]]])]
    for one in limiters:
        if one.boundaries_mm is not None:
            rectangles.append(_leaf_rectangles(one, positions[one.kind]))
    boxes = rectangles[0]
    for more in rectangles[1:]:
        low = np.maximum(boxes[:, None, 0::2], more[None, :, 0::2])
        high = np.minimum(boxes[:, None, 1::2], more[None, :, 1::2])
        boxes = np.stack([low[..., 0], high[..., 0], low[..., 1], high[..., 1]], axis=-1)
        boxes = boxes.reshape(-1, 4)
        boxes = boxes[(boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])]
    across = _overlap(boxes[:, 0], boxes[:, 1], x_edges)
    along = _overlap(boxes[:, 2], boxes[:, 3], y_edges)
    return np.asarray(along.T @ across)


def _jaw_frame(
    limiters: Sequence[BeamLimiter], positions: Positions
) -> dict[str, tuple[float, float]]:
    """Return the rectangle of the jaws alone; endless where there are none."""
    frame = {"x": (-np.inf, np.inf), "y": (-np.inf, np.inf)}
    for one in limiters:
        if one.boundaries_mm is None:
            low, high = positions[one.kind][:, 0]
            frame[one.axis] = narrowed(frame[one.axis], (float(low), float(high)))
    return frame


def _leaf_rectangles(leaves: BeamLimiter, edges: FloatArray) -> FloatArray:
    """Return x low, x high, y low, y high of the opening of each pair, shape (pairs, 4)."""
    sides = leaves.boundaries_mm
    assert sides is not None
    if leaves.axis == "x":
        return np.stack([edges[0], edges[1], sides[:-1], sides[1:]], axis=1)
    return np.stack([sides[:-1], sides[1:], edges[0], edges[1]], axis=1)


def _overlap(low: FloatArray, high: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the share of each pixel between low and high, shape (len(low), pixels)."""
    inner = np.minimum(high[:, None], edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1])
    return np.asarray(np.clip(inner, 0.0, None) / (edges[1] - edges[0]))


def _swept(
    limiters: Sequence[BeamLimiter],
    leaves: BeamLimiter,
    first: Positions,
    second: Positions,
    x_edges: FloatArray,
    y_edges: FloatArray,
) -> FloatArray:
    """Return the mean open share while the leaves of one collimator move linearly."""
    jaws = _jaw_frame(limiters, first)
    sides = leaves.boundaries_mm
    assert sides is not None
    along_x = leaves.axis == "x"
    travel, across = (x_edges, y_edges) if along_x else (y_edges, x_edges)
    limits, side_limits = (jaws["x"], jaws["y"]) if along_x else (jaws["y"], jaws["x"])
    low_side = np.maximum(sides[:-1], side_limits[0])
    high_side = np.minimum(sides[1:], side_limits[1])
    inner = np.clip(travel, *limits)  # pixels, cut to what the jaws leave of them
    start, end = first[leaves.kind], second[leaves.kind]
    opened = _mean_clipped(start[1], end[1], inner) - _mean_clipped(start[0], end[0], inner)
    pairs = opened / (travel[1] - travel[0])
    shares = _overlap(low_side, high_side, across)
    result = shares.T @ pairs
    return np.asarray(result if along_x else result.T)


def _mean_clipped(start: FloatArray, end: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the mean of an edge that moves linearly, clipped to each pixel.

    The integral of clip(v, a, b) over v is 0 below a where counted from a, quadratic within
    and linear above; its difference over the way, divided by the way, is the mean.

    Returns
    -------
    ndarray of float, shape (pairs, pixels)
        In mm above the pixel's lower edge.
    """
    low, high = edges[None, :-1], edges[None, 1:]
    way = (end - start)[:, None]
    still = np.abs(way) <= STILL_MM
    moved = _clip_integral(end[:, None], low, high) - _clip_integral(start[:, None], low, high)
    resting = np.clip(start[:, None], low, high) - low
    return np.where(still, resting, moved / np.where(still, 1.0, way))


def _clip_integral(value: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    inside = np.clip(value, low, high) - low
    return np.asarray(inside**2 / 2 + np.maximum(value - high, 0.0) * (high - low))
