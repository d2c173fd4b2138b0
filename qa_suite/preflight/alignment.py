"""How far a reference image still lies from its source: a residual rigid shift and rotation.

The motion that maximises the normalised mutual information of the two images is searched
inside the body, a little below the skin: couch and coil deform the surface, and its strong
edge would decide the estimate. The shift is that of the region's centroid, so that it is the
mean displacement over the region whatever the rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.preflight.bodies import centroid, eroded
from qa_suite.preflight.consensus import consensus
from qa_suite.preflight.rigid import (
    Level,
    Place,
    climb,
    displacement_95_mm,
    search,
    similarity,
)
from qa_suite.preflight.sampling import COARSE_MM, sampled_level
from qa_suite.preflight.settings import PreflightSettings
from qa_suite.preflight.structure import components_without_structure
from qa_suite.volume import Volume

Array = NDArray[np.float64]

AXES = ("x", "y", "z")
_STARTS = 6
_BEYOND_REACH_MM = 6.0  # starts lie a little beyond what is to be found
_RIVAL_MM = 10.0
_MIN_INTERIOR_SHARE = 0.25  # thinner bodies are looked at whole
_MIN_SUPPORT = 0.5
_SMALL_ROTATION_DEG = 0.5
_UNBOUND_DEG = 1e6


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where the anatomy of the reference lies, relative to the source.

    Parameters
    ----------
    shift_mm
        Mean displacement over the region (LPS): what lies at x in the source is found at
        x + shift in the reference. Held at 0 along an undetermined axis.
    rotation_deg
        Rotation vector (LPS) about the region's centroid, in degrees; held at 0 likewise.
    shift_determined, rotation_determined
        Along and about which axes the images hold structure that decides it.
    centre_mm
        The region's centroid, LPS.
    displacement_95_mm
        95th percentile of the displacement over the region; a lower bound unless all six
        components are determined.
    best_mm
        The same of the best place of all, undetermined components included.
    rival_mm
        How far from the estimate another place lies that fits as well; 0 where none does.
    consensus
        Share of the evidence of the body's parts that speaks for the motion; 1 for a shift,
        less for a deformation; None where nothing speaks for or against it.
    similarity_before, similarity_after
        Normalised mutual information as found and at the estimate.
    similarity_best
        The same at the best place of all.
    why
        Why nothing could be estimated, or empty.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_determined: tuple[bool, bool, bool] = (False, False, False)
    rotation_determined: tuple[bool, bool, bool] = (False, False, False)
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    displacement_95_mm: float = 0.0
    best_mm: float = 0.0
    rival_mm: float = 0.0
    consensus: float | None = None
    similarity_before: float = 1.0
    similarity_after: float = 1.0
    similarity_best: float = 1.0
    why: str = ""

    @property
    def distance_mm(self) -> float:
        """Length of the shift; a lower bound where an axis is undetermined."""
        return float(np.linalg.norm(self.shift_mm))

    @property
    def angle_deg(self) -> float:
        """Angle of the rotation; a lower bound where an axis is undetermined."""
        return float(np.linalg.norm(self.rotation_deg))

    @property
    def determined(self) -> bool:
        """Whether the whole motion is known: every component, and no other place as good."""
        return (
            not self.why
            and all(self.shift_determined)
            and all(self.rotation_determined)
            and self.rival_mm == 0
        )

    def gain(self, similarity_there: float) -> float:
        """By how much the similarity above chance grows from as found to another place."""
        return (similarity_there - 1) / max(self.similarity_before - 1, 1e-9) - 1


def estimate_alignment(
    source: Volume,
    reference: Volume,
    *,
    body: NDArray[np.bool_],
    coverage: NDArray[np.bool_] | None = None,
    settings: PreflightSettings | None = None,
) -> Alignment:
    """Estimate the residual rigid motion between a source and its reference.

    Parameters
    ----------
    source, reference
        On one grid, without NaN or inf.
    body
        The body, bool, of the grid's shape.
    coverage
        Where both images have values; None where they have them everywhere.
    settings
        Resolution, reach and the evidence asked for.

    Returns
    -------
    Alignment
    """
    settings = settings or PreflightSettings()
    region = interior(body, source, settings.alignment_depth_mm)
    if not region.any():
        return Alignment(why="no body stands out in the images")
    fine_mm = settings.alignment_resolution_mm
    coarse, fine = (
        sampled_level(source, reference, region, size, settings, coverage=coverage)
        for size in (max(COARSE_MM, fine_mm), fine_mm)
    )
    if coarse is None or fine is None:
        return Alignment(why="the images have too little data in common")
    starts = search(coarse, reach_mm=settings.alignment_reach_mm + _BEYOND_REACH_MM, keep=_STARTS)
    places = [climb(coarse, start) for start in starts]
    best = max(places, key=lambda place: place.score)
    lost = components_without_structure(coarse, best.motion, least_drop=settings.min_structure_drop)
    held = best
    if lost:
        at_zero = np.isin(np.arange(6), list(lost))
        free = [n for n in range(6) if n not in lost]
        again = [climb(coarse, np.where(at_zero, 0.0, start), free) for start in starts]
        held = max(again, key=lambda place: place.score)
    motion = _polish(fine, held.motion, [n for n in range(6) if n not in lost])
    return _result(
        fine,
        motion,
        lost,
        centre_mm=source.grid.to_world(centroid(region)),
        best=motion if not lost else best.motion,
        rival_mm=_rival(coarse, best, places, settings.min_structure_drop),
    )


def interior(body: NDArray[np.bool_], source: Volume, below_mm: float) -> NDArray[np.bool_]:
    """Return the body below the skin, or all of it where little would be left."""
    inner = eroded(body, source.grid, below_mm)
    return inner if inner.sum() >= _MIN_INTERIOR_SHARE * body.sum() else body


def _rival(level: Level, best: Place, places: Sequence[Place], least_drop: float) -> float:
    """How far from the best place another lies whose similarity is as good; 0 where none is."""
    enough = (1 - least_drop) * (similarity(level, best.motion)[0] - 1)
    apart = [
        displacement_95_mm(level, place.motion, best.motion)
        for place in places
        if similarity(level, place.motion)[0] - 1 >= enough
    ]
    furthest = max(apart, default=0.0)
    return furthest if furthest > _RIVAL_MM else 0.0


def _polish(level: Level, motion: Array, free: Sequence[int]) -> Array:
    """Climb at full resolution, then once more with nothing expected of the rotation.

    The second climb counts where the first had found most of its rotation already: there the
    images themselves decide the rotation. Where it runs away, it follows a deformation.
    """
    if not free:
        return motion
    expected = climb(level, motion, free, tolerance_mm=0.01).motion
    unbound = replace(level, rotation_sd_deg=_UNBOUND_DEG)
    loose = climb(unbound, expected, free, tolerance_mm=0.01).motion
    held, run = (float(np.linalg.norm(m[3:]) / level.radius_mm) for m in (expected, loose))
    supported = held >= _MIN_SUPPORT * run or run - held < np.radians(_SMALL_ROTATION_DEG)
    return loose if supported else expected


def _result(
    level: Level,
    motion: Array,
    lost: frozenset[int],
    *,
    centre_mm: Array,
    best: Array,
    rival_mm: float,
) -> Alignment:
    return Alignment(
        shift_mm=_three(motion[:3]),
        rotation_deg=_three(np.degrees(motion[3:] / level.radius_mm)),
        shift_determined=(0 not in lost, 1 not in lost, 2 not in lost),
        rotation_determined=(3 not in lost, 4 not in lost, 5 not in lost),
        centre_mm=_three(centre_mm),
        displacement_95_mm=displacement_95_mm(level, motion),
        best_mm=displacement_95_mm(level, best),
        rival_mm=rival_mm,
        consensus=consensus(level, motion),
        similarity_before=similarity(level, np.zeros(6))[0],
        similarity_after=similarity(level, motion)[0],
        similarity_best=similarity(level, best)[0],
    )


def _three(values: Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
