"""MS-SSIM as the evaluation code of SynthRAD2025 computes it; importing this loads numba.

Compared with ``image_metrics.py`` of the repository ``SynthRAD2025/evaluation`` (commit
17cac47), whose numbers ``tests/test_synthrad.py`` holds. It is handed arrays indexed x, y, z.
Luminance enters at every scale, every voxel's SSIM is raised to the scale's weight before the
mean, and the scales are laid from the first voxel on, so a mirrored pair has another value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.imaging.compiled import compiled
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.comparison import Comparison
from qa_suite.metrics.image.kernels import clip_in_mask, cut_out
from qa_suite.metrics.image.settings import MS_SSIM_WEIGHTS
from qa_suite.metrics.image.ssim import local_similarity, whole_windows

WINDOW, K1, K2 = 7, 0.01, 0.03
SHORTEST_AXIS = 97
"""Voxels an axis is padded to: a whole window of seven at the fifth scale, 6·2⁴ + 1."""
COARSEST = 2 ** (len(MS_SSIM_WEIGHTS) - 1)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Both images and the mask at one scale, cut out of the padded image.

    Parameters
    ----------
    first, second, mask
        Of the cut's shape.
    offset, shape
        Where the cut begins in the padded image of this scale, and that image's shape.
    """

    first: Float32Array
    second: Float32Array
    mask: NDArray[np.bool_]
    offset: tuple[int, ...]
    shape: tuple[int, ...]


def ms_ssim_2025(
    comparison: Comparison, limits: tuple[float, float]
) -> tuple[float, float] | NoValue:
    """Return the challenge's masked MS-SSIM and the share of the mask at its finest scale.

    Parameters
    ----------
    comparison
        A pair whose mask has a voxel and only finite ones.
    limits
        Lowest and highest value; both images are clipped to them.
    """
    scale, result, coverage = padded(comparison, limits), 1.0, 1.0
    for number, weight in enumerate(MS_SSIM_WEIGHTS, start=1):
        found = local_similarity(
            scale.first,
            scale.second,
            scale.mask,
            data_range=limits[1] - limits[0],
            window=WINDOW,
            k1=K1,
            k2=K2,
        )
        whole = whole_windows(scale.mask, WINDOW, offset=scale.offset, shape=scale.shape)
        values = found.ssim[whole]
        if values.size == 0:
            return NoValue(why=f"no window fits around a voxel of the mask at scale {number}")
        if number == 1:
            coverage = values.size / whole.size
        powers = np.maximum(values, 0).astype(np.float64) ** weight
        result *= min(float(powers.mean()), 1.0)
        if number < len(MS_SSIM_WEIGHTS):
            scale = halved(scale)
    return result, coverage


def padded(comparison: Comparison, limits: tuple[float, float]) -> Scale:
    """Clip, mask and shift both images; pad short axes, the mask's too, by their ends.

    The cut begins at a multiple of the coarsest voxel and holds at least one of zeros on
    either side of the mask, unless the padded image ends there.
    """
    rows, begin, offset, shape = [], [], [], []
    for axis, (size, start, length) in enumerate(
        zip(comparison.grid.shape, comparison.offset, comparison.mask.shape, strict=True)
    ):
        before, total = max(SHORTEST_AXIS - size, 0) // 2, max(SHORTEST_AXIS, size)
        inside = np.clip(np.arange(total) - before - start, 0, length - 1)
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(np.any(comparison.mask, axis=others)[inside])
        low = max(int(filled[0]) - 1, 0) // COARSEST * COARSEST
        high = min(int(filled[-1]) + 1 + 2 * COARSEST, total)
        rows.append(inside[low:high])
        begin.append(low - before - start)
        offset.append(low)
        shape.append(total)
    images = []
    for array in (comparison.reference, comparison.synthetic):
        image = np.empty([len(row) for row in rows], dtype=np.float32)
        clip_in_mask(array, comparison.mask, tuple(begin), *limits, image)
        images.append(image)
    mask = np.empty([len(row) for row in rows], dtype=bool)
    cut_out(comparison.mask, tuple(begin), mask)
    return Scale(
        first=images[0], second=images[1], mask=mask, offset=tuple(offset), shape=tuple(shape)
    )


def halved(scale: Scale) -> Scale:
    """Return the next scale: of the images every second moving mean, of the mask every second."""
    shape = tuple((n + 1) // 2 for n in scale.mask.shape)
    images = [np.empty(shape, dtype=np.float32) for _ in range(2)]
    _halve(scale.first, images[0])
    _halve(scale.second, images[1])
    return Scale(
        first=images[0],
        second=images[1],
        mask=np.ascontiguousarray(scale.mask[::2, ::2, ::2]),
        offset=tuple(begin // 2 for begin in scale.offset),
        shape=tuple((n + 1) // 2 for n in scale.shape),
    )


@compiled
def _halve(array, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with means of every second voxel and those before it; zero before all."""
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            for k in range(result.shape[2]):
                total = 0.0
                for p in range(max(2 * i - 1, 0), 2 * i + 1):
                    for q in range(max(2 * j - 1, 0), 2 * j + 1):
                        for r in range(max(2 * k - 1, 0), 2 * k + 1):
                            total += array[p, q, r]
                result[i, j, k] = total / 8.0
