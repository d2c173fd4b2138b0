"""Depth dose and scattering of a machine's energies, tabulated for the loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.protons.bragg import depth_dose, straggling_mm
from qa_suite.dose.protons.scatter import angle_variance
from qa_suite.dose.range.pstar import range_mm

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
