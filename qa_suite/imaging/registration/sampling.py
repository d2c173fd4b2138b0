"""From two volumes to sampled points: what the alignment estimate looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.volume import Volume
from qa_suite.imaging.boxes import data_box
from qa_suite.imaging.masks import centroid
from qa_suite.imaging.registration.alignment_settings import AlignmentSettings
from qa_suite.imaging.registration.rigid import BINS, Level
from qa_suite.imaging.robust import thinned

COARSE_MM = 6.0
_GRID_MM = 3.3  # up to here one voxel is smoothed over; of larger ones too little would be left
_MIN_POINTS = 500
_MAX_POINTS = 25_000
_MAX_COARSE_POINTS = 8_000
_JITTER_SEED = 20_261_101
_MIN_SHARE_SEEN = 0.5


def sampled_level(
    source: Volume,
    reference: Volume,
    region: Mask,
    resolution_mm: float,
    settings: AlignmentSettings,
    *,
    coverage: Mask | None = None,
) -> Level | None:
    """Smooth both images to a resolution and sample the source on jittered points.

    Parameters
    ----------
    source, reference
        On one grid, without NaN or inf.
    region
        Where the source is sampled, bool, of the grid's shape.
    resolution_mm
        Distance of the points, and width of the smoothing.
    settings
        The rotations that are expected.
    coverage
        Where both images have values; None where they have them everywhere. What the reference
        was filled with outside it is no anatomy: points that fall there do not count.

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
    width = np.maximum(0.5 * step, np.minimum(1.0, _GRID_MM / spacing))
    fixed, fixed_start, fixed_step = _thin(source_bins, source_box, step, step // 4, width)
    moving, moving_start, moving_step = _thin(
        reference_bins,
        reference_box,
        step,
        step // 4 + step // 2,
        width,
        seen=_seen(reference, coverage),
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
    most = _MAX_COARSE_POINTS if resolution_mm >= COARSE_MM else _MAX_POINTS
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


def _seen(reference: Volume, coverage: Mask | None) -> Mask | None:
    """Where the reference shows something: not the filling that lies outside the coverage."""
    if coverage is None or coverage.all():
        return None
    outside = thinned(reference.array[~coverage])
    values, counts = np.unique(outside, return_counts=True)
    filling = values[counts.argmax()]
    return coverage | (reference.array != filling)


def _bins(volume: Volume, region: Mask) -> NDArray[np.float32]:
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
    width: FloatArray,
    *,
    seen: Mask | None = None,
) -> tuple[NDArray[np.float32], FloatArray, FloatArray]:
    """Crop to the box, smooth, and keep every ``step``-th voxel from ``first``; say where.

    Source and reference begin half a step apart: voxels that coincide are interpolated alike,
    and that likeness would draw the estimate to no motion.
    """
    inside = values[box]
    smooth = _smooth(inside, width)
    if seen is not None:  # what is not seen neither counts nor leaks into its neighbours
        weight = _smooth(seen[box].astype(np.float32), width)
        smooth = _smooth(np.where(seen[box], inside, np.float32(0)), width)
        smooth = np.where(
            weight >= _MIN_SHARE_SEEN, smooth / np.maximum(weight, _MIN_SHARE_SEEN), np.nan
        )
    start = np.array(
        [min(f, n - 1) if s > 1 else 0 for f, n, s in zip(first, inside.shape, step, strict=True)]
    )
    kept = smooth[tuple(slice(int(a), None, int(s)) for a, s in zip(start, step, strict=True))]
    corner = np.array([part.start for part in box], dtype=float)
    return kept, corner + start, step.astype(float)


def _smooth(values: NDArray[np.float32], width: FloatArray) -> NDArray[np.float32]:
    """Smooth by ``width`` voxels: to the step, and enough to hide the grid.

    Where two images were made on one grid, the staircase that its voxels make of every oblique
    edge is the same in both, and would say that they lie alike wherever nothing else does.
    """
    from scipy import ndimage

    return np.asarray(
        ndimage.gaussian_filter(values, width, mode="nearest", truncate=3.0), np.float32
    )
