"""The CT scanner: CT numbers by composition, blur by the kernel, noise by the patient's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Grid

MINIMUM_HU = -1024.0


@dataclass(frozen=True, kw_only=True)
class CTProtocol:
    """A scanner and what it is set to.

    Parameters
    ----------
    tube_voltage_kv
        Enters the CT numbers by the stoichiometric model.
    kernel
        Name of the reconstruction kernel.
    blur_mm
        FWHM of the in-plane point spread beyond the voxel itself.
    slice_blur_mm
        FWHM along z beyond the voxel itself.
    noise_hu
        Standard deviation in the middle of a body 360 mm wide.
    grain_mm
        FWHM of the noise texture.
    slice_mm
        Nominal slice thickness of the protocol.
    """

    tube_voltage_kv: float = 120.0
    kernel: str = "soft"
    blur_mm: float = 1.4
    slice_blur_mm: float = 1.0
    noise_hu: float = 12.0
    grain_mm: float = 1.8
    slice_mm: float = 2.0


def blurred(ideal_hu: NDArray[np.float32], grid: Grid, protocol: CTProtocol) -> NDArray[np.float32]:
    """Return the noise-free image: the ideal CT numbers seen through the kernel, in HU."""
    from scipy import ndimage

    width = (protocol.blur_mm, protocol.blur_mm, protocol.slice_blur_mm)
    sigma = [w / 2.3548 / s for w, s in zip(width, grid.spacing_mm, strict=True)]
    return np.asarray(
        ndimage.gaussian_filter(ideal_hu, sigma, mode="nearest", truncate=3.0), dtype=np.float32
    )


def noise(
    body: NDArray[np.bool_], grid: Grid, protocol: CTProtocol, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of the protocol in this patient, in HU: correlated, strongest deep in the body.

    It grows by e for every 200 mm of body width, as the square root of the attenuation of
    an iterative reconstruction does roughly (estimated).
    """
    grain = texture(grid, protocol.grain_mm, rng)
    width, middle = depth(body, grid)
    profile = 0.45 + 0.55 * middle
    level = protocol.noise_hu * np.exp((width - 360.0) / 200.0)
    return np.asarray(grain * (level * profile[:, :, None]), dtype=np.float32)


def texture(grid: Grid, grain_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return correlated noise of mean 0 and standard deviation 1 with grains of that FWHM."""
    from scipy import ndimage

    sigma = np.array([grain_mm / 2.3548 / s for s in grid.spacing_mm])
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(white, sigma, mode="wrap", truncate=3.0)
    grain /= _damping(sigma)
    return np.asarray(grain, dtype=np.float32)


def depth(body: NDArray[np.bool_], grid: Grid) -> tuple[float, NDArray[np.float64]]:
    """Return the width of a body in mm, and how deep in it each point lies.

    Returns
    -------
    width, depth
        ``depth`` has shape (nx, ny): 1 in the middle of the body, falling towards its edge.
    """
    columns = body.any(axis=(1, 2))
    width = float(columns.sum()) * grid.spacing_mm[0]
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    middle = 0.5 * (rows[0] + rows[-1]) if len(rows) else grid.shape[1] / 2
    centre = np.flatnonzero(columns).mean() if columns.any() else grid.shape[0] / 2
    i = (np.arange(grid.shape[0]) - centre)[:, None] * grid.spacing_mm[0] / 190.0
    j = (np.arange(grid.shape[1]) - middle)[None, :] * grid.spacing_mm[1] / 130.0
    return width, np.exp(-0.5 * (i**2 + j**2) / 0.6)


def _damping(sigma: NDArray[np.float64]) -> float:
    """Return the standard deviation that white noise of 1 keeps under a Gaussian filter."""
    from scipy import ndimage

    factor = 1.0
    for s in sigma:
        impulse = np.zeros(2 * int(np.ceil(3 * s)) + 3)
        impulse[len(impulse) // 2] = 1.0
        kernel = ndimage.gaussian_filter1d(impulse, s, mode="constant", truncate=3.0)
        factor *= float(np.sqrt((kernel**2).sum()))
    return factor


def clip(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut at the lowest number that a scanner stores."""
    return np.maximum(hu, np.float32(MINIMUM_HU))
