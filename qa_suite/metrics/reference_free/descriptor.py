"""What a source image looks like, in a few numbers: the coordinates of the OOD distance."""

from __future__ import annotations

import math

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Volume
from qa_suite.imaging.bodies import thinned
from qa_suite.metrics.reference_free.patient import Mask

PERCENTS = (1, 10, 25, 75, 90, 99)
LAGS_MM = (6.0, 12.0, 24.0)
_FLOOR = 1e-4  # of the scale: a logarithm of nothing is no coordinate
_FEWEST = 500

NAMES: tuple[str, ...] = (
    *(f"percentile_{p}" for p in PERCENTS),
    *(f"variation_{lag:g}_mm" for lag in LAGS_MM),
    "noise",
    "background",
    "rim",
    "volume",
    "width",
    "depth",
)


def describe(
    source: Volume, body: Mask, planes: Float32Array, body_planes: Mask
) -> dict[str, float] | None:
    """Describe a source image by numbers that do not depend on its scale.

    All intensities are relative: minus the median of the body, over its 5th to 95th
    percentile span. Percentiles; the logarithm of the mean absolute difference of voxels
    6, 12 and 24 mm apart along x (a coarse spectrum); the logarithm of the noise (Immerkær
    1996); the level of the background; that of the rim of 20 mm under the skin (coil
    sensitivity); the logarithms of the body's volume, width and depth.

    Parameters
    ----------
    source
        On canonical axes, finite.
    body
        Where its body is.
    planes, body_planes
        The same slice by slice, shape (nz, nx, ny).

    Returns
    -------
    dict with the keys :data:`NAMES`, or None where the body is too small or flat
    """
    from qa_suite.imaging.bodies import eroded
    from qa_suite.metrics.reference_free.kernels import residuals

    array = source.array
    inside = thinned(array[body])
    if inside.size < _FEWEST:
        return None
    low, middle, high = (float(v) for v in np.percentile(inside, [5, 50, 95]))
    span = high - low
    if span <= 0:
        return None
    numbers = [(float(v) - middle) / span for v in np.percentile(inside, PERCENTS)]
    numbers += [_log(_variation(array, body, lag, source) / span) for lag in LAGS_MM]
    noise, _ = residuals(planes, body_planes, low - 10 * span, high + 10 * span)
    level = 1.4826 * float(np.median(np.abs(thinned(noise)))) if noise.size else 0.0
    numbers.append(_log(level / span))
    outside = thinned(array[~body])
    numbers.append((float(np.median(outside)) - middle) / span if outside.size else 0.0)
    rim = body & ~eroded(body, source.grid, 20.0)
    numbers.append((float(np.median(thinned(array[rim]))) - middle) / span if rim.any() else 0.0)
    numbers.append(math.log(int(body.sum()) * source.grid.voxel_volume_cc))
    numbers += [math.log(_extent(body, axis) * source.grid.spacing_mm[axis]) for axis in (0, 1)]
    return dict(zip(NAMES, numbers, strict=True))


def _variation(array: Float32Array, body: Mask, lag_mm: float, source: Volume) -> float:
    from qa_suite.metrics.reference_free.kernels import mean_step

    lag = max(1, round(lag_mm / source.grid.spacing_mm[0]))
    return float(mean_step(array, body, lag))


def _extent(body: Mask, axis: int) -> float:
    """Mean chord of the body along an axis, in voxels: steadier than its bounding box."""
    chords = body.sum(axis=axis)
    return float(chords[chords > 0].mean())


def _log(value: float) -> float:
    return math.log(max(value, _FLOOR))
