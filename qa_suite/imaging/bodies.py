"""Where the body is, told from one image alone: what the checks compare the mask with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Box, Mask
from qa_suite.core.volume import Grid
from qa_suite.imaging.body import filled_slices

BODY_THRESHOLD_HU = -400.0
_OPENING_MM = 3.0  # loses couch sheets and sleeves, keeps fingers
_OTSU_BINS = 256
_NOISE_REACH = 3.0  # standard deviations
_NOISE_FILTER = 3  # voxels, the size of a median
_RAYLEIGH_MEAN = 1.25  # of the magnitude of noise alone, in its standard deviations
_MOST_VALUES = 1_000_000


def data_box(array: NDArray[Any]) -> Box | None:
    """Return the box left after trimming constant planes (padding) from all six faces.

    Returns
    -------
    three slices, or None where the whole array is constant.
    """
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        varies = np.flatnonzero(array.max(axis=others) > array.min(axis=others))
        if len(varies) == 0:
            return None
        box.append(slice(int(varies[0]), int(varies[-1]) + 1))
    return (box[0], box[1], box[2])


def box_mask(box: Box | None, shape: tuple[int, ...]) -> Mask:
    """Return the bool array that is true inside the box."""
    mask = np.zeros(shape, dtype=bool)
    if box is not None:
        mask[box] = True
    return mask


def ct_body(array: NDArray[Any], grid: Grid, *, offset_hu: float = 0.0) -> Mask:
    """Return the body in a CT: above −400 HU, without couch, lungs and gas filled."""
    return _largest_filled(array - offset_hu > BODY_THRESHOLD_HU, grid)


def signal_body(array: NDArray[Any], grid: Grid, *, through_noise: bool = False) -> Mask:
    """Return the body in an image of arbitrary scale: well above the background's signal.

    A quarter of Otsu's threshold (Otsu 1979, IEEE Trans Syst Man Cybern 9:62) of the voxels above
    the background separates tissue from noise: muscle is dark in T1w, and Otsu's threshold
    itself would part it from fat. With ``through_noise`` an image whose noise reaches that
    threshold is median-filtered, and its background taken to be the noise's magnitude
    (Gudbjartsson & Patz 1995, Magn Reson Med 34:910): else the background is body.
    """
    box = data_box(array)
    if box is None:
        return np.zeros(array.shape, dtype=bool)
    threshold, low = _signal_threshold(array[box])
    if through_noise and _NOISE_REACH * _noise(array[box]) > threshold - low:
        from scipy import ndimage

        smooth = ndimage.median_filter(array.astype(np.float32), _NOISE_FILTER)
        bright = _otsu(thinned(smooth[box]).astype(float))
        floor = _RAYLEIGH_MEAN * _noise(np.where(smooth > bright, array, np.nan)[box])
        array, threshold = smooth, floor + 0.25 * (bright - floor)
    return _largest_filled((array > threshold) & box_mask(box, array.shape), grid)


def _signal_threshold(values: NDArray[Any]) -> tuple[float, float]:
    """Return the least signal of tissue, and the background's; infinite without contrast."""
    inside = thinned(values).astype(float)
    low, high = np.percentile(inside, [0.5, 99.5])
    if high <= low:
        return np.inf, float(low)
    return float(low + 0.25 * (_otsu(np.clip(inside, low, high)) - low)), float(low)


def _noise(values: NDArray[Any]) -> float:
    """Estimate the noise (standard deviation) by the median difference of neighbours along i."""
    steps = np.abs(thinned(np.diff(values.astype(np.float32), axis=0)))
    steps = steps[np.isfinite(steps)]
    return float(np.median(steps)) / 0.954 if len(steps) else 0.0


def _otsu(values: NDArray[np.floating]) -> float:
    counts, edges = np.histogram(values, bins=_OTSU_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = total / below - (total[-1] - total) / above
        between = below * above * gap**2
    return float(centres[int(np.nanargmax(np.where(np.isfinite(between), between, -1.0)))])


def _largest_filled(mask: Mask, grid: Grid) -> Mask:
    """Open, keep all parts at least a tenth of the largest, and fill holes slice by slice."""
    from scipy import ndimage

    mask = _opened(mask, grid)
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.isin(labels, np.flatnonzero(sizes >= 0.1 * sizes.max()))
    return filled_slices(kept, grid.long_axis)


def eroded(mask: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Shrink a mask by a box of ``reach_mm`` to every side; the grid's edge is no surface."""
    return _boxed(mask, grid, reach_mm, "minimum_filter1d")


def _opened(mask: Mask, grid: Grid) -> Mask:
    """Remove what a box of 3 mm to every side does not fit into."""
    core = eroded(mask, grid, _OPENING_MM)
    if not core.any():  # nothing thick enough: thin parts are all there is
        return mask
    return _boxed(core, grid, _OPENING_MM, "maximum_filter1d")


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


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most about a million of the values, evenly picked, for statistics."""
    flat = values.ravel()
    return flat[:: max(1, flat.size // _MOST_VALUES)]


def share(part: Mask, whole: Mask) -> float | None:
    """Share of ``whole`` that ``part`` covers; None where ``whole`` is empty."""
    total = int(whole.sum())
    return None if total == 0 else int((part & whole).sum()) / total


def dice(one: Mask, other: Mask) -> float | None:
    """Dice overlap of two masks; None where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return None if total == 0 else 2 * int((one & other).sum()) / total
