"""The cone-beam CT of a treatment machine: scatter, a small field of view, noise, moving gas.

It shows the patient as he lay for the CT, and shows him worse. Left out: beam hardening,
lag, rings, set-up error, and the filling of bladder and rectum on another day.

References
----------
Siewerdsen JH, Jaffray DA (2001) Cone-beam computed tomography with a flat-panel imager:
magnitude and effects of x-ray scatter, Med Phys 28:220 (scatter above the primary in a pelvis;
cupping, and HU that are too low).
Richter A et al. (2008) Investigation of the usability of conebeam CT data sets for dose
calculation, Radiat Oncol 3:42 (CT numbers that depend on the machine and on the size scanned).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Triple
from qa_suite.lab.phantom.ct import MINIMUM_HU, CTProtocol, blurred, noise

OUTSIDE_HU = -1000.0
"""What stands where the scanner did not look."""
WATER_PER_MM = 0.0193
"""Linear attenuation of water at 70 keV, near the mean energy behind a pelvis."""
_RIM_HU = 160.0
_RIM_FWHM_MM = 30.0
_STREAK_ANGLES = 90


@dataclass(frozen=True, kw_only=True)
class CBCTProtocol:
    """A scanner and what it is set to.

    Parameters
    ----------
    diameter_mm, length_mm
        Field of view, a cylinder along z around the isocentre.
    scatter
        Scatter over primary that the correction leaves, through a body 360 mm wide.
    slope, offset_hu
        What the calibration makes of CT numbers: ``slope · HU + offset``.
    blur_mm
        FWHM of the point spread beyond that of the CT.
    noise_hu, grain_mm
        As for the CT.
    gas_motion_mm
        How far gas moves to and fro during the rotation, which makes streaks.
    """

    diameter_mm: float = 465.0
    length_mm: float = 160.0
    scatter: float = 0.25
    slope: float = 1.0
    offset_hu: float = 0.0
    blur_mm: float = 1.8
    noise_hu: float = 30.0
    grain_mm: float = 2.4
    gas_motion_mm: float = 6.0


def field_of_view(grid: Grid, isocentre_mm: Triple, protocol: CBCTProtocol) -> Mask:
    """Return the voxels that a scan covers: their centres lie in its cylinder."""
    i, j, k = np.ix_(*(np.arange(n) for n in grid.shape))
    x, y, z = (row[0] * i + row[1] * j + row[2] * k + row[3] for row in grid.affine[:3])
    off = [a - c for a, c in zip((x, y, z), isocentre_mm, strict=True)]
    inside = off[0] ** 2 + off[1] ** 2 <= (protocol.diameter_mm / 2) ** 2
    return np.asarray(inside & (np.abs(off[2]) <= protocol.length_mm / 2))


def central_deficit(width_mm: float, path_mm: float, protocol: CBCTProtocol) -> float:
    """Return the share of the attenuation that scatter hides in the middle of a body.

    Scatter adds to the primary behind the patient, so that a line integral comes out too low
    by ``ln(1 + S/P)``; spread over a path of water that is this share of it. S/P grows by e
    for every 150 mm of body width (estimated).

    Parameters
    ----------
    width_mm
        Of the body.
    path_mm
        Mean path through it.
    """
    ratio = protocol.scatter * np.exp((width_mm - 360.0) / 150.0)
    return float(np.log1p(ratio) / (WATER_PER_MM * path_mm))


def cupped(hu: Float32Array, body: Mask, grid: Grid, protocol: CBCTProtocol) -> Float32Array:
    """Lower the attenuation as scatter does: most in the middle, least at the skin."""
    from scipy import ndimage

    area = float(body.sum(axis=(0, 1)).max()) * grid.spacing_mm[0] * grid.spacing_mm[1]
    if area == 0:
        return hu
    width = float(body.any(axis=(1, 2)).sum()) * grid.spacing_mm[0]
    path = 2 * np.sqrt(area / np.pi)
    sigma = [0.45 * path / 2.3548 / s for s in grid.spacing_mm]
    depth = ndimage.gaussian_filter(body.astype(np.float32), sigma, mode="nearest", truncate=2.5)
    depth = (depth / depth.max()) ** 2
    share = np.float32(central_deficit(width, path, protocol)) * depth
    return np.asarray((hu + 1000) * (1 - share) - 1000, dtype=np.float32)


def truncated(hu: Float32Array, body: Mask, seen: Mask, grid: Grid) -> Float32Array:
    """Brighten the rim of the field of view where the body goes on beyond its circle."""
    from scipy import ndimage

    beyond = body & ~np.asarray(seen.any(axis=2))[:, :, None]
    if not beyond.any():
        return hu
    sigma = [_RIM_FWHM_MM / 2.3548 / s for s in grid.spacing_mm[:2]]
    rim = ndimage.gaussian_filter(beyond.astype(np.float32), (*sigma, 0.0), mode="nearest")
    return np.asarray(hu + np.float32(2 * _RIM_HU) * rim, dtype=np.float32)


def streaks(
    gas: Float32Array, grid: Grid, protocol: CBCTProtocol, rng: np.random.Generator
) -> Float32Array:
    """Streaks of gas that moves to and fro while the gantry turns, in HU.

    Parameters
    ----------
    gas
        Share of each voxel that is gas.
    grid
        Its grid, with axial slices.
    protocol
        How far gas moves.
    rng
        For the course of the motion.
    """
    phases = rng.uniform(0, 2 * np.pi, size=2)
    cycles = rng.uniform(1.5, 4.0, size=2)
    swing = np.sin(np.outer(cycles, _angles()) + phases[:, None])
    return moving_gas(gas, grid, protocol.gas_motion_mm / 2 * swing)


def moving_gas(gas: Float32Array, grid: Grid, motion_mm: NDArray[np.float64]) -> Float32Array:
    """Return what the motion of gas during a rotation changes in the image, in HU.

    The projections see the gas now here, now there; what they differ by from those of gas at
    rest is reconstructed by filtered back-projection of parallel rays, slice by slice.

    Parameters
    ----------
    gas
        Share of each voxel that is gas.
    grid
        Its grid, with axial slices.
    motion_mm
        Displacement along x and y at each of the half turn's angles, shape (2, 90).
    """
    x, y = (
        (np.arange(n) - (n - 1) / 2) * s
        for n, s in zip(grid.shape[:2], grid.spacing_mm[:2], strict=True)
    )
    step = float(min(grid.spacing_mm[:2]))
    reach = int(np.ceil(np.hypot(x[-1], y[-1]) / step)) + 4
    cell = grid.spacing_mm[0] * grid.spacing_mm[1] / step
    made = np.zeros(grid.shape, dtype=np.float32)
    for k in np.flatnonzero(gas.max(axis=(0, 1)) > 0.1):
        i, j = np.nonzero(gas[:, :, k] > 0.02)
        weight = gas[i, j, k] * cell
        for angle, (mx, my) in zip(_angles(), motion_mm.T, strict=True):
            c, s = np.cos(angle), np.sin(angle)
            at = (x[i] * c + y[j] * s) / step + reach
            change = _line(at + (mx * c + my * s) / step, weight, 2 * reach + 1)
            change -= _line(at, weight, 2 * reach + 1)
            position = (x[:, None] * c + y[None, :] * s) / step + reach
            made[:, :, k] += np.interp(position, np.arange(2 * reach + 1), _ramp(change, step))
    return np.asarray(made * np.float32(-1000 * np.pi / _STREAK_ANGLES), dtype=np.float32)


def _angles() -> NDArray[np.float64]:
    return np.pi * (np.arange(_STREAK_ANGLES) + 0.5) / _STREAK_ANGLES


def _line(at: NDArray[np.float64], weight: Float32Array, size: int) -> NDArray[np.float64]:
    """Sum weights at fractional places of a detector, shared between the two nearest cells."""
    low = np.floor(at).astype(int)
    part = at - low
    line = np.bincount(low, weight * (1 - part), size) + np.bincount(low + 1, weight * part, size)
    return np.asarray(line[:size])


def _ramp(line: NDArray[np.float64], step_mm: float) -> NDArray[np.float64]:
    """Filter a projection with the ramp of Ram and Lak, apodised by a Hann window."""
    size = 2 * len(line)
    frequency = np.fft.rfftfreq(size, step_mm)
    window = 0.5 + 0.5 * np.cos(np.pi * frequency / frequency[-1])
    return np.fft.irfft(np.fft.rfft(line, size) * frequency * window, size)[: len(line)]


def image(
    noise_free_hu: Float32Array,
    gas: Float32Array,
    body: Mask,
    grid: Grid,
    isocentre_mm: Triple,
    protocol: CBCTProtocol,
    rng: np.random.Generator,
) -> tuple[Float32Array, Mask]:
    """Return a cone-beam CT in HU, and where it looked.

    Parameters
    ----------
    noise_free_hu
        The CT without noise.
    gas
        Share of each voxel that is gas inside the body.
    body
        Mask of the body.
    grid
        Of all of them; axial.
    isocentre_mm
        Middle of the field of view, LPS.
    protocol
        Scanner settings.
    rng
        For the motion of gas, the patient's own offset and the noise, in this order.

    Returns
    -------
    hu, seen
        Outside ``seen`` stands :data:`OUTSIDE_HU`.
    """
    settings = CTProtocol(
        blur_mm=protocol.blur_mm,
        slice_blur_mm=protocol.blur_mm,
        noise_hu=protocol.noise_hu,
        grain_mm=protocol.grain_mm,
    )
    seen = field_of_view(grid, isocentre_mm, protocol)
    hu = noise_free_hu + streaks(gas, grid, protocol, rng)
    hu = cupped(blurred(hu, grid, settings), body, grid, protocol)
    hu = truncated(hu, body, seen, grid)
    offset = protocol.offset_hu + rng.normal(0, 8.0)
    hu = np.float32(protocol.slope) * hu + np.float32(offset)
    hu = np.maximum(hu + noise(body, grid, settings, rng), np.float32(MINIMUM_HU))
    return np.where(seen, hu, np.float32(OUTSIDE_HU)).astype(np.float32), seen
