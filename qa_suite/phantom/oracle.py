"""The oracle translator: the known-good model that every later test is held against."""

from __future__ import annotations

import numpy as np

from qa_suite.errors import InputError
from qa_suite.phantom.randomness import generator
from qa_suite.volume import Volume


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
    from scipy import ndimage

    if noise_free.quantity != "HU":
        raise InputError(f"The oracle needs a CT in HU, got {noise_free.quantity}.")
    if min(noise_hu, blur_mm, field_hu) < 0:
        raise InputError(
            f"The oracle's noise ({noise_hu} HU), blur ({blur_mm} mm) and field ({field_hu} HU) "
            "must not be negative."
        )
    rng = generator(seed, "oracle")
    grid = noise_free.grid
    sigma = [blur_mm / 2.3548 / s for s in grid.spacing_mm]
    image = ndimage.gaussian_filter(
        noise_free.array.astype(np.float32), sigma, mode="nearest", truncate=3.0
    )
    u, v, w = np.ix_(*(np.linspace(0, 1, n, dtype=np.float32) for n in grid.shape))
    field = np.zeros(grid.shape, dtype=np.float32)
    for _ in range(4):
        k, phase = rng.normal(0, 3.0, size=3), rng.uniform(0, 2 * np.pi)
        wave = np.sin(k[0] * u + k[1] * v + k[2] * w + phase)
        field += wave * np.float32(rng.uniform(0.5, 1.0))
    field -= field.mean()
    field *= np.float32(field_hu / max(float(np.abs(field).max()), 1e-6))
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
