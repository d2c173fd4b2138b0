"""From composition and density to electron density, stopping power and CT number.

Sources
-------
[ICRU49] ICRU Report 49 (1993), mean excitation energies of elements in compounds.
[S96] Schneider U, Pedroni E, Lomax A (1996), Phys Med Biol 41:111.
[S00] Schneider W, Bortfeld T, Schlegel W (2000), Phys Med Biol 45:459.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from qa_suite.lab.phantom.tissues import WATER, Tissue, tissue

# symbol: (Z, standard atomic weight, mean excitation energy in a compound in eV [ICRU49])
ELEMENTS: Mapping[str, tuple[int, float, float]] = MappingProxyType(
    {
        "H": (1, 1.008, 19.2),
        "C": (6, 12.011, 81.0),
        "N": (7, 14.007, 82.0),
        "O": (8, 15.999, 106.0),
        "Na": (11, 22.990, 168.4),
        "Mg": (12, 24.305, 176.3),
        "P": (15, 30.974, 195.5),
        "S": (16, 32.06, 203.4),
        "Cl": (17, 35.45, 180.0),
        "Ar": (18, 39.948, 188.0),
        "K": (19, 39.098, 214.7),
        "Ca": (20, 40.078, 215.8),
        "Fe": (26, 55.845, 323.2),
    }
)


def _per_gram(material: Tissue, weight: Mapping[str, float]) -> float:
    total = sum(material.mass_percent.values())
    return sum(p / total * weight[e] for e, p in material.mass_percent.items())


@cache
def relative_electron_density(name: str) -> float:
    """Electron density relative to water: ρ Σ wᵢ Zᵢ/Aᵢ over the same sum for water [S96]."""
    electrons = {e: z / a for e, (z, a, _) in ELEMENTS.items()}
    material = tissue(name)
    return (
        material.density_g_cc
        * _per_gram(material, electrons)
        / (WATER.density_g_cc * _per_gram(WATER, electrons))
    )


@cache
def mean_excitation_energy_ev(name: str) -> float:
    """Mean excitation energy by Bragg additivity with the elements of [ICRU49], in eV."""
    electrons = {e: z / a for e, (z, a, _) in ELEMENTS.items()}
    logs = {e: z / a * np.log(i) for e, (z, a, i) in ELEMENTS.items()}
    material = tissue(name)
    return float(np.exp(_per_gram(material, logs) / _per_gram(material, electrons)))


@cache
def stopping_power_ratio(name: str, energy_mev: float = 100.0) -> float:
    """Proton stopping power relative to water by the Bethe equation [S96, eq. 7].

    Shell, density and Barkas corrections are left out, as is usual for the ratio.
    """
    gamma = 1 + energy_mev / 938.272
    beta2 = 1 - 1 / gamma**2

    def number(medium: str) -> float:
        energy_ev = 2 * 510_998.95 * beta2 / (1 - beta2)
        return float(np.log(energy_ev / mean_excitation_energy_ev(medium)) - beta2)

    return relative_electron_density(name) * number(name) / number(WATER.name)


@cache
def hounsfield(name: str, tube_voltage_kv: float = 120.0) -> float:
    """CT number by the stoichiometric model of [S00, eq. 8], in HU.

    k1 = 1.24e-3 (coherent) and k2 = 3.06e-5 (photoelectric) hold at 120 kV [S00]; at other
    voltages they are scaled with the voltage to the power −2 and −3 (estimated). Air is
    −1000 HU and water 0 HU exactly, as a scanner is calibrated.
    """
    scale = 120.0 / tube_voltage_kv
    k1, k2 = 1.24e-3 * scale**2, 3.06e-5 * scale**3
    attenuation = {e: (z + z**2.86 * k1 + z**4.62 * k2) / a for e, (z, a, _) in ELEMENTS.items()}

    def linear(medium: str) -> float:
        material = tissue(medium)
        return material.density_g_cc * _per_gram(material, attenuation)

    water, air = linear(WATER.name), linear("air")
    return 1000.0 * (linear(name) - water) / (water - air)
