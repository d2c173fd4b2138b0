"""Masks: their parts, their holes, how they overlap; the one cleaning up of what was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Grid


def large_parts(
    mask: Mask, *, least_voxels: float = 0.0, least_share: float = 0.0, corners: bool = False
) -> Mask:
    """Keep the connected parts that are large enough.

    Parameters
    ----------
    mask
        Bool, of three axes.
    least_voxels
        Fewest voxels of a part.
    least_share
        Least size of a part, as a share of the largest.
    corners
        Whether voxels that touch by an edge or a corner are connected (26 neighbours), or only
        those that touch by a face (6).

    Returns
    -------
    ndarray of bool, of the mask's shape
        A part of exactly the limit stays.
    """
    from scipy import ndimage

    if least_voxels <= 0 and least_share <= 0:
        return mask
    structure = np.ones((3, 3, 3), dtype=bool) if corners else None
    labels, count = ndimage.label(mask, structure=structure)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    keep = sizes >= max(least_voxels, least_share * sizes.max()) * (1 - 1e-9)
    keep[0] = False
    return np.asarray(keep[labels])


def filled_slices(inside: Mask, axis: int, *, outside: Mask | None = None) -> Mask:
    """Fill the holes of every slice of a mask.

    Lungs and bowel end at the last slice, so they are no holes in three dimensions; within a
    slice across the patient they are. The one filling of holes in the suite.

    Parameters
    ----------
    inside
        The mask, of three axes.
    axis
        Across which its slices lie: :attr:`~qa_suite.core.volume.Grid.long_axis`, never just the
        last.
    outside
        What is open like the image's border, of the same shape, or None.

    Returns
    -------
    ndarray of bool, of the mask's shape
        The mask, and the background that within its slice (4 neighbours) reaches neither the
        border of the image nor ``outside``.
    """
    from scipy import ndimage

    planes = np.moveaxis(~inside, axis, 0)
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1, 1, :] = in_plane[1, :, 1] = True
    labels, count = ndimage.label(planes, structure=in_plane)
    open_ = np.zeros(count + 1, dtype=bool)
    open_[0] = True  # the mask itself
    edges = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    if outside is not None:
        edges.append(labels[np.moveaxis(outside, axis, 0)])
    for edge in edges:
        open_[edge.ravel()] = True
    return np.ascontiguousarray(inside | np.moveaxis(~open_[labels], 0, axis))


def eroded(mask: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Shrink a mask by a box of ``reach_mm`` to every side; the grid's edge is no surface."""
    return _boxed(mask, grid, reach_mm, "minimum_filter1d")


def opened(mask: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Remove what a box of ``reach_mm`` to every side does not fit into.

    Where nothing is thick enough, the mask itself: thin parts are all there is.
    """
    core = eroded(mask, grid, reach_mm)
    return _boxed(core, grid, reach_mm, "maximum_filter1d") if core.any() else mask


def _boxed(mask: Mask, grid: Grid, reach_mm: float, name: str) -> Mask:
    """Filter along one axis after the other, which is fast on any size of volume."""
    from scipy import ndimage

    out = mask.astype(np.uint8)
    for axis, spacing in enumerate(grid.spacing_mm):
        size = 2 * min(int(reach_mm / spacing), mask.shape[axis]) + 1
        out = getattr(ndimage, name)(out, size, axis=axis, mode="nearest")
    return np.asarray(out > 0)


def centroid(mask: Mask) -> NDArray[np.float64]:
    """Mean index of the voxels of a mask along i, j, k."""
    means = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        counts = mask.sum(axis=others)
        means.append(float(counts @ np.arange(len(counts))) / float(counts.sum()))
    return np.array(means)


def share(part: Mask, whole: Mask) -> float | None:
    """Share of ``whole`` that ``part`` covers; None where ``whole`` is empty."""
    total = int(whole.sum())
    return None if total == 0 else int((part & whole).sum()) / total


def dice(one: Mask, other: Mask) -> float | None:
    """Dice overlap of two masks; None where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return None if total == 0 else 2 * int((one & other).sum()) / total
