"""Depth dose and scattering of a broad proton beam in water, tabulated for the loops.

*Depth dose* is Bortfeld's closed form [1]_. Range comes from PSTAR, the shape from R = α·E^p. Per
unit fluence and in cm,

    D(z) = e^(−ζ²/4) σ^(1/p) Γ(1/p) / (√(2π) ρ p α^(1/p) (1 + β R₀))
           · [ 𝔇_(−1/p)(−ζ)/σ + (β/p + γβ + ε/R₀) 𝔇_(−1/p−1)(−ζ) ],   ζ = (R₀ − z)/σ

with parabolic cylinder functions 𝔇, the loss of fluence by nuclear reactions β, the part γ of
their energy that stays on the spot, and the share ε of protons in a low-energy tail.

*Scattering*: multiple Coulomb scattering by Fermi and Eyges. The scattering power in water is the
differential Molière formula [2]_,

    T = f · (15 MeV / pv)² / X_S,   X_S = 46.88 g/cm² (water),
    f = 0.5244 + 0.1975 lg(1 − u²) + 0.2320 lg(pv/MeV) − 0.0098 lg(pv/MeV) lg(1 − u²),

with u = pv / (pv at the surface). Every millimetre of tissue scatters like the water that it
is equivalent to.

References
----------
.. [1] Bortfeld T (1997) An analytical approximation of the Bragg curve for therapeutic proton
   beams, Med Phys 24:2024-2033, equations 26 and 28 and table I.
.. [2] Gottschalk B (2010) On the scattering power of radiotherapy protons, Med Phys 37:352-367.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from qa_suite.core.arrays import FloatArray
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.range.pstar import energy_mev, range_mm

P = 1.77
ALPHA = 0.0022  # cm / MeV^p
BETA = 0.012  # 1/cm
GAMMA = 0.6
GY_CM2 = 1.602176634e-4
"""Gy·cm² per 10⁶ protons, of 1 MeV·cm²/g per proton."""
_STRAGGLED = 10.0  # σ before the range from where straggling no longer matters


def straggling_mm(energy_mev: ArrayLike, spread_pct: ArrayLike) -> FloatArray:
    """Return σ of the range in water, in mm: straggling and the beam's energy spread.

    Parameters
    ----------
    energy_mev
        Mean energy.
    spread_pct
        Standard deviation of the energy, in percent of it.
    """
    energy = np.asarray(energy_mev, dtype=float)
    alone = 0.012 * (range_mm(energy) / 10) ** 0.935
    spread = np.asarray(spread_pct) / 100 * energy * ALPHA * P * energy ** (P - 1)
    return np.asarray(10 * np.hypot(alone, spread))


def depth_dose(
    depth_mm: ArrayLike, energy_mev: float, *, spread_pct: float, tail: float = 0.0
) -> FloatArray:
    """Return the dose integrated over the plane at a depth in water.

    Parameters
    ----------
    depth_mm
        Any shape; before the surface (negative) it is what it is at the surface.
    energy_mev
        Mean energy.
    spread_pct
        Standard deviation of the energy, in percent.
    tail
        Share ε of protons in the low-energy tail.

    Returns
    -------
    ndarray of float, of the depths' shape
        Gy·cm² per 10⁶ protons.
    """
    from scipy.special import gamma, pbdv

    z = np.maximum(np.asarray(depth_mm, dtype=float), 0.0) / 10
    r0 = float(range_mm(energy_mev)) / 10
    sigma = float(straggling_mm(energy_mev, spread_pct)) / 10
    scale = 1 / (P * ALPHA ** (1 / P) * (1 + BETA * r0))
    left = r0 - z
    out = np.zeros(z.shape)
    plateau = left > _STRAGGLED * sigma
    slope = BETA + GAMMA * BETA * P + tail * P / r0
    out[plateau] = left[plateau] ** (1 / P - 1) + slope * left[plateau] ** (1 / P)
    peak = ~plateau & (left > -_STRAGGLED / 2 * sigma)
    zeta = left[peak] / sigma
    first, second = pbdv(-1 / P, -zeta)[0], pbdv(-1 / P - 1, -zeta)[0]
    weight = np.exp(-(zeta**2) / 4) * sigma ** (1 / P) * gamma(1 / P) / np.sqrt(2 * np.pi)
    out[peak] = weight * (first / sigma + slope / P * second)
    return np.asarray(out * scale * GY_CM2)


_REST_MEV = 938.272
_SCALE_MEV = 15.0
_LENGTH_MM = 468.8
_REST_RANGE_MM = 0.05  # protons of a last range below this no longer widen the beam


def kinematic_mev(energy: ArrayLike) -> FloatArray:
    """Return momentum times velocity, in MeV, of protons of a kinetic energy in MeV."""
    e = np.asarray(energy, dtype=float)
    return np.asarray(e * (e + 2 * _REST_MEV) / (e + _REST_MEV))


def angle_variance(depth_mm: FloatArray, energy: float) -> FloatArray:
    """Return the variance of the projected angle at depths in water, in rad².

    Parameters
    ----------
    depth_mm
        Rising from 0, shape (depths,), in steps that resolve the range (¼ mm).
    energy
        At the surface, in MeV.
    """
    csda = float(range_mm(energy))
    middle = (depth_mm[1:] + depth_mm[:-1]) / 2
    left = csda - middle
    pv = kinematic_mev(energy_mev(np.maximum(left, _REST_RANGE_MM)))
    single = np.log10(np.maximum(1 - (pv / kinematic_mev(energy)) ** 2, 1e-12))
    factor = 0.5244 + 0.1975 * single + 0.2320 * np.log10(pv) - 0.0098 * np.log10(pv) * single
    power = np.maximum(factor, 0) * (_SCALE_MEV / pv) ** 2 / _LENGTH_MM
    power[left < _REST_RANGE_MM] = 0.0
    return np.concatenate([[0.0], np.cumsum(power * np.diff(depth_mm))])


STEP_MM = 0.25
_BEHIND = 5.0  # σ of the range after which there is no dose


@dataclass(frozen=True, kw_only=True)
class BeamTables:
    """Tables of some energies.

    Parameters
    ----------
    energies_mev, sigma_mm, ends_mm
        Shape (energies,): nominal energy, σ of the spot in air, depth of the last dose.
    doses, angles
        Shape (energies, depths), in steps of :data:`STEP_MM` of water: Gy·cm² per 10⁶ protons
        and variance of the angle in rad².
    """

    energies_mev: FloatArray
    sigma_mm: FloatArray
    ends_mm: FloatArray
    doses: FloatArray
    angles: FloatArray


def beam_tables(machine: ProtonMachine, energies_mev: FloatArray) -> BeamTables:
    """Tabulate the energies, shape (energies,), of a machine."""
    ends = np.array([_end(machine, energy) for energy in energies_mev])
    count = int(np.ceil(ends.max() / STEP_MM)) + 2
    doses, angles = np.zeros((2, energies_mev.size, count))
    for n, energy in enumerate(energies_mev):
        dose, angle = _curves(machine, float(energy))
        doses[n, : dose.size] = dose
        angles[n, : angle.size] = angle
        angles[n, angle.size :] = angle[-1]
    sigma = np.array([machine.sigma_mm(energy) for energy in energies_mev])
    return BeamTables(
        energies_mev=energies_mev, sigma_mm=sigma, ends_mm=ends, doses=doses, angles=angles
    )


def _end(machine: ProtonMachine, energy: float) -> float:
    spread = float(straggling_mm(energy, machine.spread_pct(energy)))
    return float(range_mm(energy)) + _BEHIND * spread


@lru_cache(maxsize=512)
def _curves(machine: ProtonMachine, energy: float) -> tuple[FloatArray, FloatArray]:
    count = int(np.ceil(_end(machine, energy) / STEP_MM)) + 2
    depth = np.asarray(STEP_MM * np.arange(count), dtype=float)
    dose = depth_dose(depth, energy, spread_pct=machine.spread_pct(energy), tail=machine.tail)
    return dose, angle_variance(depth, energy)
