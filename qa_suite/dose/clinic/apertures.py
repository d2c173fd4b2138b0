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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.tolerances import LENGTH_MM
from qa_suite.dose.clinic.arcs import STEP_DEG, Part, still_parts
from qa_suite.dose.clinic.open_areas import Positions, mean_opening, narrowed
from qa_suite.io.rt.plan.types import BeamLimiter, FloatArray, PhotonBeam

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


def aperture_fluence(
    beam: PhotonBeam, shape: tuple[int, int] = SHAPE, pixel_mm: float = PIXEL_MM
) -> NDArray[np.float32]:
    """Return the fluence of a beam whose gantry, collimator and couch stand still.

    Parameters
    ----------
    beam
        From :func:`qa_suite.io.rt.plan.read.read_plan`.
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
            f"each part of {STEP_DEG:g}° at most, and not one."
        )
    return np.asarray(segments[0].fluence, dtype=np.float32)


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
