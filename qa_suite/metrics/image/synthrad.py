"""Image measures as the SynthRAD challenges define them, beside the suite's own.

Definitions: Huijben et al. 2024, Med Image Anal 97:103276 (SynthRAD2023), and the evaluation
page and report of SynthRAD2025 (arXiv:2605.13555). Where these leave a choice open, the
numbers of the challenges' own public code decide: the repositories ``SynthRAD2023/metrics`` and
``SynthRAD2025/evaluation``, see ``docs/measures/image.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qa_suite.metrics.base import NoValue, Value, failed, ok, undefined
from qa_suite.metrics.image.comparison import Comparison
from qa_suite.metrics.image.settings import SYNTHRAD_RANGE_HU, SynthradMode

WINDOW, K1, K2 = 7, 0.01, 0.03


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
    from qa_suite.metrics.image.kernels import clipped_errors

    values = comparison.reference_values, comparison.synthetic_values
    return clipped_errors(*values, -np.inf, np.inf)[0] / values[0].size, 1.0


def _psnr(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """PSNR in the mask, of images clipped to the range."""
    from qa_suite.metrics.image.kernels import clipped_errors

    values = comparison.reference_values, comparison.synthetic_values
    square = clipped_errors(*values, *limits)[1] / values[0].size
    if square == 0:
        return NoValue(why="the clipped images are identical, so PSNR is infinite")
    return float(10 * np.log10((limits[1] - limits[0]) ** 2 / square)), 1.0


def _ssim(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """Mean of the SSIM map in the mask, less the three outermost voxels of the image."""
    from qa_suite.metrics.image.ssim import whole_windows

    own = {"ssim_window": WINDOW, "ssim_k1": K1, "ssim_k2": K2}
    settings = comparison.settings.model_copy(update=own)
    if (comparison.limits, comparison.settings) != (limits, settings):  # else measured already
        comparison = replace(comparison, limits=limits, settings=settings)
    whole = whole_windows(
        comparison.mask, WINDOW, offset=comparison.offset, shape=comparison.grid.shape
    )
    values = comparison.ssim[whole]
    if values.size == 0:
        return NoValue(why="no SSIM window around a voxel of the mask fits into the image")
    return float(values.mean(dtype=np.float64)), values.size / comparison.finite.size


def _ms_ssim(comparison: Comparison, limits: tuple[float, float]) -> tuple[float, float] | NoValue:
    """MS-SSIM by the challenge's own code."""
    from qa_suite.metrics.image.synthrad_ms_ssim import ms_ssim_2025

    return ms_ssim_2025(comparison, limits)


_METRICS = {"mae": _mae, "psnr": _psnr, "ssim": _ssim, "ms_ssim": _ms_ssim}
