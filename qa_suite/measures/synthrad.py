"""Image measures as the SynthRAD challenges define them, beside the suite's own.

Written from the published definitions: Huijben et al. 2024, Med Image Anal 97:103276
(SynthRAD2023), and the evaluation page and report of SynthRAD2025 (arXiv:2605.13555). The
choices that the definitions leave open stand in ``docs/measures/image.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.base import NoValue, Value, failed, ok, undefined
from qa_suite.measures.comparison import Comparison, FloatMap
from qa_suite.measures.image_settings import MS_SSIM_WEIGHTS, SYNTHRAD_RANGE_HU, SynthradMode

WINDOW, K1, K2 = 7, 0.01, 0.03
SHORTEST_AXIS = 97
"""Voxels an axis must have for a whole window of seven at the fifth scale: 6·2⁴ + 1."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What one challenge measures, and over which range of HU."""

    limits: tuple[float, float]
    metrics: tuple[str, ...]


MODES: dict[SynthradMode, Mode] = {
    "synthrad2023": Mode(limits=SYNTHRAD_RANGE_HU, metrics=("mae", "psnr", "ssim")),
    "synthrad2025": Mode(limits=(-1024.0, 3071.0), metrics=("mae", "psnr", "ms_ssim")),
}


def describe(mode: SynthradMode) -> dict[str, Any]:
    """Return what the variant of this name means, for the record."""
    return {"range_hu": list(MODES[mode].limits), "metrics": list(MODES[mode].metrics)}


def synthrad(comparison: Comparison, mode: SynthradMode) -> Iterator[Value]:
    """Yield the measures of one challenge in the body, as values of its variant."""
    for metric in MODES[mode].metrics:
        more: dict[str, Any] = {"variant": mode}
        if comparison.finite.size == 0:
            yield undefined(metric, "body", "the mask is empty", **more)
            continue
        coverage = 1 - comparison.wrong / comparison.finite.size
        if comparison.wrong:
            why = f"{comparison.wrong} voxels of the mask are not finite"
            yield failed(metric, "body", why, coverage=coverage, **more)
            continue
        found = _METRICS[metric](comparison, MODES[mode].limits)
        if isinstance(found, NoValue):
            yield undefined(metric, "body", found.why, **more)
        else:
            yield ok(metric, "body", found[0], coverage=found[1], **more)


def _mae(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float]:
    """Mean absolute error in the mask; not clipped."""
    from qa_suite.measures.image_kernels import clipped_errors

    values = comparison.reference_values, comparison.synthetic_values
    return clipped_errors(*values, -np.inf, np.inf)[0] / values[0].size, 1.0


def _psnr(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """PSNR in the mask, of images clipped to the range."""
    from qa_suite.measures.image_kernels import clipped_errors

    values = comparison.reference_values, comparison.synthetic_values
    square = clipped_errors(*values, *limits)[1] / values[0].size
    if square == 0:
        return NoValue(why="the clipped images are identical, so PSNR is infinite")
    return float(10 * np.log10((limits[1] - limits[0]) ** 2 / square)), 1.0


def _ssim(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """Mean of the SSIM map in the mask, less the three outermost voxels of the image."""
    from qa_suite.measures.ssim import local_similarity, whole_windows

    settings = comparison.settings
    own = (comparison.limits, settings.ssim_window, settings.ssim_k1, settings.ssim_k2)
    if own == (limits, WINDOW, K1, K2):  # the suite's own SSIM is this one, measured already
        values = comparison.ssim[np.isfinite(comparison.ssim)]
    else:
        first, second, mask, _, _ = _prepare(comparison, limits, shortest=1)
        found = local_similarity(
            first, second, mask, data_range=limits[1] - limits[0], window=WINDOW, k1=K1, k2=K2
        )
        whole = whole_windows(mask, WINDOW, offset=comparison.offset, shape=comparison.grid.shape)
        values = found.ssim[whole]
    if values.size == 0:
        return NoValue(why="no SSIM window around a voxel of the mask fits into the image")
    return float(values.mean(dtype=np.float64)), values.size / comparison.finite.size


def _ms_ssim(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """MS-SSIM with the SSIM, luminance included, of every voxel raised to its scale's weight.

    The mean over the mask is taken at every scale, and the means are multiplied.
    """
    from qa_suite.measures.ms_ssim import pyramid
    from qa_suite.measures.ssim import local_similarity, whole_windows

    first, second, mask, offset, shape = _prepare(comparison, limits, shortest=SHORTEST_AXIS)
    result, coverage = 1.0, 1.0
    for scale, (a, b) in enumerate(pyramid(first, second, len(MS_SSIM_WEIGHTS))):
        if scale > 0:
            mask = np.ascontiguousarray(mask[::2, ::2, ::2])
            offset = tuple(begin // 2 for begin in offset)
            shape = tuple((size + 1) // 2 for size in shape)
        found = local_similarity(
            a, b, mask, data_range=limits[1] - limits[0], window=WINDOW, k1=K1, k2=K2
        )
        values = found.ssim[whole_windows(mask, WINDOW, offset=offset, shape=shape)]
        if values.size == 0:
            return NoValue(why=f"no window fits around a voxel of the mask at scale {scale + 1}")
        if scale == 0:
            coverage = values.size / comparison.finite.size
        powers = np.maximum(values, 0).astype(np.float64) ** MS_SSIM_WEIGHTS[scale]
        result *= float(powers.mean())
    return result, coverage


_METRICS = {"mae": _mae, "psnr": _psnr, "ssim": _ssim, "ms_ssim": _ms_ssim}


def _prepare(
    comparison: Comparison, limits: tuple[float, float], *, shortest: int
) -> tuple[FloatMap, FloatMap, NDArray[np.bool_], tuple[int, ...], tuple[int, ...]]:
    """Clip, mask and shift both images, and pad axes that are shorter than ``shortest``.

    Returns
    -------
    tuple
        Both images and the mask, cut to its surroundings; where the cut begins in the padded
        image (a multiple of the coarsest voxel); the padded image's shape.
    """
    from qa_suite.measures.image_kernels import clip_in_mask

    coarsest = 2 ** (len(MS_SSIM_WEIGHTS) - 1)
    begin, length, offset, shape = [], [], [], []
    for size, start, cut in zip(
        comparison.grid.shape, comparison.offset, comparison.mask.shape, strict=True
    ):
        before = max(shortest - size, 0) // 2
        padded = max(shortest, size)
        low = max(start + before - coarsest * (before > 0), 0) // coarsest * coarsest
        high = min(start + cut + before + coarsest * (before > 0), padded)
        begin.append(low - before - start)
        length.append(high - low)
        offset.append(low)
        shape.append(padded)
    images = []
    for array in (comparison.reference, comparison.synthetic):
        image = np.empty(length, dtype=np.float32)
        clip_in_mask(array, comparison.mask, tuple(begin), *limits, image)
        images.append(image)
    mask = np.zeros(length, dtype=bool)
    inside = tuple(slice(-b, -b + n) for b, n in zip(begin, comparison.mask.shape, strict=True))
    mask[inside] = comparison.mask
    return images[0], images[1], mask, tuple(offset), tuple(shape)
