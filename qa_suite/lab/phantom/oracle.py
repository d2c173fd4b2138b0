"""The oracle translators: the known-good models that every later test is held against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.lab.phantom.ct import texture
from qa_suite.lab.phantom.mr import rician
from qa_suite.lab.phantom.randomness import generator

PET_BLUR_MM, PET_NOISE, PET_GRAIN_MM = 2.0, 0.12, 5.0
MR_BLUR_MM, MR_NOISE = 1.2, 0.02
FIELD_SHARE = 0.03
"""Largest value of the smooth field that multiplies a PET or an MR, less one."""


def oracle_translate(
    noise_free: Volume,
    *,
    seed: int,
    noise_hu: float = 12.0,
    blur_mm: float = 1.5,
    field_hu: float = 10.0,
) -> Volume:
    """Return what a very good translator might make: the true CT, hardly spoiled.

    Parameters
    ----------
    noise_free
        The true CT without noise, in HU.
    seed
        Of the noise and the field.
    noise_hu
        Standard deviation of fresh white noise.
    blur_mm
        FWHM of a slight blur.
    field_hu
        Largest value of a smooth additive field, which has both signs and mean zero.

    Raises
    ------
    InputError
        If the volume is not in HU or a setting is negative.
    """
    if noise_free.quantity != "HU":
        raise InputError(f"The oracle needs a CT in HU, got {noise_free.quantity}.")
    if min(noise_hu, blur_mm, field_hu) < 0:
        raise InputError(
            f"The oracle's noise ({noise_hu} HU), blur ({blur_mm} mm) and field ({field_hu} HU) "
            "must not be negative."
        )
    rng = generator(seed, "oracle")
    grid = noise_free.grid
    image = _blurred(noise_free, blur_mm)
    field = _field(grid.shape, rng, field_hu)
    image = image + field
    image += rng.standard_normal(grid.shape, dtype=np.float32) * np.float32(noise_hu)
    return Volume(
        array=np.maximum(image, np.float32(-1024.0)),
        grid=grid,
        quantity="HU",
        history=(
            *noise_free.history,
            f"oracle translator: noise {noise_hu:g} HU, blur {blur_mm:g} mm, "
            f"field {field_hu:g} HU, seed {seed}",
        ),
    )


def oracle_twin(noise_free: Volume, *, seed: int) -> Volume:
    """Return what a very good translator might make of any modality.

    A CT is that of :func:`oracle_translate`. A PET gets a blur of 2 mm, a smooth field of at
    most ±3 % and fresh noise as of counts: 12 % where the SUV is 1, in grains of 5 mm. An MR
    gets a blur of 1.2 mm, the same field, and Rician noise of 2 % of its bright tissue.

    Parameters
    ----------
    noise_free
        The reference without noise, in HU, SUVbw or arbitrary units (MR).
    seed
        Of the noise and the field.

    Raises
    ------
    InputError
        If the volume is of another quantity.
    """
    if noise_free.quantity == "HU":
        return oracle_translate(noise_free, seed=seed)
    if noise_free.quantity not in ("SUVbw", "arbitrary"):
        raise InputError(
            f"An oracle makes HU, SUVbw or MR in arbitrary units, not {noise_free.quantity}."
        )
    rng = generator(seed, "oracle", noise_free.quantity)
    grid = noise_free.grid
    field = 1 + _field(grid.shape, rng, FIELD_SHARE)
    if noise_free.quantity == "SUVbw":
        image = _blurred(noise_free, PET_BLUR_MM) * field
        grain = texture(grid, PET_GRAIN_MM, rng) * np.float32(PET_NOISE)
        image = np.maximum(image + grain * np.sqrt(np.maximum(image, 0)), 0)
        what = f"noise {PET_NOISE:.0%} at SUV 1, blur {PET_BLUR_MM:g} mm"
    else:
        image = _blurred(noise_free, MR_BLUR_MM) * field
        bright = float(np.percentile(noise_free.array, 95))
        image = rician(image, MR_NOISE * bright, rng)
        what = f"noise {MR_NOISE:.0%} of the 95th percentile, blur {MR_BLUR_MM:g} mm"
    return noise_free.with_array(
        image.astype(np.float32),
        step=f"oracle translator: {what}, field {FIELD_SHARE:.0%}, seed {seed}",
    )


def _blurred(volume: Volume, fwhm_mm: float) -> NDArray[np.float32]:
    from scipy import ndimage

    sigma = [fwhm_mm / 2.3548 / s for s in volume.grid.spacing_mm]
    array = volume.array.astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(array, sigma, mode="nearest", truncate=3.0))


def _field(shape: tuple[int, ...], rng: np.random.Generator, largest: float) -> NDArray[np.float32]:
    """Return a smooth field with mean zero and both signs."""
    u, v, w = np.ix_(*(np.linspace(0, 1, n, dtype=np.float32) for n in shape))
    field = np.zeros(shape, dtype=np.float32)
    for _ in range(4):
        k, phase = rng.normal(0, 3.0, size=3), rng.uniform(0, 2 * np.pi)
        wave = np.sin(k[0] * u + k[1] * v + k[2] * w + phase)
        field += wave * np.float32(rng.uniform(0.5, 1.0))
    field -= field.mean()
    field *= np.float32(largest / max(float(np.abs(field).max()), 1e-6))
    return field
