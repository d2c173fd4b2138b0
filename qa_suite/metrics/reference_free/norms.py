"""A source image in a few numbers, and what those of a training cohort look like.

The yardstick of the checks without a reference: the coordinates of the OOD distance, and the
cohort's mean, covariance and histogram.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.arrays import Float32Array, FloatArray, Mask
from qa_suite.core.volume import Volume
from qa_suite.imaging.robust import MAD_TO_SD, thinned

MIN_PATIENTS = 10
"""Fewer training patients give no norms: a covariance of 15 numbers would be mostly shrinkage."""

LOW_HU, HIGH_HU, BIN_HU = -1024.0, 3076.0, 10.0
BINS = round((HIGH_HU - LOW_HU) / BIN_HU)

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


class Norms(BaseModel):
    """What the images of a cohort look like, in numbers.

    Parameters
    ----------
    cohort, cohort_digest, split
        Whose.
    patients
        How many they rest on; the first examination of each.
    left_out
        Case to reason, for those that could not be used.
    histogram
        Share of the body's voxels of the real image in each step of 10 HU from -1024; the
        mean over the patients. Values beyond the ends count in the last steps.
    names, centre, spread
        Descriptor of the sources: names, mean and standard deviation.
    covariance
        Of the descriptor divided by its spread, shrunk to a multiple of the identity.
    shrinkage
        Weight of that identity.
    distances
        Of each training patient from the others (leave one out), in no order of patients.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cohort: str
    cohort_digest: str
    split: str
    patients: int = Field(ge=MIN_PATIENTS)
    left_out: dict[str, str] = Field(default_factory=dict)
    histogram: tuple[float, ...]
    names: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    shrinkage: float = Field(ge=0, le=1)
    distances: tuple[float, ...]

    @model_validator(mode="after")
    def _one_size(self) -> Norms:
        sizes = {len(self.centre), len(self.spread), len(self.covariance), len(self.names)}
        sizes |= {len(row) for row in self.covariance}
        if len(sizes) != 1 or len(self.histogram) != BINS:
            raise ValueError(f"the descriptor has sizes {sorted(sizes)}")
        return self

    def distance(self, descriptor: Mapping[str, float]) -> float:
        """Mahalanobis distance of a descriptor from the cohort's mean."""
        values = np.array([descriptor[name] for name in self.names])
        model = Model(
            centre=np.asarray(self.centre),
            spread=np.asarray(self.spread),
            covariance=np.asarray(self.covariance),
            shrinkage=self.shrinkage,
        )
        return _distance(model, values)


@dataclass(frozen=True, kw_only=True)
class Model:
    """Mean, spread and shrunk covariance of rows of numbers."""

    centre: FloatArray
    spread: FloatArray
    covariance: FloatArray
    shrinkage: float


def fit_model(rows: FloatArray) -> Model:
    """Fit mean, spread and shrunk covariance to rows of numbers, shape (patients, numbers)."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0, ddof=1)
    spread = np.maximum(spread, 1e-6 * np.maximum(np.abs(centre), 1.0))
    covariance, shrinkage = shrunk_covariance((rows - centre) / spread)
    return Model(centre=centre, spread=spread, covariance=covariance, shrinkage=shrinkage)


def _distance(model: Model, values: FloatArray) -> float:
    gap = (values - model.centre) / model.spread
    return math.sqrt(max(0.0, float(gap @ np.linalg.solve(model.covariance, gap))))


def shrunk_covariance(rows: FloatArray) -> tuple[FloatArray, float]:
    """Covariance of centred rows, shrunk to a multiple of the identity, and the weight of that.

    References
    ----------
    Ledoit O, Wolf M (2004) A well-conditioned estimator for large-dimensional covariance
    matrices, J Multivar Anal 88:365, equations 14 to 17.
    """
    n, size = rows.shape
    sample = rows.T @ rows / n
    mean = float(np.trace(sample)) / size
    gap = float(np.square(sample - mean * np.eye(size)).sum()) / size
    if gap == 0:
        return sample, 0.0
    squares = np.square(rows)
    error = float((squares.T @ squares / n - np.square(sample)).sum()) / size / n
    weight = min(1.0, max(0.0, error) / gap)
    return weight * mean * np.eye(size) + (1 - weight) * sample, weight


def histogram_of(values: Float32Array | FloatArray) -> FloatArray:
    """Share of HU values in each step of 10 HU; those beyond the ends go into the last steps."""
    steps = np.clip((values - LOW_HU) / BIN_HU, 0, BINS - 1).astype(np.int64)
    return np.bincount(steps, minlength=BINS) / max(1, values.size)


def beyond_histogram(values: Float32Array | FloatArray) -> float:
    """Mean distance of values from the histogram's span, in HU; 0 for those within."""
    high = LOW_HU + BINS * BIN_HU
    within = np.clip(values, LOW_HU, high).astype(np.float64)
    return float(np.abs(values.astype(np.float64) - within).mean())


def leave_one_out(rows: FloatArray) -> list[float]:
    """Distance of each row from a model of all the others."""
    kept = np.arange(len(rows))
    return [_distance(fit_model(rows[kept != one]), rows[one]) for one in kept]


# ---------------------------------------------------------------------------------------
# One source image


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
    from qa_suite.imaging.masks import eroded
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
    level = MAD_TO_SD * float(np.median(np.abs(thinned(noise)))) if noise.size else 0.0
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
