"""How far a reference image still lies from its source: a residual rigid shift and rotation.

The motion that maximises the normalised mutual information of the two images is searched
within the body and a rim around it, where both hold data. The shift is that of the region's
centroid, so that it is the mean displacement over the region whatever the rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.preflight.bodies import data_box
from qa_suite.preflight.rigid import (
    BINS,
    Level,
    maximise,
    rotation_matrix,
    search_shifts,
    similarity,
)
from qa_suite.preflight.settings import PreflightSettings
from qa_suite.preflight.structure import axes_without_structure
from qa_suite.volume import Volume

Array = NDArray[np.float64]

AXES = ("x", "y", "z")
_COARSE_MM = 6.0
_MIN_POINTS = 500
_MAX_POINTS = 40_000
_MAX_STARTS = 3
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
        The body in the reference, bool, of the grid's shape; a rim is added to it.
    settings
        Resolution, reach and the evidence asked for.

    Returns
    -------
    Alignment
    """
    settings = settings or PreflightSettings()
    fine_mm = settings.alignment_resolution_mm
    coarse = _level(source, reference, body, max(_COARSE_MM, fine_mm), settings)
    fine = _level(source, reference, body, fine_mm, settings)
    if coarse is None or fine is None:
        return Alignment(why="the images have too little data in common")
    everything = range(6)
    starts = search_shifts(
        coarse, reach_mm=settings.alignment_reach_mm, step_mm=_COARSE_MM, keep=_MAX_STARTS
    )
    climbed = [
        maximise(coarse, start, everything, step_mm=3.0, tolerance_mm=0.5) for start in starts
    ]
    best, _ = max(climbed, key=lambda found: found[1])
    motion, value = maximise(fine, best, everything, step_mm=1.0, tolerance_mm=0.05)
    lost = axes_without_structure(fine, motion, min_z=settings.min_structure_z)
    if lost:
        motion, value = _again_without(coarse, fine, starts, lost)
    return _result(source, fine, motion, value, lost, body)


def _again_without(
    coarse: Level, fine: Level, starts: Sequence[Array], lost: set[int]
) -> tuple[Array, float]:
    """Repeat the climb with the undetermined components held at zero."""
    free = [n for n in range(6) if n not in lost]
    held = np.isin(np.arange(6), list(lost))
    begun = [np.where(held, 0.0, start) for start in starts]
    climbed = [maximise(coarse, s, free, step_mm=3.0, tolerance_mm=0.5) for s in begun]
    best, _ = max(climbed, key=lambda found: found[1])
    return maximise(fine, best, free, step_mm=1.0, tolerance_mm=0.05)


def _result(
    source: Volume,
    level: Level,
    motion: Array,
    value: float,
    lost: set[int],
    body: NDArray[np.bool_],
) -> Alignment:
    turn = motion[3:] / level.radius_mm
    moved = level.points_mm @ rotation_matrix(turn).T + motion[:3] - level.points_mm
    far = float(np.percentile(np.linalg.norm(moved, axis=1), 95))
    centre = source.grid.to_world(np.argwhere(body).mean(axis=0))
    return Alignment(
        shift_mm=_three(motion[:3]),
        rotation_deg=_three(np.degrees(turn)),
        shift_determined=(0 not in lost, 1 not in lost, 2 not in lost),
        rotation_determined=(3 not in lost, 4 not in lost, 5 not in lost),
        centre_mm=_three(centre),
        displacement_95_mm=far,
        similarity_before=similarity(level, np.zeros(6)),
        similarity_after=value,
    )


def _three(values: Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


# ---------------------------------------------------------------------------------------
# From volumes to sampled points


def _level(
    source: Volume,
    reference: Volume,
    body: NDArray[np.bool_],
    resolution_mm: float,
    settings: PreflightSettings,
) -> Level | None:
    """Smooth both images to a resolution and sample the source on jittered points."""
    from scipy import ndimage

    grid = source.grid
    spacing = np.asarray(grid.spacing_mm)
    rim = _grow(body, spacing, settings.alignment_margin_mm)
    source_box = data_box(source.array)
    reference_box = data_box(reference.array)
    if source_box is None or reference_box is None:
        return None
    source_bins = _bins(source, body)
    reference_bins = _bins(reference, body)
    step = np.maximum(1, np.round(resolution_mm / spacing)).astype(int)
    fixed, fixed_start, fixed_step = _thin(source_bins, source_box, spacing, step)
    moving, moving_start, moving_step = _thin(reference_bins, reference_box, spacing, step)
    if min(fixed.shape) < 2 or min(moving.shape) < 2:
        return None

    ticks = [np.arange(n) for n in fixed.shape]
    places = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    rng = np.random.default_rng(_JITTER_SEED)
    places += rng.uniform(-0.5, 0.5, places.shape)  # else equal grids favour whole-voxel shifts
    places = np.clip(places, 0, np.array(fixed.shape) - 1)
    full = places * fixed_step + fixed_start
    nearest = np.round(full).astype(int)
    inside = rim[tuple(nearest.T)]
    places, full = places[inside], full[inside]
    if len(places) > _MAX_POINTS:
        chosen = np.sort(rng.permutation(len(places))[:_MAX_POINTS])
        places, full = places[chosen], full[chosen]
    if len(places) < min(_MIN_POINTS, 0.3 * rim.sum()):
        return None
    bins = ndimage.map_coordinates(fixed, places.T, order=1, mode="nearest")

    centre = grid.to_world(np.argwhere(body).mean(axis=0))
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
    )


def _grow(body: NDArray[np.bool_], spacing: Array, margin_mm: float) -> NDArray[np.bool_]:
    from scipy import ndimage

    if margin_mm <= 0 or body.all():
        return body
    distance = ndimage.distance_transform_edt(~body, sampling=tuple(spacing))
    return np.asarray(distance <= margin_mm)


def _bins(volume: Volume, body: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Map values to histogram bins: a fixed window for HU, percentiles for anything else."""
    if volume.quantity == "HU":
        low, high = -250.0, 450.0  # air, fat, muscle and bone apart; beyond it nothing is told
    else:
        low, high = np.percentile(volume.array[body], [0.5, 99.0])
        low = min(float(low), float(np.percentile(volume.array, 1)))
    scaled = (volume.array.astype(np.float32) - low) / max(float(high - low), 1e-12)
    return np.clip(scaled, 0, 1) * np.float32(BINS - 1)


def _thin(
    values: NDArray[np.float32],
    box: tuple[slice, slice, slice],
    spacing: Array,
    step: NDArray[np.int_],
) -> tuple[NDArray[np.float32], Array, Array]:
    """Crop to the box, smooth, and keep every ``step``-th voxel; say where they lie."""
    from scipy import ndimage

    inside = values[box]
    sigma = 0.5 * np.sqrt(np.maximum(step.astype(float) ** 2 - 1, 0))  # to the new voxel's width
    smooth = ndimage.gaussian_filter(inside, sigma, mode="nearest", truncate=3.0)
    start = np.array([((n - 1) % s) // 2 for n, s in zip(inside.shape, step, strict=True)])
    thinned = smooth[tuple(slice(int(a), None, int(s)) for a, s in zip(start, step, strict=True))]
    corner = np.array([part.start for part in box], dtype=float)
    return thinned, corner + start, step.astype(float)
