"""Volumes on other grids: what a grid covers of another, and values in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume

Interpolation = Literal["linear", "nearest"]
_EDGE_TOLERANCE_VOXEL = 1e-3  # rounding in a header must not cut off the outermost voxels


def _index_map(source: Grid, target: Grid) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(source.affine) @ target.affine)


def covered_by(source: Grid, target: Grid) -> NDArray[np.bool_]:
    """Say which voxels of ``target`` lie inside the field of view of ``source``.

    A voxel counts as inside when its centre lies between the outermost voxel centres of
    ``source``, so that its value can be interpolated.

    Returns
    -------
    ndarray of bool, shape ``target.shape``
    """
    matrix = _index_map(source, target)
    i, j, k = np.ogrid[tuple(slice(0, n) for n in target.shape)]
    inside = np.ones(target.shape, dtype=bool)
    for axis, size in enumerate(source.shape):
        row = matrix[axis]
        position = row[0] * i + row[1] * j + row[2] * k + row[3]
        inside &= position >= -_EDGE_TOLERANCE_VOXEL
        inside &= position <= size - 1 + _EDGE_TOLERANCE_VOXEL
    return inside


def resample(volume: Volume, grid: Grid, *, interpolation: Interpolation, outside: float) -> Volume:
    """Resample a volume onto another grid; the step is recorded in its history.

    Parameters
    ----------
    volume
        What to resample. Labels take ``interpolation="nearest"`` only.
    grid
        Where to put it; must be in a compatible frame of reference.
    interpolation
        ``linear`` or ``nearest``; no smoothing precedes it, also not towards a coarser grid.
    outside
        Value of the voxels that ``volume`` does not cover (−1000 for HU; never guessed).

    Raises
    ------
    GeometryError
        If the frames of reference differ.
    InputError
        If labels would be interpolated linearly.
    """
    from scipy import ndimage

    if not volume.grid.same_frame_as(grid):
        raise GeometryError(
            f"Cannot resample from frame of reference {volume.grid.frame_of_reference} to "
            f"{grid.frame_of_reference}; register the images first."
        )
    if volume.quantity == "label" and interpolation != "nearest":
        raise InputError("Labels can be resampled with interpolation='nearest' only.")
    matrix = _index_map(volume.grid, grid)
    padded = np.pad(volume.array, 1, mode="edge")  # so that an edge voxel is met exactly
    dtype = volume.array.dtype if interpolation == "nearest" else np.float32
    values = ndimage.affine_transform(
        padded.astype(dtype, copy=False),
        matrix[:3, :3],
        offset=matrix[:3, 3] + 1,
        output_shape=grid.shape,
        order=1 if interpolation == "linear" else 0,
        mode="nearest",
    )
    values[~covered_by(volume.grid, grid)] = outside
    step = f"resampled {interpolation} from {volume.grid.describe()} to {grid.describe()}"
    frame = grid.frame_of_reference or volume.grid.frame_of_reference
    return Volume(
        array=values,
        grid=replace(grid, frame_of_reference=frame),
        quantity=volume.quantity,
        history=(*volume.history, step),
    )
