"""The dose grid, and images brought onto it without losing or inventing matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.resampling import covered_by, resample
from qa_suite.core.volume import Grid, Triple, Volume

BEYOND_TARGET_MM = 80.0
"""The grid reaches this far beyond the target along the patient: scatter from further away is
below what any measure resolves."""
_AIR_MM = 9.0  # air around the patient, so that a larger outline of the other image fits
_FINER = 2  # least samples of a voxel along each axis, where the axes are oblique to each other


def dose_grid(body: Mask, target: Mask, grid: Grid, spacing_mm: float) -> Grid:
    """Lay an axial grid of cubes over the patient.

    Parameters
    ----------
    body, target
        Bool, of ``grid``'s shape; the body holds those of both images.
    spacing_mm
        Edge of the cubes.

    Returns
    -------
    Grid
        Over the body from side to side and front to back, and over the target and
        ``BEYOND_TARGET_MM`` beyond along z, as far as the image reaches.

    Raises
    ------
    InputError
        If one of the masks is empty.
    """
    for name, mask in (("body", body), ("target", target)):
        if not mask.any():
            raise InputError(f"There is no {name} to compute dose in.")
    low, high = _extent_mm(body, grid)
    target_low, target_high = _extent_mm(target, grid)
    image_low, image_high = _extent_mm(np.ones(grid.shape, dtype=bool), grid)
    low, high = low - _AIR_MM, high + _AIR_MM
    low[2] = max(low[2], target_low[2] - BEYOND_TARGET_MM, image_low[2])
    high[2] = min(high[2], target_high[2] + BEYOND_TARGET_MM, image_high[2])
    count = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-6).astype(int))
    origin = (low + high) / 2 - (count - 1) / 2 * spacing_mm
    return Grid(
        shape=(int(count[0]), int(count[1]), int(count[2])),
        spacing_mm=(spacing_mm, spacing_mm, spacing_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        frame_of_reference=grid.frame_of_reference,
    )


def averaged_onto(array: NDArray[Any], grid: Grid, target: Grid) -> Float32Array:
    """Bring values that are constant within a voxel onto another grid, each voxel its mean.

    Where the axes of the two grids are parallel, in whatever order and sense, the mean is exact:
    shares of overlapping boxes. Elsewhere it is the mean of interpolated samples, two along each
    axis and no further apart than the first grid's voxels. What that grid does not cover counts
    as 0.

    Parameters
    ----------
    array
        Of ``grid``'s shape.

    Returns
    -------
    ndarray of float32, of ``target``'s shape
    """
    out = np.asarray(array, dtype=np.float32)
    out, grid = _reordered(out, grid, target)
    if np.allclose(grid.axes, target.axes, atol=1e-6):
        start = target.axes.T @ (np.asarray(target.origin_mm) - np.asarray(grid.origin_mm))
        for axis in range(3):
            shares = _shares(
                grid.shape[axis],
                grid.spacing_mm[axis],
                target.shape[axis],
                target.spacing_mm[axis],
                float(start[axis]),
            )
            out = np.moveaxis(np.tensordot(shares, out, axes=(1, axis)), 0, axis)
        return np.ascontiguousarray(out, dtype=np.float32)
    finer = [max(_FINER, int(np.ceil(s / min(grid.spacing_mm) - 1e-6))) for s in target.spacing_mm]
    volume = Volume(array=np.pad(out, 1), grid=_wider(grid), quantity="arbitrary")
    samples = resample(volume, _refined(target, finer), interpolation="linear", outside=0.0).array
    (nx, ny, nz), (fx, fy, fz) = target.shape, finer
    blocks = samples.reshape(nx, fx, ny, fy, nz, fz)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)


def mask_onto(mask: Mask, grid: Grid, target: Grid) -> Mask:
    """Bring a mask onto another grid: the voxels of which it covers half or more."""
    return np.asarray(averaged_onto(mask, grid, target) >= 0.5)


def centre_of(mask: Mask, grid: Grid) -> Triple:
    """Return the LPS position of a mask's centre of mass, in mm."""
    x, y, z = grid.to_world(np.argwhere(mask).mean(axis=0))
    return (float(x), float(y), float(z))


def require_overlap(one: Grid, other: Grid, name: str, other_name: str) -> None:
    """Refuse two grids that have no part of the patient in common.

    Raises
    ------
    GeometryError
        If their frames of reference differ, or no voxel of one lies in the other.
    """
    if not one.same_frame_as(other):
        raise GeometryError(f"{name} and {other_name} have different frames of reference.")
    if not (covered_by(one, other).any() or covered_by(other, one).any()):
        raise GeometryError(
            f"{name} ({one.describe()}) and {other_name} ({other.describe()}) do not overlap."
        )


def _extent_mm(mask: Mask, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest LPS coordinates of a mask's voxels, faces included."""
    spans = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((hits[0] - 0.5, hits[-1] + 0.5))
    corners = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    world = grid.to_world(corners)
    return world.min(axis=0), world.max(axis=0)


def _shares(
    size: int, spacing: float, new_size: int, new_spacing: float, start: float
) -> NDArray[np.float32]:
    """Return the share of each new voxel that each old one fills, shape (new, old)."""
    old = (np.arange(size + 1) - 0.5) * spacing
    new = start + (np.arange(new_size + 1) - 0.5) * new_spacing
    upper = np.minimum(new[1:, None], old[None, 1:])
    lower = np.maximum(new[:-1, None], old[None, :-1])
    return (np.maximum(upper - lower, 0.0) / new_spacing).astype(np.float32)


def _reordered(array: Float32Array, grid: Grid, target: Grid) -> tuple[Float32Array, Grid]:
    """Bring axes that are parallel to another grid's into its order and sense; leave oblique ones.

    A NIfTI file in RAS, or a coronal scan, is such a case.
    """
    turn = np.rint(grid.axes.T @ target.axes)
    if not np.allclose(grid.axes @ turn, target.axes, atol=1e-6):
        return array, grid
    order = [int(axis) for axis in np.abs(turn).argmax(axis=0)]
    backwards = [turn[axis, n] < 0 for n, axis in enumerate(order)]
    first = np.zeros(3)
    for axis, flip in zip(order, backwards, strict=True):
        first[axis] = grid.shape[axis] - 1 if flip else 0
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in backwards)
    x, y, z = grid.to_world(first)
    nx, ny, nz = (grid.shape[axis] for axis in order)
    sx, sy, sz = (grid.spacing_mm[axis] for axis in order)
    return array.transpose(order)[flips], Grid(
        shape=(nx, ny, nz),
        spacing_mm=(sx, sy, sz),
        origin_mm=(x, y, z),
        direction=target.direction,
        frame_of_reference=grid.frame_of_reference,
    )


def _wider(grid: Grid) -> Grid:
    """Return the grid with one more voxel on every side."""
    nx, ny, nz = (n + 2 for n in grid.shape)
    x, y, z = grid.to_world([-1, -1, -1])
    return replace(grid, shape=(nx, ny, nz), origin_mm=(float(x), float(y), float(z)))


def _refined(grid: Grid, finer: Sequence[int]) -> Grid:
    spacing = np.asarray(grid.spacing_mm) / finer
    shift = grid.axes @ ((spacing - np.asarray(grid.spacing_mm)) / 2)
    x, y, z = np.asarray(grid.origin_mm) + shift
    nx, ny, nz = (n * f for n, f in zip(grid.shape, finer, strict=True))
    return Grid(
        shape=(nx, ny, nz),
        spacing_mm=tuple(spacing),
        origin_mm=(x, y, z),
        direction=grid.direction,
        frame_of_reference=grid.frame_of_reference,
    )
