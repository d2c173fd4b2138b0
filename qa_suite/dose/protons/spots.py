"""Where spots go: energy layers over the target's depths, spots over its outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.protons.fan import lattice
from qa_suite.dose.protons.physics import P, straggling_mm
from qa_suite.dose.range.pstar import energy_mev
from qa_suite.dose.range.raytrace import BeamFrame, depth_map

_LEAST_START = 0.1  # of a mean spot: where the first guess would be nothing
_ROUND_MEV = 4  # decimals, so that a plan reads the same on every machine


@dataclass(frozen=True, kw_only=True)
class SpotLayout:
    """Spots of one beam before they have weights.

    Parameters
    ----------
    energies_mev
        Of the layers, falling, shape (layers,).
    x_mm, y_mm
        Lattice of the spots in the isocentre plane.
    columns
        Number of each spot, or −1 where there is none; shape (layers, y, x).
    first_guess
        Relative weight of every spot that would give a flat depth dose, shape (spots,).
    """

    energies_mev: FloatArray
    x_mm: FloatArray
    y_mm: FloatArray
    columns: NDArray[np.int64]
    first_guess: FloatArray

    @property
    def count(self) -> int:
        """Number of spots."""
        return int(self.columns.max()) + 1

    def listed(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return energy, x and y of every spot, in the order of their numbers."""
        layer, y, x = np.nonzero(self.columns >= 0)
        return self.energies_mev[layer], self.x_mm[x], self.y_mm[y]


def place_spots(
    density: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    target: Mask,
    machine: ProtonMachine,
    *,
    spacing_mm: float,
    label: str,
) -> SpotLayout:
    """Cover the target's water-equivalent depths with layers, and its outline with spots.

    Parameters
    ----------
    density
        Relative stopping power on ``grid``.
    grid
        Its voxels.
    frame
        Of the beam.
    target
        What is to be covered; only its part in the body counts.
    machine
        Its energies and margins.
    spacing_mm
        Distance of the spots in the isocentre plane.
    label
        Of the beam, for messages.

    Raises
    ------
    InputError
        If the target has no voxel in the body, or lies deeper than the machine reaches.
    """
    from qa_suite.dose.protons.kernels import depth_ranges

    inside = target & (density > 0)
    if not inside.any():
        raise InputError("The target has no voxel in the body.")
    depths = depth_map(density, grid, frame, where=inside)[inside].astype(float)
    halves = 0.5 * min(grid.spacing_mm) * density[inside].astype(float)
    plane = frame.project(grid.to_world(np.argwhere(inside)))
    radius = max(machine.lateral_margin_mm, 0.75 * spacing_mm)
    (x_low, y_low), (x_high, y_high) = plane.min(axis=0), plane.max(axis=0)
    x = lattice(x_low - radius, x_high + radius, spacing_mm)
    y = lattice(y_low - radius, y_high + radius, spacing_mm)
    near, far = np.full((y.size, x.size), np.inf), np.full((y.size, x.size), -np.inf)
    depth_ranges(plane, depths, halves, x, y, radius, near, far)
    deepest = float((depths + halves).max())
    if deepest > machine.reach_mm[1]:
        raise InputError(
            f"The target lies up to {deepest:.0f} mm of water deep along the beam {label}, and "
            f"{machine.name} reaches {machine.reach_mm[1]:.0f} mm; choose other beams."
        )
    ranges = _layers(float((depths - halves).min()), deepest, machine)
    columns = np.full((ranges.size, y.size, x.size), -1, dtype=np.int64)
    hit = np.isfinite(near)
    low = np.where(hit, near, 0) * (1 - machine.range_margin_pct / 100) - machine.range_margin_mm
    high = np.where(hit, far, 0) * (1 + machine.range_margin_pct / 100) + machine.range_margin_mm
    half = 0.5 * np.array([_step(r, machine) for r in ranges])[:, None, None]
    csda = ranges[:, None, None]
    guess = _flat(csda, half, np.where(hit, far, 0))
    chosen = hit & (csda >= low - half) & (csda <= high + half)
    used = chosen.any(axis=(1, 2))
    columns[chosen] = np.arange(int(chosen.sum()))
    energies = np.round(energy_mev(ranges[used]), _ROUND_MEV)
    return SpotLayout(
        energies_mev=energies,
        x_mm=x,
        y_mm=y,
        columns=columns[used],
        first_guess=np.maximum(guess[chosen], _LEAST_START * guess[chosen].mean()),
    )


def _flat(csda: FloatArray, half: FloatArray, end: FloatArray) -> FloatArray:
    """Share out the range spectrum of a flat depth dose, (end − R)^(−1/p), among layers.

    Bortfeld T, Schlegel W (1996) An analytical approximation of depth-dose distributions for
    therapeutic proton beams, Phys Med Biol 41:1331-1339.
    """
    power = 1 - 1 / P
    far, near = np.maximum(end - csda + half, 0), np.maximum(end - csda - half, 0)
    return np.asarray(far**power - near**power)


def _layers(near: float, far: float, machine: ProtonMachine) -> FloatArray:
    """Return ranges in mm of water, falling, from behind the target to before it."""
    least, most = machine.reach_mm
    here = min(far + machine.margin_mm(far), most)
    end = max(near - machine.margin_mm(near), least)
    ranges = [here]
    while here > end:
        here -= _step(here, machine)
        ranges.append(max(here, least))
    return np.unique(np.asarray(ranges))[::-1]


def _step(csda_mm: float, machine: ProtonMachine) -> float:
    energy = float(energy_mev(csda_mm))
    sigma = float(straggling_mm(energy, machine.spread_pct(energy)))
    return max(machine.layer_least_mm, machine.layer_step * sigma)
