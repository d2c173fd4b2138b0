"""What one image looks like in a few numbers: signal, contrast, noise, sharpness, unevenness.

The same functions describe the images that a translator is trained on and those that it is
examined on, so that the two can be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.robust import MAD_TO_SD_EXACT, otsu, thinned

SOURCE_FEATURES = (
    "source_level",
    "source_span",
    "source_asymmetry",
    "source_noise",
    "source_sharpness",
    "source_unevenness",
)
"""What :func:`describe_source` tells, in its order."""
VOXEL_SIZES = ("in_plane", "slice")
FEWEST = 100
"""Voxels, or cells of eight, below which nothing is told."""
MOST = 200_000
"""Voxels that statistics are taken of: their error is far below what patients differ by."""
SPAN_PERCENTS = (5, 50, 95)
_UNIFORM_REACH = 0.4  # of a tissue's median: what a bias field can do, and another tissue cannot
_MOST_FITTED = 40_000
_FILTER_GAIN = 6.0  # white noise of 1 comes out of [1 -2 1] x [1 -2 1] with this deviation

Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Untold:
    """What stands in place of a number that an image does not tell: why."""

    why: str


Told = float | Untold


def describe_source(source: Volume, inside: Mask) -> dict[str, Told]:
    """Describe a source image by the numbers :data:`SOURCE_FEATURES`.

    Level and span are in the numbers that the file stores, 1000 added to the level where those
    are HU, so that both are ratios of signal; the others do not depend on a factor.

    Parameters
    ----------
    source
        On canonical axes.
    inside
        Where it is looked at; of its grid's shape.
    """
    box = bounding_box(inside)
    if box is None:
        return _all_untold("nothing of it may be measured")
    array = np.ascontiguousarray(source.array[box], dtype=np.float32)
    inside = inside[box]
    values = thinned(array[inside], MOST)
    if not np.isfinite(values).all():
        return _all_untold("it holds voxels that are not finite")
    air = -1000.0 if source.quantity == "HU" else 0.0
    low, middle, high = (float(v) for v in np.percentile(values, SPAN_PERCENTS))
    span = high - low
    found: dict[str, Told] = {"source_level": middle - air, "source_span": span}
    if span <= 0:
        return _all_untold("the source is flat inside the mask") | found
    level = otsu(np.clip(values, low, high))
    bright = values >= level
    step = float(np.median(values[bright]) - np.median(values[~bright]))
    return found | {
        "source_asymmetry": (high + low - 2 * middle) / span,
        "source_noise": _share(noise(array, inside, (-np.inf, np.inf)), span),
        "source_sharpness": _share(steepness(array, inside, level, source.grid.spacing_mm), step),
        "source_unevenness": unevenness(array - np.float32(air), inside, level - air),
    }


def voxel_sizes(grid: Grid) -> dict[str, float]:
    """Return the voxel's size across the long axis (geometric mean) and along it, in mm."""
    along = grid.long_axis
    first, second = (step for axis, step in enumerate(grid.spacing_mm) if axis != along)
    sizes = (float(np.sqrt(first * second)), float(grid.spacing_mm[along]))
    return dict(zip(VOXEL_SIZES, sizes, strict=True))


def noise(array: Float32Array, inside: Mask, window: tuple[float, float]) -> Told:
    """Return the robust standard deviation of what [1 −2 1] ⊗ [1 −2 1] / 6 leaves of a slice.

    Parameters
    ----------
    array, inside
        Image and where it is looked at; slices along the last axis.
    window
        Voxels beyond are left out with their neighbours.

    References
    ----------
    Immerkær J (1996) Fast noise variance estimation, Comput Vis Image Underst 64:300.
    """
    good = inside if np.isinf(window).all() else _within(array, inside, window)
    whole = good
    detail = array
    for axis in (0, 1):
        first, middle, last = (_part(axis, at) for at in range(3))
        whole = whole[first] & whole[middle] & whole[last]
        detail = detail[first] - 2 * detail[middle] + detail[last]
    found = detail[whole]
    if found.size < FEWEST:
        return Untold(why=f"only {found.size} voxels lie inside even tissue")
    return MAD_TO_SD_EXACT * float(np.median(np.abs(thinned(found, MOST)))) / _FILTER_GAIN


def steepness(array: Float32Array, inside: Mask, level: float, spacing: Spacing) -> Told:
    """Return the median gradient, per mm, in the cells inside that a level parts."""
    above, counted = _corners(inside & (array >= level)), _corners(inside)
    cells = np.nonzero((above > 0) & (above < 8) & (counted == 8))
    if cells[0].size < FEWEST:
        return Untold(why=f"only {cells[0].size} cells inside are parted by {level:.4g}")
    every = max(1, cells[0].size // _MOST_FITTED)
    return float(np.median(_gradients(array, tuple(axis[::every] for axis in cells), spacing)))


def unevenness(signal: Float32Array, inside: Mask, level: float) -> Told:
    """Return the spread of the smooth field that lies over two tissues, in %.

    Parameters
    ----------
    signal
        Above air: what a coil's sensitivity multiplies.
    inside
        Where it is looked at.
    level
        Parts the two tissues.
    """
    places = np.argwhere(inside)
    places = places[:: max(1, len(places) // _MOST_FITTED)]
    values = signal[tuple(places.T)].astype(np.float64)
    bright = values >= level
    medians = [float(np.median(values[side])) if side.any() else 0.0 for side in (~bright, bright)]
    own = np.where(bright, medians[1], medians[0])
    if own.min() <= 0:
        return Untold(why="a tissue of the source has no signal")
    ratio = values / own
    even = np.abs(ratio - 1) <= _UNIFORM_REACH
    if even.sum() < FEWEST:
        return Untold(why=f"only {int(even.sum())} voxels are near the level of a tissue")
    at = 2 * (places - places.min(axis=0)) / np.maximum(np.ptp(places, axis=0), 1) - 1
    x, y, z = at.T
    terms = np.stack([np.ones(len(at)), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    fitted, *_ = np.linalg.lstsq(terms[even], ratio[even], rcond=None)
    return 100 * float(np.std(terms @ fitted))


# ---------------------------------------------------------------------------------------
# Parts


def _all_untold(why: str) -> dict[str, Told]:
    return dict.fromkeys(SOURCE_FEATURES, Untold(why=why))


def _share(answer: Told, whole: float) -> Told:
    return answer if isinstance(answer, Untold) else 100 * answer / whole


def _within(array: Float32Array, inside: Mask, window: tuple[float, float]) -> Mask:
    return inside & (array >= window[0]) & (array <= window[1])


def _part(axis: int, at: int) -> tuple[slice, ...]:
    """Return the slices that take the first, middle or last of three neighbours along an axis."""
    cut = [slice(None)] * 3
    cut[axis] = (slice(None, -2), slice(1, -1), slice(2, None))[at]
    return tuple(cut)


def _corners(mask: Mask) -> NDArray[np.uint8]:
    """Count the corners of each cell of eight voxels that lie in a mask."""
    count = np.asarray(mask, dtype=np.uint8)
    for axis in range(3):
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(None, -1), slice(1, None)
        count = count[tuple(first)] + count[tuple(last)]
    return count


def _gradients(
    array: Float32Array, cells: tuple[NDArray[np.intp], ...], spacing: Spacing
) -> NDArray[np.float64]:
    """Length of the gradient in cells of eight voxels, from the means of opposite faces."""
    corners = {
        (a, b, c): array[cells[0] + a, cells[1] + b, cells[2] + c].astype(np.float64)
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    }
    total = np.zeros(cells[0].size)
    for axis in range(3):
        step = np.zeros(cells[0].size)
        for at, value in corners.items():
            step += value if at[axis] else -value
        total += np.square(step / (4 * spacing[axis]))
    return np.sqrt(total)
