"""Working copies of the images: clipped, averaged to a resolution, smoothed, and halved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Box, FloatArray, Mask
from qa_suite.core.volume import Grid

SMOOTHING_VOXELS = 0.7
"""Sigma of the smoothing before a registration: linear interpolation is then harmless."""

_HALVING_RATIO = 1.5
_MIN_HALVED = 6


@dataclass(frozen=True, kw_only=True)
class Image:
    """Values on a grid of their own.

    Parameters
    ----------
    values
        Shape of the grid.
    grid
        Where they lie.
    """

    values: NDArray[np.float32]
    grid: Grid


def averaged(
    array: NDArray[np.generic],
    grid: Grid,
    *,
    resolution_mm: float,
    window: tuple[float, float],
    box: Box,
) -> Image:
    """Clip values to a window and average them over blocks of about ``resolution_mm``.

    Parameters
    ----------
    array, grid
        The image; finite inside the box.
    resolution_mm
        An axis with coarser voxels keeps them.
    window
        Lowest and highest value that is told apart.
    box
        The part that is wanted; what does not fill a whole block at its end is left out.
    """
    from qa_suite.imaging.registration.motion_kernels import block_mean

    part = np.ascontiguousarray(array[box], dtype=np.float32)
    wanted = np.round(resolution_mm / np.asarray(grid.spacing_mm)).astype(int)
    step = np.clip(wanted, 1, part.shape)
    result = np.empty(tuple(n // s for n, s in zip(part.shape, step, strict=True)), np.float32)
    low, high = (np.float32(v) for v in window)
    block_mean(part, step, low, high, result)
    first = np.array([s.start for s in box]) + (step - 1) / 2
    return Image(values=result, grid=_coarser(grid, result.shape, step, first))


def _coarser(grid: Grid, shape: tuple[int, ...], step: NDArray[np.int_], first: FloatArray) -> Grid:
    i, j, k = shape
    return replace(
        grid,
        shape=(i, j, k),
        spacing_mm=tuple(np.asarray(grid.spacing_mm) * step),
        origin_mm=tuple(grid.to_world(first)),
    )


def halved(image: Image) -> Image:
    """Average over blocks of two voxels along every axis that is not much coarser already."""
    from qa_suite.imaging.registration.motion_kernels import block_mean

    spacing = np.asarray(image.grid.spacing_mm)
    fine = spacing <= _HALVING_RATIO * spacing.min()
    step = np.where(fine & (np.array(image.values.shape) >= 2 * _MIN_HALVED), 2, 1)
    shape = tuple(n // s for n, s in zip(image.values.shape, step, strict=True))
    result = np.empty(shape, np.float32)
    block_mean(image.values, step, np.float32(-np.inf), np.float32(np.inf), result)
    return Image(values=result, grid=_coarser(image.grid, shape, step, (step - 1) / 2))


def smoothed(image: Image, sigma_voxels: float = SMOOTHING_VOXELS) -> Image:
    """Smooth with a Gaussian of ``sigma_voxels``."""
    from scipy import ndimage

    if sigma_voxels <= 0:
        return image
    values = ndimage.gaussian_filter(image.values, sigma_voxels, mode="nearest", truncate=3.0)
    return Image(values=values, grid=image.grid)


def blurred(image: Image, fwhm_mm: float) -> Image:
    """Smooth with a Gaussian of a width in mm."""
    from scipy import ndimage

    if fwhm_mm <= 0:
        return image
    sigma = [fwhm_mm / 2.3548 / s for s in image.grid.spacing_mm]
    values = ndimage.gaussian_filter(image.values, sigma, mode="nearest", truncate=3.0)
    return Image(values=values, grid=image.grid)


def grown(mask: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Grow a mask by a box of ``reach_mm`` to every side."""
    from scipy import ndimage

    out = mask.astype(np.uint8)
    for axis, spacing in enumerate(grid.spacing_mm):
        size = 2 * min(int(np.ceil(reach_mm / spacing)), mask.shape[axis]) + 1
        out = ndimage.maximum_filter1d(out, size, axis=axis, mode="constant")
    return np.asarray(out > 0)


def mask_at(mask: Mask, grid: Grid, target: Grid) -> Mask:
    """Say for every voxel centre of an aligned coarser grid whether it lies in the mask."""
    index = grid.to_index(target.to_world(np.zeros(3)))
    step = np.asarray(target.spacing_mm) / np.asarray(grid.spacing_mm)
    picks = [
        np.clip(np.floor(a + s * np.arange(n) + 0.5).astype(int), 0, size - 1)
        for a, s, n, size in zip(index, step, target.shape, mask.shape, strict=True)
    ]
    return np.asarray(mask[np.ix_(*picks)])


def positions(grid: Grid, chosen: NDArray[np.intp]) -> FloatArray:
    """LPS position of voxels, in mm, shape (voxels, 3).

    ``chosen`` counts the voxels with the last axis fastest.
    """
    index = np.stack(np.unravel_index(chosen, grid.shape)).astype(float)
    matrix, origin = grid.affine[:3, :3], grid.affine[:3, 3]
    result = np.empty((len(chosen), 3))
    for axis in range(3):  # much faster than a product of so narrow matrices
        row = matrix[axis]
        result[:, axis] = row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + origin[axis]
    return result
