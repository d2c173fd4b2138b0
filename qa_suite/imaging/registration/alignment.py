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

from qa_suite.core.arrays import FloatArray
from qa_suite.core.volume import Triple, Volume
from qa_suite.imaging.masks import centroid, eroded
from qa_suite.imaging.registration.alignment_settings import AlignmentSettings
from qa_suite.imaging.registration.consensus import consensus, support
from qa_suite.imaging.registration.rigid import (
    Level,
    Place,
    climb,
    displacement_95_mm,
    search,
    similarity,
    thinned,
)
from qa_suite.imaging.registration.sampling import COARSE_MM, sampled_level
from qa_suite.imaging.registration.shading import flattened
from qa_suite.imaging.registration.structure import components_without_structure

AXES = ("x", "y", "z")
_STARTS_A_TURN = 2
_TRIES = 3
_SAME_MM = 3.0
_ROUGH_MM = 0.5
_SHADINGS = 4
_SETTLED_MM = 0.3
_MOST_PLACES = 10
_CLEARLY = 2.0
_BEYOND_REACH_MM = 6.0  # starts lie a little beyond what is to be found
_RIVAL_MM = 10.0
_MIN_INTERIOR_SHARE = 0.25  # thinner bodies are looked at whole
_MIN_SUPPORT = 0.5
_SMALL_ROTATION_DEG = 0.5
UNBOUND_DEG = 1e6  # a spread of the rotation that expects nothing of it


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
        How far from the best place another lies that fits as well (95th percentile); 0 where
        none does.
    rival_shift_mm
        The same by the shift alone.
    consensus
        Share of the evidence of the body's parts that speaks for the motion; 1 for a shift,
        less for a deformation; None where nothing speaks for or against it.
    support
        How clearly the blocks of the body prefer the estimate to no motion, in standard errors;
        infinite where they were not asked (a quick estimate).
    best_support
        The same for the best place of all.
    similarity_before, similarity_after
        Normalised mutual information as found and at the estimate.
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
    rival_shift_mm: float = 0.0
    consensus: float | None = None
    support: float = np.inf
    best_support: float = np.inf
    similarity_before: float = 1.0
    similarity_after: float = 1.0
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


def estimate_alignment(
    source: Volume,
    reference: Volume,
    *,
    body: NDArray[np.bool_],
    coverage: NDArray[np.bool_] | None = None,
    settings: AlignmentSettings | None = None,
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
    settings = settings or AlignmentSettings()
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
    starts = search(
        coarse, reach_mm=settings.alignment_reach_mm + _BEYOND_REACH_MM, keep=_STARTS_A_TURN
    )
    places = _climbed(coarse, starts)
    # the coarse score draws weak components to where more is seen: their profile starts finer
    best = _polish(fine, _preferred(coarse, fine, places), range(6))
    if source.quantity != "HU":
        coarse, fine, places, best = _unshaded(coarse, fine, places, best)
    for _ in range(_TRIES):
        lost, better = components_without_structure(coarse, fine, best, least=settings.min_support)
        if better is None:
            break
        best = _polish(fine, climb(coarse, better).motion, range(6))
    motion = best
    if lost:
        at_zero = np.isin(np.arange(6), list(lost))
        free = [n for n in range(6) if n not in lost]
        again = [climb(coarse, np.where(at_zero, 0.0, place.motion), free) for place in places]
        motion = _polish(fine, _preferred(coarse, fine, _distinct(coarse, again)), free)
    rivals = _rivals(fine, best, places, settings.min_support)
    rivals += _turned_further(fine, best, settings)
    return Alignment(
        shift_mm=three(motion[:3]),
        rotation_deg=three(np.degrees(motion[3:] / fine.radius_mm)),
        shift_determined=(0 not in lost, 1 not in lost, 2 not in lost),
        rotation_determined=(3 not in lost, 4 not in lost, 5 not in lost),
        centre_mm=three(source.grid.to_world(centroid(region))),
        displacement_95_mm=displacement_95_mm(fine, motion),
        best_mm=displacement_95_mm(fine, best),
        rival_mm=max((displacement_95_mm(fine, m, best) for m in rivals), default=0.0),
        rival_shift_mm=max((float(np.linalg.norm((m - best)[:3])) for m in rivals), default=0.0),
        consensus=consensus(fine, motion),
        support=support(fine, np.zeros(6), motion),
        best_support=support(fine, np.zeros(6), best),
        similarity_before=similarity(fine, np.zeros(6))[0],
        similarity_after=similarity(fine, motion)[0],
    )


def _unshaded(
    coarse: Level, fine: Level, places: Sequence[Place], best: FloatArray
) -> tuple[Level, Level, list[Place], FloatArray]:
    """Take out the shading of the source, and find the places again; the two in turn."""
    flat = flattened(coarse, best)
    places = _distinct(flat, [climb(flat, place.motion) for place in places])
    flat_fine = flattened(fine, best)
    best = _polish(flat_fine, _preferred(flat, flat_fine, places), range(6))
    for _ in range(_SHADINGS):
        last = best
        flat_fine = flattened(fine, last)
        best = _polish(flat_fine, last, range(6))
        if displacement_95_mm(fine, best, last) < _SETTLED_MM:
            break
    return flattened(coarse, best), flat_fine, places, best


def _climbed(coarse: Level, starts: Sequence[FloatArray]) -> list[Place]:
    """Climb from all starts with few points, and from where they end with all of them."""
    quick = thinned(coarse)
    rough = _distinct(quick, [climb(quick, start, tolerance_mm=_ROUGH_MM) for start in starts])
    return _distinct(coarse, [climb(coarse, place.motion) for place in rough[:_MOST_PLACES]])


def _rivals(
    level: Level, best: FloatArray, places: Sequence[Place], least: float
) -> list[FloatArray]:
    """Return the places far off that the blocks do not clearly oppose."""
    rivals = []
    for place in places:
        motion = place.motion
        for _ in range(2):  # as it was climbed to, and once more at the full resolution
            if displacement_95_mm(level, motion, best) <= _RIVAL_MM:
                break
            if support(level, motion, best) >= least:
                break
            motion = _polish(level, motion, range(6))
        else:
            if displacement_95_mm(level, motion, best) > _RIVAL_MM:
                rivals.append(motion)
    return rivals


def _turned_further(
    level: Level, best: FloatArray, settings: AlignmentSettings
) -> list[FloatArray]:
    """Return where a free rotation leads, if only its expectation keeps the case in bounds."""
    bound = settings.max_misalignment_mm
    if displacement_95_mm(level, best) > bound:
        return []
    loose = _unbound(level, best, range(6))
    opposed = support(level, loose, best) >= settings.min_support
    return [loose] if displacement_95_mm(level, loose) > bound and not opposed else []


def _distinct(level: Level, places: Sequence[Place]) -> list[Place]:
    """Leave out places that lie with another; the first, from no motion, always stays first."""
    kept = [places[0]]
    for place in sorted(places[1:], key=lambda place: -place.score):
        if all(displacement_95_mm(level, place.motion, o.motion) > _SAME_MM for o in kept):
            kept.append(place)
    return kept


def _preferred(coarse: Level, fine: Level, places: Sequence[Place]) -> FloatArray:
    """Return the best place: the one that was climbed from no motion, unless another beats it.

    Another has to score higher, and the blocks of the body have to prefer it where both are
    seen: clearly, where it lies far off.
    """
    best = places[0]
    for place in places[1:]:
        if place.score <= best.score:
            continue
        far = displacement_95_mm(coarse, place.motion, best.motion) > _RIVAL_MM
        if support(fine, best.motion, place.motion) > (_CLEARLY if far else 0.0):
            best = place
    return best.motion


def interior(body: NDArray[np.bool_], source: Volume, below_mm: float) -> NDArray[np.bool_]:
    """Return the body below the skin, or all of it where little would be left."""
    inner = eroded(body, source.grid, below_mm)
    return inner if inner.sum() >= _MIN_INTERIOR_SHARE * body.sum() else body


def _polish(level: Level, motion: FloatArray, free: Sequence[int]) -> FloatArray:
    """Climb at full resolution, then once more with nothing expected of the rotation.

    The second climb counts where the first had found most of its rotation already: there the
    images themselves decide the rotation. Where it runs away, it may follow a deformation.
    """
    if not len(free):
        return motion
    level = replace(level, by_overlap=False)
    expected = climb(level, motion, free, tolerance_mm=0.01).motion
    if displacement_95_mm(level, expected, motion) > _RIVAL_MM:
        return motion  # it ran away: out of the field of view
    loose = _unbound(level, expected, free)
    held, run = (float(np.linalg.norm(m[3:]) / level.radius_mm) for m in (expected, loose))
    supported = held >= _MIN_SUPPORT * run or run - held < np.radians(_SMALL_ROTATION_DEG)
    return loose if supported else expected


def _unbound(level: Level, motion: FloatArray, free: Sequence[int]) -> FloatArray:
    """Climb at full resolution with nothing expected of the rotation."""
    level = replace(level, by_overlap=False, rotation_sd_deg=UNBOUND_DEG)
    return climb(level, motion, free, tolerance_mm=0.01).motion


def three(values: FloatArray) -> Triple:
    """Write three numbers as plain floats."""
    x, y, z = (float(v) for v in values)
    return (x, y, z)
