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

from qa_suite.preflight.bodies import centroid, data_box, eroded, thinned
from qa_suite.preflight.consensus import consensus
from qa_suite.preflight.rigid import (
    BINS,
    Level,
    maximise,
    rotation_matrix,
    search_shifts,
    similarity,
)
from qa_suite.preflight.settings import PreflightSettings
from qa_suite.preflight.structure import components_without_structure
from qa_suite.volume import Volume

Array = NDArray[np.float64]

AXES = ("x", "y", "z")
_COARSE_MM = 6.0
_MIN_POINTS = 500
_MAX_POINTS = 25_000
_MAX_COARSE_POINTS = 8_000
_MAX_STARTS = 2
_MIN_INTERIOR_SHARE = 0.25  # thinner bodies are looked at whole
_MIN_SUPPORT = 0.5
_SMALL_ROTATION_DEG = 0.5
_UNBOUND_DEG = 1e6
_JITTER_SEED = 20_261_101


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where the anatomy of the reference lies, relative to the source.

    Parameters
    ----------
    shift_mm
        Mean displacement over the region (LPS): what lies at x in the source is found at
        x + shift in the reference. 0 along an axis without structure.
    rotation_deg
        Rotation vector (LPS) about the region's centroid, in degrees.
    shift_determined, rotation_determined
        Along and about which axes the images hold structure that decides it.
    centre_mm
        The region's centroid, LPS.
    displacement_95_mm
        95th percentile of the displacement over the region.
    consensus
        Share of the evidence of the body's parts that speaks for the motion; 1 for a shift,
        less for a deformation.
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
    consensus: float = 0.0
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


def estimate_alignment(
    source: Volume,
    reference: Volume,
    *,
    body: NDArray[np.bool_],
    settings: PreflightSettings | None = None,
) -> Alignment:
    """Estimate the residual rigid motion between a source and its reference.

    Parameters
    ----------
    source, reference
        On one grid, without NaN or inf.
    body
        The body, bool, of the grid's shape.
    settings
        Resolution, reach and the evidence asked for.

    Returns
    -------
    Alignment
    """
    settings = settings or PreflightSettings()
    region = _interior(body, source, settings.alignment_depth_mm)
    fine_mm = settings.alignment_resolution_mm
    coarse = sampled_level(source, reference, region, max(_COARSE_MM, fine_mm), settings)
    fine = sampled_level(source, reference, region, fine_mm, settings)
    if coarse is None or fine is None:
        return Alignment(why="the images have too little data in common")
    starts = search_shifts(
        coarse, reach_mm=settings.alignment_reach_mm, step_mm=_COARSE_MM, keep=_MAX_STARTS
    )
    motion = _climb(coarse, starts, frozenset())
    lost = components_without_structure(coarse, motion, least_drop=settings.min_structure_drop)
    if lost:
        held = np.isin(np.arange(6), list(lost))
        motion = _climb(coarse, [np.where(held, 0.0, start) for start in starts], lost)
    motion = _polish(fine, motion, [n for n in range(6) if n not in lost])
    return _result(source, fine, motion, lost, region)


def _climb(level: Level, starts: Sequence[Array], lost: frozenset[int]) -> Array:
    """Climb from every start and return the highest place."""
    free = [n for n in range(6) if n not in lost]
    climbed = [maximise(level, start, free, step_mm=3.0, tolerance_mm=0.5) for start in starts]
    return max(climbed, key=lambda found: found[1])[0]


def _polish(level: Level, motion: Array, free: Sequence[int]) -> Array:
    """Climb at full resolution, then once more with nothing expected of the rotation.

    The second climb counts where the first had found most of its rotation already: there the
    images themselves decide the rotation. Where it runs away, it follows a deformation.
    """
    expected, _ = maximise(level, motion, free, step_mm=1.0, tolerance_mm=0.05)
    unbound = replace(level, rotation_sd_deg=_UNBOUND_DEG)
    loose, _ = maximise(unbound, expected, free, step_mm=1.0, tolerance_mm=0.05)
    held, run = (float(np.linalg.norm(m[3:]) / level.radius_mm) for m in (expected, loose))
    supported = held >= _MIN_SUPPORT * run or run - held < np.radians(_SMALL_ROTATION_DEG)
    return loose if supported else expected


def _result(
    source: Volume,
    level: Level,
    motion: Array,
    lost: frozenset[int],
    region: NDArray[np.bool_],
) -> Alignment:
    turn = motion[3:] / level.radius_mm
    moved = level.points_mm @ rotation_matrix(turn).T + motion[:3] - level.points_mm
    far = float(np.percentile(np.linalg.norm(moved, axis=1), 95))
    centre = source.grid.to_world(centroid(region))
    return Alignment(
        shift_mm=_three(motion[:3]),
        rotation_deg=_three(np.degrees(turn)),
        shift_determined=(0 not in lost, 1 not in lost, 2 not in lost),
        rotation_determined=(3 not in lost, 4 not in lost, 5 not in lost),
        centre_mm=_three(centre),
        displacement_95_mm=far,
        consensus=consensus(level, motion),
        similarity_before=similarity(level, np.zeros(6))[0],
        similarity_after=similarity(level, motion)[0],
    )


def _three(values: Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


# ---------------------------------------------------------------------------------------
# From volumes to sampled points


def sampled_level(
    source: Volume,
    reference: Volume,
    region: NDArray[np.bool_],
    resolution_mm: float,
    settings: PreflightSettings,
) -> Level | None:
    """Smooth both images to a resolution and sample the source on jittered points.

    Returns
    -------
    Level or None
        None where an image is constant, or too little of it lies in the region.
    """
    from scipy import ndimage

    grid = source.grid
    spacing = np.asarray(grid.spacing_mm)
    source_box = data_box(source.array)
    reference_box = data_box(reference.array)
    if source_box is None or reference_box is None:
        return None
    source_bins = _bins(source, region)
    reference_bins = _bins(reference, region)
    step = np.maximum(1, np.round(resolution_mm / spacing)).astype(int)
    fixed, fixed_start, fixed_step = _thin(source_bins, source_box, step, step // 4)
    moving, moving_start, moving_step = _thin(
        reference_bins, reference_box, step, step // 4 + step // 2
    )
    if min(fixed.shape) < 2 or min(moving.shape) < 2:
        return None

    ticks = [np.arange(n) for n in fixed.shape]
    places = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    rng = np.random.default_rng(_JITTER_SEED)
    places += rng.uniform(-0.5, 0.5, places.shape)  # else equal grids favour whole-voxel shifts
    places = np.clip(places, 0, np.array(fixed.shape) - 1)
    full = places * fixed_step + fixed_start
    nearest = np.round(full).astype(int)
    inside = region[tuple(nearest.T)]
    places, full = places[inside], full[inside]
    most = _MAX_COARSE_POINTS if resolution_mm >= _COARSE_MM else _MAX_POINTS
    if len(places) > most:
        chosen = np.sort(rng.permutation(len(places))[:most])
        places, full = places[chosen], full[chosen]
    if len(places) < min(_MIN_POINTS, 0.3 * int(region.sum())):
        return None
    bins = ndimage.map_coordinates(fixed, places.T, order=1, mode="nearest")

    centre = grid.to_world(centroid(region))
    points = grid.to_world(full) - centre
    inverse = np.linalg.inv(grid.affine[:3, :3])
    to_index = inverse / moving_step[:, None]
    offset = (grid.to_index(centre) - moving_start) / moving_step
    return Level(
        points_mm=np.ascontiguousarray(points),
        bins=np.ascontiguousarray(bins, dtype=float),
        moving=np.ascontiguousarray(moving, dtype=np.float32),
        to_index=np.ascontiguousarray(to_index),
        offset=np.ascontiguousarray(offset),
        radius_mm=max(10.0, float(np.sqrt((points**2).sum(axis=1).mean()))),
        rotation_sd_deg=settings.expected_rotation_deg,
    )


def _interior(body: NDArray[np.bool_], source: Volume, below_mm: float) -> NDArray[np.bool_]:
    """Return the body below the skin, or all of it where little would be left."""
    inner = eroded(body, source.grid, below_mm)
    return inner if inner.sum() >= _MIN_INTERIOR_SHARE * body.sum() else body


def _bins(volume: Volume, region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Map values to histogram bins: a fixed window for HU, percentiles for anything else."""
    if volume.quantity == "HU":
        low, high = -250.0, 450.0  # air, fat, muscle and bone apart; beyond it nothing is told
    else:
        low, high = np.percentile(thinned(volume.array[region]), [0.5, 99.0])
        low = min(float(low), float(np.percentile(thinned(volume.array), 1)))
    scaled = (volume.array.astype(np.float32) - low) / max(float(high - low), 1e-12)
    return np.clip(scaled, 0, 1) * np.float32(BINS - 1)


def _thin(
    values: NDArray[np.float32],
    box: tuple[slice, slice, slice],
    step: NDArray[np.int_],
    first: NDArray[np.int_],
) -> tuple[NDArray[np.float32], Array, Array]:
    """Crop to the box, smooth, and keep every ``step``-th voxel from ``first``; say where.

    Source and reference begin half a step apart: voxels that coincide are interpolated alike,
    and that likeness would draw the estimate to no motion.
    """
    from scipy import ndimage

    inside = values[box]
    smooth = ndimage.gaussian_filter(inside, 0.5 * step, mode="nearest", truncate=3.0)
    start = np.array(
        [min(f, n - 1) if s > 1 else 0 for f, n, s in zip(first, inside.shape, step, strict=True)]
    )
    kept = smooth[tuple(slice(int(a), None, int(s)) for a, s in zip(start, step, strict=True))]
    corner = np.array([part.start for part in box], dtype=float)
    return kept, corner + start, step.astype(float)
