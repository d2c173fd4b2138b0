"""How a pencil beam widens in the patient: multiple Coulomb scattering by Fermi and Eyges.

The scattering power in water is the differential Molière formula [1]_,

    T = f · (15 MeV / pv)² / X_S,   X_S = 46.88 g/cm² (water),
    f = 0.5244 + 0.1975 lg(1 − u²) + 0.2320 lg(pv/MeV) − 0.0098 lg(pv/MeV) lg(1 − u²),

with u = pv / (pv at the surface). Every millimetre of tissue scatters like the water that it
is equivalent to.

References
----------
.. [1] Gottschalk B (2010) On the scattering power of radiotherapy protons, Med Phys 37:352-367.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qa_suite.core.arrays import FloatArray
from qa_suite.dose.range.pstar import energy_mev, range_mm

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


def widening(angles: FloatArray, depth_mm: FloatArray) -> FloatArray:
    """Return the lateral variance in mm² that scattering adds in water, shape (depths,).

    Parameters
    ----------
    angles
        From :func:`angle_variance`, at ``depth_mm``.
    """
    gained = np.diff(angles)
    step = np.diff(depth_mm)
    a0 = a1 = a2 = 0.0
    out = [0.0]
    for more, dz in zip(gained, step, strict=True):
        a2 += 2 * a1 * dz + a0 * dz * dz + more * dz * dz / 3
        a1 += a0 * dz + more * dz / 2
        a0 += more
        out.append(a2)
    return np.asarray(out)
