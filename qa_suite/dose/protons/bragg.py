"""Depth dose of a broad proton beam in water: Bortfeld's closed form [1]_.

Range comes from PSTAR, the shape from R = α·E^p. Per unit fluence and in cm,

    D(z) = e^(−ζ²/4) σ^(1/p) Γ(1/p) / (√(2π) ρ p α^(1/p) (1 + β R₀))
           · [ 𝔇_(−1/p)(−ζ)/σ + (β/p + γβ + ε/R₀) 𝔇_(−1/p−1)(−ζ) ],   ζ = (R₀ − z)/σ

with parabolic cylinder functions 𝔇, the loss of fluence by nuclear reactions β, the part γ of
their energy that stays on the spot, and the share ε of protons in a low-energy tail.

References
----------
.. [1] Bortfeld T (1997) An analytical approximation of the Bragg curve for therapeutic proton
   beams, Med Phys 24:2024-2033, equations 26 and 28 and table I.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qa_suite.core.arrays import FloatArray
from qa_suite.dose.range.pstar import range_mm

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


def distal_depth_mm(depth_mm: FloatArray, dose: FloatArray, *, level: float = 0.8) -> float:
    """Return the depth behind the maximum where a curve falls to ``level`` of it, in mm.

    Linear between the points; depths must rise.
    """
    top = int(np.argmax(dose))
    below = np.flatnonzero(dose[top:] < level * dose[top])
    if below.size == 0:
        return float(depth_mm[-1])
    n = top + int(below[0])
    share = (dose[n - 1] - level * dose[top]) / (dose[n - 1] - dose[n])
    return float(depth_mm[n - 1] + share * (depth_mm[n] - depth_mm[n - 1]))
