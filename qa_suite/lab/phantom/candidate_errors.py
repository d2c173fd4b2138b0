"""Errors like those of a learned translator, added to the true CT of a virtual patient.

A network's error is no white noise: borders lie off by a part of a millimetre over
centimetres, small detail is lost in a blur, values regress towards the mean, and what is left is
smooth over a centimetre or two. The numbers were fitted to the images that a network made of
virtual patients which it had not seen; ``benchmarks/candidate_errors.py`` does so. Virtual
patients are easier than real ones, so the errors are enlarged to the size of published ones by
stated factors.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Volume
from qa_suite.core.yaml_files import parse_yaml
from qa_suite.lab.phantom.ct import clip, texture
from qa_suite.lab.phantom.randomness import generator

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_FWHM = 2.3548  # of a Gaussian of standard deviation 1
Knots = tuple[tuple[float, float], ...]
BONE_HU = 150.0
SOFT_HU = (-130.0, 60.0)
OUTLIER = 1.6
"""Errors are cut at so many standard deviations: a good network has no outliers; faults have."""
MUSCLE_HU, STAYS = 40.0, 0.5
"""Half of its contrast with muscle is left to bone, fat and gas: they stay what they are."""


class BorderError(BaseModel):
    """A smooth field of displacements.

    Parameters
    ----------
    sd_mm
        Standard deviation of each of its three components.
    fwhm_mm
        Of the Gaussian that white noise was smoothed with.
    """

    model_config = _STRICT

    sd_mm: float = Field(ge=0)
    fwhm_mm: float = Field(gt=0)


class Amplitude(BaseModel):
    """Factors that enlarge what was learned to what was published.

    Parameters
    ----------
    border
        Of the displacement of borders.
    gas, soft, bone
        Of the error that is left below :data:`SOFT_HU`, within it, and above it; that of gas
        is of its mean error too.
    """

    model_config = _STRICT

    border: float = Field(default=1.0, ge=0)
    gas: float = Field(default=1.0, ge=0)
    soft: float = Field(default=1.0, ge=0)
    bone: float = Field(default=1.0, ge=0)


class ErrorModel(BaseModel):
    """What is wrong with a translator's image of a patient.

    Parameters
    ----------
    amplitude
        Factors that enlarge it.
    border
        How far borders are displaced.
    blur_mm
        FWHM of the blur beyond the true CT's.
    response_hu
        (true HU, mean error), linear between; beyond the ends as at the ends.
    residual_hu
        (true HU, standard deviation of the correlated error that is left), likewise.
    soft_fwhm_mm, bone_fwhm_mm
        Of the Gaussian that it was smoothed with, below and above :data:`BONE_HU`.
    patient_bias_hu
        Standard deviation between patients of the mean error of the body.
    noise_hu
        Standard deviation of white noise, far below a CT's.
    """

    model_config = _STRICT

    schema_version: int = 1
    amplitude: Amplitude = Amplitude()
    border: BorderError
    blur_mm: float = Field(ge=0)
    response_hu: Knots = Field(min_length=2)
    residual_hu: Knots = Field(min_length=2)
    soft_fwhm_mm: float = Field(gt=0)
    bone_fwhm_mm: float = Field(gt=0)
    patient_bias_hu: float = Field(ge=0)
    noise_hu: float = Field(ge=0)

    @model_validator(mode="after")
    def _rises(self) -> ErrorModel:
        for name in ("response_hu", "residual_hu"):
            if any(a >= b for (a, _), (b, _) in pairwise(getattr(self, name))):
                raise ValueError(f"the true HU of {name} must rise")
        return self


@cache
def error_model() -> ErrorModel:
    """Return the error model of the realistic candidate."""
    file = resources.files("qa_suite.lab.phantom").joinpath("candidate_errors.yaml")
    return ErrorModel.model_validate(parse_yaml(file.read_text(), file.name))


def with_errors(truth: Volume, body: Mask, model: ErrorModel, *, seed: int) -> Volume:
    """Return a true CT with the errors of a model.

    Parameters
    ----------
    truth
        The true CT before noise, in HU.
    body
        Mask of the body, on its grid: the bias of the patient ends there.
    model
        Sizes and extents of the errors.
    seed
        Of all that is random.
    """
    rng = generator(seed, "candidate", "realistic")
    grid = truth.grid
    border = model.border.model_copy(update={"sd_mm": model.border.sd_mm * model.amplitude.border})
    seen = displaced(truth.array, displacement(grid, border, rng))
    # tissue decides how wrong a value is; the blur comes after, as it does in a network
    in_gas = np.where(seen < SOFT_HU[0], np.float32(model.amplitude.gas), np.float32(1))
    image = seen + _at(model.response_hu, seen) * in_gas * body
    soft, bone = (
        np.clip(texture(grid, fwhm, rng), -OUTLIER, OUTLIER)
        for fwhm in (model.soft_fwhm_mm, model.bone_fwhm_mm)
    )
    left = _at(model.residual_hu, seen) * np.where(seen < BONE_HU, soft, bone)
    is_soft = (seen > SOFT_HU[0]) & (seen < SOFT_HU[1])
    factors = (model.amplitude.gas, model.amplitude.soft, model.amplitude.bone)
    left *= np.array(factors, dtype=np.float32)[np.digitize(seen, SOFT_HU)]
    limit = np.maximum(STAYS * np.abs(seen - MUSCLE_HU), OUTLIER * np.abs(left * is_soft))
    left = np.clip(left, -limit, limit) * body
    left -= left[body].mean() * body  # the mean error of a patient is his bias, drawn on its own
    image += left
    bias = model.patient_bias_hu * np.clip(rng.standard_normal(), -OUTLIER, OUTLIER)
    image += np.float32(bias) * body
    image = _blurred(image, grid, model.blur_mm)
    image += rng.standard_normal(grid.shape, dtype=np.float32) * np.float32(model.noise_hu)
    return truth.with_array(clip(image), step=f"errors of a learned translator, seed {seed}")


def displacement(grid: Grid, border: BorderError, rng: np.random.Generator) -> list[Float32Array]:
    """Return a smooth field of displacements along i, j and k, in voxels."""
    return [
        np.clip(texture(grid, border.fwhm_mm, rng), -OUTLIER, OUTLIER)
        * np.float32(border.sd_mm / spacing)
        for spacing in grid.spacing_mm
    ]


def displaced(image: NDArray[Any], shift: list[Float32Array]) -> Float32Array:
    """Return an image whose borders lie a little elsewhere.

    Cubic splines blur little, but they overshoot beside skin and gas; a network draws no value
    that lies beyond those around.
    """
    from scipy import ndimage

    index = np.indices(image.shape, dtype=np.float32)
    for axis, moved in enumerate(shift):
        index[axis] += moved
    array = image.astype(np.float32)
    seen = ndimage.map_coordinates(array, index, order=3, mode="nearest")
    size = [2 * max(1, int(np.ceil(np.abs(moved).max()))) + 1 for moved in shift]
    low, high = (
        f(array, size=size, mode="nearest")
        for f in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    return np.asarray(np.clip(seen, low, high))


def _at(knots: Knots, hu: Float32Array) -> Float32Array:
    known, values = np.transpose(knots)
    return np.interp(hu, known, values).astype(np.float32)


def _blurred(image: Float32Array, grid: Grid, fwhm_mm: float) -> Float32Array:
    from scipy import ndimage

    sigma = [fwhm_mm / _FWHM / s for s in grid.spacing_mm]
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3.0))
