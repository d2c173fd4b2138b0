"""The PET scanner: point spread, noise of the counts, calibration; images in SUVbw.

The image is the true uptake seen through the reconstruction. Left out: attenuation and
scatter correction with their errors, decay, randoms, motion between PET and MR, and the edge
enhancement of reconstructions that model the point spread.

References
----------
Boellaard R et al. (2015) FDG PET/CT: EANM procedure guidelines for tumour imaging, version
2.0, Eur J Nucl Med Mol Imaging 42:328 (SUVbw, calibration within 10 %, noise at most 15 %).
Soret M, Bacharach SL, Buvat I (2007) Partial-volume effect in PET tumor imaging, J Nucl Med
48:932 (recovery below one in what is small).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Grid
from qa_suite.lab.phantom.ct import depth, texture

_GROWTH_MM = 250.0


@dataclass(frozen=True, kw_only=True)
class PETProtocol:
    """A scanner and what it is set to.

    Parameters
    ----------
    fwhm_mm
        Of the reconstructed point spread beyond the voxel itself, filter included.
    noise
        Coefficient of variation where the SUV is 1, in the middle of a body 360 mm wide.
    grain_mm
        FWHM of the noise texture.
    calibration
        Image over truth: how the scanner is calibrated against the activity meter.
    urine_suv
        Median and geometric spread of the SUV of urine; low where a diuretic is given.
    reconstruction
        In words.
    """

    fwhm_mm: float = 6.0
    noise: float = 0.16
    grain_mm: float = 5.0
    calibration: float = 1.0
    urine_suv: tuple[float, float] = (11.0, 1.95)
    reconstruction: str = "OSEM TOF, Gaussian 4 mm"


def blurred(suv: NDArray[np.float32], grid: Grid, protocol: PETProtocol) -> NDArray[np.float32]:
    """Return the noise-free image: the true uptake seen through the scanner, in SUVbw."""
    from scipy import ndimage

    sigma = [protocol.fwhm_mm / 2.3548 / s for s in grid.spacing_mm]
    seen = ndimage.gaussian_filter(suv, sigma, mode="nearest", truncate=4.0)
    return np.asarray(seen * np.float32(protocol.calibration), dtype=np.float32)


def noise(
    expected: NDArray[np.float32],
    body: NDArray[np.bool_],
    grid: Grid,
    protocol: PETProtocol,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Noise of the protocol in this patient, in SUVbw.

    As in an iterative reconstruction of Poisson counts its variance follows the local
    expectation; it is correlated, strongest deep in the body, and grows by e for every
    250 mm of body width (depth and growth estimated).
    """
    grain = texture(grid, protocol.grain_mm, rng)
    width, middle = depth(body, grid)
    level = protocol.noise * np.exp((width - 360.0) / _GROWTH_MM) * (0.7 + 0.3 * middle)
    return np.asarray(
        grain * np.sqrt(np.maximum(expected, 0)) * level.astype(np.float32)[:, :, None],
        dtype=np.float32,
    )


def clip(suv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut at zero: an iterative reconstruction has no negative activity."""
    return np.maximum(suv, np.float32(0))
