"""The MR scanner: signal equations, chemical shift, coil, gradients and noise.

References
----------
Haacke EM et al. (1999), Magnetic Resonance Imaging: Physical Principles and Sequence Design
(spoiled gradient echo: the Ernst equation; spin echo). Gudbjartsson H, Patz S (1995), Magn
Reson Med 34:910 (Rician noise). Janke A et al. (2004), Magn Reson Imaging 22:115 (gradient
non-linearity as spherical harmonics). Doran SJ et al. (2005), Phys Med Biol 50:1343 (its
size). Dixon WT (1984), Radiology 153:189 (fat and water in phase).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple
from qa_suite.lab.phantom.tissues import relaxation_at, tissue

Sequence = Literal["T1w spoiled GRE", "T2w TSE", "Dixon in-phase"]

GYROMAGNETIC_MHZ_T = 42.577478518
FAT_SHIFT_PPM = 3.4
FAT_TRAIN_T2_MS = 120.0
"""Apparent T2 of fat in a long echo train, where J-coupling is suppressed (Henkelman RM et al.
(1992), J Magn Reson Imaging 2:533; up to 143 ms in Pai A et al. (2008), Magn Reson Imaging
26:1215)."""
FLOW_VOID = 0.1
"""Share of its signal that flowing blood keeps in a spin echo (estimated)."""
_REFERENCE_RADIUS_MM = 200.0


@dataclass(frozen=True, kw_only=True)
class MRProtocol:
    """A scanner and what it is set to.

    Parameters
    ----------
    field_t
        Static field; one of the fields that the tissues are known at.
    sequence
        Which signal equation.
    repetition_ms, echo_ms, flip_deg
        TR, TE (the effective one of a TSE) and the flip angle.
    inversion_ms
        Inversion time before a TSE, which nulls a tissue of T1 = TI/ln 2; None for none.
    noise
        Standard deviation of each quadrature channel, relative to fat or muscle, whichever is
        brighter.
    bias
        Spread of the logarithm of the receive sensitivity over the field of view.
    distortion_mm
        Displacement by gradient non-linearity 200 mm off the isocentre, along x, y, z.
    blur_mm
        FWHM of the point spread beyond the voxel itself.
    gain
        Typical signal of fat or muscle, whichever is brighter, in scanner units.
    """

    field_t: float
    sequence: Sequence
    repetition_ms: float
    echo_ms: float
    flip_deg: float = 90.0
    inversion_ms: float | None = None
    noise: float = 0.02
    bias: float = 0.15
    distortion_mm: Triple = (1.5, 1.2, 1.8)
    blur_mm: float = 1.2
    gain: float = 600.0


def spoiled_gre(
    *, t1_ms: float, t2_star_ms: float, repetition_ms: float, echo_ms: float, flip_deg: float
) -> float:
    """Steady-state signal of a spoiled gradient echo for unit proton density.

    ``sin a (1 − E1) / (1 − cos a E1) · exp(−TE/T2*)`` with ``E1 = exp(−TR/T1)``.
    """
    angle = np.deg2rad(flip_deg)
    recovery = np.exp(-repetition_ms / t1_ms)
    steady = np.sin(angle) * (1 - recovery) / (1 - np.cos(angle) * recovery)
    return float(steady * np.exp(-echo_ms / t2_star_ms))


def turbo_spin_echo(
    *,
    t1_ms: float,
    t2_ms: float,
    repetition_ms: float,
    echo_ms: float,
    inversion_ms: float | None = None,
) -> float:
    """Signal of a turbo spin echo for unit proton density.

    ``(1 − exp(−TR/T1)) exp(−TE/T2)``, or with an inversion (STIR)
    ``(1 − 2 exp(−TI/T1) + exp(−TR/T1)) exp(−TE/T2)``, which may be negative. ``echo_ms`` is
    the effective echo time; magnetisation transfer and stimulated echoes are left out.
    """
    recovered = 1 - np.exp(-repetition_ms / t1_ms)
    if inversion_ms is not None:
        recovered = 1 - 2 * np.exp(-inversion_ms / t1_ms) + np.exp(-repetition_ms / t1_ms)
    return float(recovered * np.exp(-echo_ms / t2_ms))


def tissue_signal(name: str, protocol: MRProtocol) -> complex:
    """Transverse signal of a pure voxel of one tissue: water real, fat turned by its shift.

    A spin echo refocuses the chemical shift, a gradient echo does not; Dixon in-phase is
    reconstructed with both in phase whatever the echo time.
    """
    material = tissue(name)
    times = relaxation_at(name, protocol.field_t)
    settings: dict[str, Any] = {
        "repetition_ms": protocol.repetition_ms,
        "echo_ms": protocol.echo_ms,
    }
    fat = material.fat_fraction
    if protocol.sequence == "T2w TSE":
        settings["inversion_ms"] = protocol.inversion_ms
        train = max(times.t2_ms, FAT_TRAIN_T2_MS)
        size = (1 - fat) * turbo_spin_echo(t1_ms=times.t1_ms, t2_ms=times.t2_ms, **settings)
        size += fat * turbo_spin_echo(t1_ms=times.t1_ms, t2_ms=train, **settings)
        size *= FLOW_VOID if name == "blood" else 1.0
        return complex(size * material.proton_density)
    if protocol.sequence in ("T1w spoiled GRE", "Dixon in-phase"):
        size = spoiled_gre(
            t1_ms=times.t1_ms, t2_star_ms=times.t2_star_ms, flip_deg=protocol.flip_deg, **settings
        )
        shift_hz = FAT_SHIFT_PPM * GYROMAGNETIC_MHZ_T * protocol.field_t
        in_phase = protocol.sequence == "Dixon in-phase"
        phase = 0.0 if in_phase else 2 * np.pi * shift_hz * protocol.echo_ms * 1e-3
    else:
        raise InputError(f"No signal equation is known for the sequence {protocol.sequence!r}.")
    size *= material.proton_density
    return complex(size * ((1 - fat) + fat * np.exp(1j * phase)))


def gradient_displacement(
    x: Float32Array, y: Float32Array, z: Float32Array, distortion_mm: Triple
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Displacement by the third-order non-linearity of the gradients, in mm.

    The image shows at ``r`` what lies at ``r + displacement``. Each component is the odd
    third-order solid harmonic of its gradient coil, so it vanishes at the isocentre (the
    origin) with its first derivatives, and ``distortion_mm`` is its size 200 mm out on the
    coil's own axis.
    """
    scale = np.float32(1 / _REFERENCE_RADIUS_MM**3)
    ax, ay, az = (np.float32(d) * scale for d in distortion_mm)
    xx, yy, zz = x * x, y * y, z * z
    return (
        np.asarray(ax * x * (xx + yy - 4 * zz), dtype=np.float32),
        np.asarray(ay * y * (xx + yy - 4 * zz), dtype=np.float32),
        np.asarray(az * z * (zz - np.float32(1.5) * (xx + yy)), dtype=np.float32),
    )


def coil_sensitivity(rng: np.random.Generator, grid: Grid, spread: float) -> NDArray[np.float32]:
    """Smooth positive receive sensitivity with mean 1 over the grid.

    The logarithm is a random quadratic in position: surface coils in front and behind make
    the signal rise towards the skin, and neither side is like the other.
    """
    u, v, w = (
        np.linspace(-1, 1, n, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, n in enumerate(grid.shape)
    )
    c = rng.normal(0, 1, size=6)
    log = 0.5 * (c[0] * u + c[1] * v + c[2] * w) + 0.35 * (c[3] * u * v + c[4] * v * w)
    log = log + (0.9 + 0.2 * c[5]) * v * v - 0.5 * w * w
    field = np.exp(spread * (log - log.mean()))
    return np.asarray(field / field.mean(), dtype=np.float32)


def expose(
    signal: NDArray[np.complex64],
    grid: Grid,
    protocol: MRProtocol,
    rng: np.random.Generator,
    coil: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn the ideal transverse signal into a magnitude image in scanner units.

    Returns the image, and the same image without noise.

    Parameters
    ----------
    signal
        Sum over tissues of share × :func:`tissue_signal`, on the distorted grid.
    grid
        Its grid.
    protocol
        Scanner settings.
    rng
        For the coil, the gain and the noise, in this order.
    coil
        Receive sensitivity where it is known (a second sequence with the same coil); it is
        then not drawn from ``rng``.
    """
    from scipy import ndimage

    unit = max(abs(tissue_signal(name, protocol)) for name in ("adipose", "muscle"))
    sigma = [protocol.blur_mm / 2.3548 / s for s in grid.spacing_mm]
    ideal = ndimage.gaussian_filter(signal.real, sigma, mode="nearest", truncate=3.0) + (
        1j * ndimage.gaussian_filter(signal.imag, sigma, mode="nearest", truncate=3.0)
        if np.abs(signal.imag).max() > 1e-6
        else 0
    )
    sensitivity = coil_sensitivity(rng, grid, protocol.bias) if coil is None else coil
    ideal = ideal * (sensitivity / np.float32(unit))
    gain = np.float32(protocol.gain * float(np.exp(rng.normal(0, 0.12))))
    noisy = rician(ideal, protocol.noise, rng) * gain
    return noisy, np.abs(ideal).astype(np.float32) * gain


def rician(
    signal: NDArray[np.complexfloating] | NDArray[np.floating],
    sigma: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Magnitude of a signal with Gaussian noise of ``sigma`` in both channels."""
    real = signal.real + rng.normal(0, sigma, size=signal.shape)
    imaginary = signal.imag + rng.normal(0, sigma, size=signal.shape)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)
