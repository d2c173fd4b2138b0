"""From a scan's own voxels to working voxels along the patient's axes, and back.

Both ways one linear filter serves: a tent as wide as the coarser of the two voxels, normalised.
It is linear interpolation towards a finer grid and an anti-aliased mean towards a coarser
one. On grids whose axes agree (all axial, sagittal and coronal scans) the filter is separable
and becomes three matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qa_suite.core.arrays import Box, Float32Array, Mask
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.instruments.settings import AIR_HU

_ALIGNED_VOXEL = 0.05  # axes agree where no voxel would lie further off than this


@dataclass(frozen=True, kw_only=True)
class WorkingFrame:
    """The part of a scan that holds the domain, and the working grid over it.

    Parameters
    ----------
    box
        The domain's bounding box in the scan.
    scan
        The scan's grid inside the box.
    working
        LPS axes, working spacing, the domain with a margin around it.
    """

    box: Box
    scan: Grid
    working: Grid


def frame_of(
    grid: Grid, domain: Mask, *, spacing_mm: Triple, margin_mm: float
) -> WorkingFrame | None:
    """Lay a working grid over the domain; None where the domain is empty."""
    box = bounding_box(domain, margin=1)
    if box is None:
        return None
    scan = crop(grid, box)
    corners = scan.corners_mm()
    spacing = np.asarray(spacing_mm)
    low = corners.min(axis=0) - margin_mm
    steps = np.ceil((corners.max(axis=0) + margin_mm - low) / spacing - 1e-6).astype(int) + 1
    working = Grid(
        shape=(int(steps[0]), int(steps[1]), int(steps[2])),
        spacing_mm=spacing_mm,
        origin_mm=(float(low[0]), float(low[1]), float(low[2])),
        frame_of_reference=grid.frame_of_reference,
    )
    return WorkingFrame(box=box, scan=scan, working=working)


def crop(grid: Grid, box: Box) -> Grid:
    """Return the grid of a box of voxels."""
    start = [part.start for part in box]
    x, y, z = grid.to_world(start)
    shape = (box[0].stop - start[0], box[1].stop - start[1], box[2].stop - start[2])
    return replace(grid, shape=shape, origin_mm=(float(x), float(y), float(z)))


def to_working(volume: Volume, domain: Mask, frame: WorkingFrame) -> Float32Array:
    """Resample a CT to working voxels; all outside the domain is air.

    Raises
    ------
    InputError
        If the volume is not in HU, or not finite inside the domain.
    GeometryError
        If the domain is not a bool array of the volume's shape.
    """
    check_image(volume, domain)
    inside = domain[frame.box]
    above_air = np.where(inside, volume.array[frame.box] - AIR_HU, 0).astype(np.float32)
    return tent_resample(above_air, frame.scan, frame.working) + np.float32(AIR_HU)


def check_image(volume: Volume, domain: Mask) -> None:
    """Refuse what is no CT in HU, finite inside a domain on its own grid."""
    if volume.quantity != "HU":
        raise InputError(f"This network reads CTs in HU, got {volume.quantity}.")
    if domain.shape != volume.grid.shape or domain.dtype != np.bool_:
        raise GeometryError(
            f"The domain must be a bool array of shape {volume.grid.shape}, got {domain.dtype} "
            f"of shape {domain.shape}."
        )
    wrong = int(np.count_nonzero(~np.isfinite(volume.array[domain])))
    if wrong:
        raise InputError(f"Cannot read an image with {wrong} voxels that are not finite.")


def mask_to_working(mask: Mask, frame: WorkingFrame) -> Mask:
    """Resample a mask to working voxels: those that it fills by half or more."""
    part = mask[frame.box].astype(np.float32)
    return np.asarray(tent_resample(part, frame.scan, frame.working) >= 0.5)


def mask_to_scan(share: Float32Array, frame: WorkingFrame) -> Mask:
    """Take a share (0 to 1) in working voxels back to the scan's box; inside is 0.5 or more.

    Only the part around what reaches 0.5 is resampled: a mean of less cannot reach it, and
    two tents of margin keep the part's own edge out of every mean that can.
    """
    result = np.zeros(frame.scan.shape, dtype=bool)
    ratio = max(frame.scan.spacing_mm) / min(frame.working.spacing_mm)
    part = bounding_box(share >= 0.5, margin=2 * int(np.ceil(max(1.0, ratio))))
    if part is None:
        return result
    piece = crop(frame.working, part)
    reach = _reach(piece, frame.scan)
    if reach is None:
        return result
    here = tent_resample(np.ascontiguousarray(share[part]), piece, crop(frame.scan, reach))
    result[reach] = here >= np.float32(0.5)
    return result


def _reach(piece: Grid, scan: Grid) -> Box | None:
    """Return the box of scan voxels that a piece of the working grid can reach."""
    index = scan.to_index(piece.corners_mm())
    low = np.clip(np.floor(index.min(axis=0)), 0, scan.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, scan.shape).astype(int)
    if (high <= low).any():
        return None
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def tent_resample(array: Float32Array, source: Grid, target: Grid) -> Float32Array:
    """Resample with a tent as wide as the coarser voxel; zero outside the source.

    Parameters
    ----------
    array
        Shape ``source.shape``.

    Returns
    -------
    ndarray of float32, shape ``target.shape``
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    order = np.abs(linear).argmax(axis=0)  # target axis to source axis
    stray = np.abs(linear).copy()
    stray[order, range(3)] = 0
    aligned = len(set(order.tolist())) == 3
    if not aligned or (stray @ np.asarray(target.shape)).max() > _ALIGNED_VOXEL:
        return _resample_oblique(array, linear, offset, target)
    # the axis that shrinks most comes first, so that the products get small soon
    shrink = [target.shape[t] / source.shape[s] for t, s in enumerate(order)]
    result = np.asarray(array, dtype=np.float32)
    for t in np.argsort(shrink):
        s = int(order[t])
        weights = _tent_matrix(target.shape[t], source.shape[s], offset[s], linear[s, t])
        result = np.moveaxis(np.tensordot(weights, result, axes=(1, s)), 0, s)
    return np.ascontiguousarray(result.transpose(order), dtype=np.float32)


def _tent_matrix(count: int, size: int, start: float, step: float) -> Float32Array:
    """Weights, shape (count, size): target voxel n lies at ``start + step * n``."""
    position = start + step * np.arange(count)
    width = max(1.0, abs(step))
    distance = np.abs(position[:, None] - np.arange(size)[None, :])
    weights = np.clip(1 - distance / width, 0, None)
    inside = (position > -0.5 - 1e-6) & (position < size - 0.5 + 1e-6)
    total = weights.sum(axis=1, keepdims=True)
    normal = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return np.asarray(normal * inside[:, None], dtype=np.float32)


def _resample_oblique(array: Float32Array, linear: Any, offset: Any, target: Grid) -> Float32Array:
    """Do the same along turned axes: a Gaussian of the tent's variance, then interpolation."""
    from scipy import ndimage

    width = np.maximum(np.abs(linear).max(axis=1), 1.0)
    sigma = np.sqrt((width**2 - 1) / 6)  # a tent of half-width w has the variance w²/6
    smooth = ndimage.gaussian_filter(array, sigma, mode="nearest") if sigma.any() else array
    found = ndimage.affine_transform(
        smooth, linear, offset=offset, output_shape=target.shape, order=1, mode="grid-constant"
    )
    return np.asarray(found, dtype=np.float32)
