"""Derive the shipped table of relative stopping power from compositions, densities and Bethe.

python -m benchmarks.stoichiometric_hlut           # the working, as a table
python -m benchmarks.stoichiometric_hlut \
    --write qa_suite/dose/hlut/shipped/stoichiometric-schneider.yaml

The scanner is that of Schneider W, Bortfeld T, Schlegel W (2000) Phys Med Biol 45:459, a Siemens
Somatom Plus 4 at 120 kV: the paper fits mass density (its lines, shipped as ``schneider-2000``) and
elemental composition (its table 6, made from the tissues of ICRP 23 and of Woodard and White 1986)
to HU. What is added here is the proton's side:

    electron density   n = rho * sum(w * Z / A), relative to water
    mean excitation    ln I = sum(w * Z / A * ln I) / sum(w * Z / A)          (Bragg)
    stopping power     n * (ln(2 m c^2 beta^2 / (I (1 - beta^2))) - beta^2), over that of water

with I-values of elements in compounds of ICRU Report 49 (1993), table 2.8: 13 % above the element's
own but for those measured in compounds. Shell, density and Barkas corrections nearly cancel between
tissue and water and are left out; between 100 and 200 MeV the ratio changes by 0.4 % in bone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commission.tables import table
from qa_suite.dose.hlut.tables import Hlut, load_hlut

NAME = "stoichiometric-schneider"
ENERGY_MEV = 150.0
PROTON_MEV, ELECTRON_EV = 938.272, 510_999.0
AIR_IS_HU = -1000.0

ELEMENTS: Mapping[str, tuple[int, float, float]] = {
    "H": (1, 1.008, 19.2),
    "C": (6, 12.011, 81.0),
    "N": (7, 14.007, 82.0),
    "O": (8, 15.999, 106.0),
    "Na": (11, 22.990, 1.13 * 149),
    "Mg": (12, 24.305, 1.13 * 156),
    "P": (15, 30.974, 1.13 * 173),
    "S": (16, 32.06, 1.13 * 180),
    "Cl": (17, 35.45, 180.0),
    "Ar": (18, 39.948, 188.0),
    "K": (19, 39.098, 1.13 * 190),
    "Ca": (20, 40.078, 1.13 * 191),
}
"""Atomic number, atomic mass, and mean excitation energy in eV in compounds."""

WATER = {"H": 11.19, "O": 88.81}
_NAMES = ("H", "C", "N", "O", "Na", "Mg", "P", "S", "Cl", "Ar", "K", "Ca")
BINS: tuple[tuple[float, float, tuple[float, ...]], ...] = (
    (-1000, -950, (0, 0, 75.5, 23.2, 0, 0, 0, 0, 0, 1.3, 0, 0)),
    (-950, -120, (10.3, 10.5, 3.1, 74.9, 0.2, 0, 0.2, 0.3, 0.3, 0, 0.2, 0)),
    (-120, -82, (11.6, 68.1, 0.2, 19.8, 0.1, 0, 0, 0.1, 0.1, 0, 0, 0)),
    (-82, -52, (11.3, 56.7, 0.9, 30.8, 0.1, 0, 0, 0.1, 0.1, 0, 0, 0)),
    (-52, -22, (11.0, 45.8, 1.5, 41.1, 0.1, 0, 0.1, 0.2, 0.2, 0, 0, 0)),
    (-22, 8, (10.8, 35.6, 2.2, 50.9, 0, 0, 0.1, 0.2, 0.2, 0, 0, 0)),
    (8, 19, (10.6, 28.4, 2.6, 57.8, 0, 0, 0.1, 0.2, 0.2, 0, 0.1, 0)),
    (19, 80, (10.3, 13.4, 3.0, 72.3, 0.2, 0, 0.2, 0.2, 0.2, 0, 0.2, 0)),
    (80, 120, (9.4, 20.7, 6.2, 62.2, 0.6, 0, 0, 0.6, 0.3, 0, 0, 0)),
    (120, 200, (9.5, 45.5, 2.5, 35.5, 0.1, 0, 2.1, 0.1, 0.1, 0, 0.1, 4.5)),
    (200, 300, (8.9, 42.3, 2.7, 36.3, 0.1, 0, 3.0, 0.1, 0.1, 0, 0.1, 6.4)),
    (300, 400, (8.2, 39.1, 2.9, 37.2, 0.1, 0, 3.9, 0.1, 0.1, 0, 0.1, 8.3)),
    (400, 500, (7.6, 36.1, 3.0, 38.0, 0.1, 0.1, 4.7, 0.2, 0.1, 0, 0, 10.1)),
    (500, 600, (7.1, 33.5, 3.2, 38.7, 0.1, 0.1, 5.4, 0.2, 0, 0, 0, 11.7)),
    (600, 700, (6.6, 31.0, 3.3, 39.4, 0.1, 0.1, 6.1, 0.2, 0, 0, 0, 13.2)),
    (700, 800, (6.1, 28.7, 3.5, 40.0, 0.1, 0.1, 6.7, 0.2, 0, 0, 0, 14.6)),
    (800, 900, (5.6, 26.5, 3.6, 40.5, 0.1, 0.2, 7.3, 0.3, 0, 0, 0, 15.9)),
    (900, 1000, (5.2, 24.6, 3.7, 41.1, 0.1, 0.2, 7.8, 0.3, 0, 0, 0, 17.0)),
    (1000, 1100, (4.9, 22.7, 3.8, 41.6, 0.1, 0.2, 8.3, 0.3, 0, 0, 0, 18.1)),
    (1100, 1200, (4.5, 21.0, 3.9, 42.0, 0.1, 0.2, 8.8, 0.3, 0, 0, 0, 19.2)),
    (1200, 1300, (4.2, 19.4, 4.0, 42.5, 0.1, 0.2, 9.2, 0.3, 0, 0, 0, 20.1)),
    (1300, 1400, (3.9, 17.9, 4.1, 42.9, 0.1, 0.2, 9.6, 0.3, 0, 0, 0, 21.0)),
    (1400, 1500, (3.6, 16.5, 4.2, 43.2, 0.1, 0.2, 10.0, 0.3, 0, 0, 0, 21.9)),
    (1500, 1600, (3.4, 15.5, 4.2, 43.5, 0.1, 0.2, 10.3, 0.3, 0, 0, 0, 22.5)),
)
"""From HU, to HU, weight in percent of each of ``_NAMES``: Schneider 2000, table 6."""


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """What one point of the table rests on."""

    hu: float
    density_g_cm3: float
    electron_density: float
    excitation_ev: float
    stopping_power: float


def electrons_per_gram(weights: Mapping[str, float]) -> float:
    """Moles of electrons a gram; weights in percent are taken as shares of their sum."""
    whole = sum(weights.values())
    return sum(w / whole * ELEMENTS[e][0] / ELEMENTS[e][1] for e, w in weights.items())


def excitation_ev(weights: Mapping[str, float]) -> float:
    """Mean excitation energy of a compound by Bragg's rule."""
    shares = {e: w * ELEMENTS[e][0] / ELEMENTS[e][1] for e, w in weights.items()}
    mean = sum(s * math.log(ELEMENTS[e][2]) for e, s in shares.items()) / sum(shares.values())
    return math.exp(mean)


def stopping_number(excitation: float, energy_mev: float) -> float:
    """Bethe's stopping number of a proton."""
    gamma = 1 + energy_mev / PROTON_MEV
    beta2 = 1 - 1 / gamma**2
    return math.log(2 * ELECTRON_EV * beta2 / (excitation * (1 - beta2))) - beta2


def tissue(hu: float, weights: Mapping[str, float], energy_mev: float = ENERGY_MEV) -> Tissue:
    """Density, electron density and stopping power of a composition at some HU."""
    density = load_hlut("schneider-2000").at(hu)
    electrons = density * electrons_per_gram(weights) / electrons_per_gram(WATER)
    own = excitation_ev(weights)
    ratio = stopping_number(own, energy_mev) / stopping_number(excitation_ev(WATER), energy_mev)
    return Tissue(
        hu=hu,
        density_g_cm3=density,
        electron_density=electrons,
        excitation_ev=own,
        stopping_power=electrons * ratio,
    )


def tissues(energy_mev: float = ENERGY_MEV) -> list[Tissue]:
    """One tissue in the middle of each of the paper's bins; air and lung at their bins' ends."""
    found = []
    for low, high, weights in BINS:
        named = {name: w for name, w in zip(_NAMES, weights, strict=True) if w}
        if high == -950:
            places = [AIR_IS_HU]
        elif high == -120:
            places = [high]
        else:
            places = [(low + high) / 2]
        found += [tissue(hu, named, energy_mev) for hu in places]
    last = {name: w for name, w in zip(_NAMES, BINS[-1][2], strict=True) if w}
    return [*found, tissue(1600.0, last, energy_mev), tissue(3000.0, last, energy_mev)]


def derived() -> Hlut:
    """The table as it is shipped."""
    return Hlut(
        name=NAME,
        quantity="relative_stopping_power",
        points=tuple((one.hu, round(one.stopping_power, 4)) for one in tissues()),
        source=(
            "Derived by benchmarks/stoichiometric_hlut.py for the scanner of Schneider W, Bortfeld "
            "T, Schlegel W (2000) Phys Med Biol 45:459 (Siemens Somatom Plus 4, 120 kV): its "
            "densities and compositions, ICRU 49 (1993) mean excitation energies, Bethe's formula "
            f"at {ENERGY_MEV:g} MeV."
        ),
        note=(
            "Another scanner or another voltage needs another table. Beyond 1600 HU, where the "
            "paper ends, cortical bone grows denser along its line."
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="YAML file to write")
    options = parser.parse_args()
    rows = [
        [
            f"{t.hu:g}",
            f"{t.density_g_cm3:.4f}",
            f"{t.electron_density:.4f}",
            f"{t.excitation_ev:.1f}",
            f"{t.stopping_power:.4f}",
        ]
        for t in tissues()
    ]
    print(table(["HU", "density, g/cm³", "electron density", "I, eV", "stopping power"], rows))
    if options.write:
        options.write.write_text(as_yaml(derived()))


def as_yaml(hlut: Hlut) -> str:
    """A table as the shipped ones are written."""
    lines, line = [], " "
    for place, (hu, value) in enumerate(hlut.points):
        pair = f" [{hu:g}, {value:g}]" + ("," if place < len(hlut.points) - 1 else "")
        if len(line + pair) > 99:
            lines.append(line)
            line = " "
        line += pair
    points = "\n".join([*lines, line])
    return (
        f"name: {hlut.name}\nquantity: {hlut.quantity}\npoints: [\n{points}\n]\n"
        f"source: >-\n{_folded(hlut.source)}note: >-\n{_folded(hlut.note)}"
    )


def _folded(text: str) -> str:
    import textwrap

    return textwrap.indent(textwrap.fill(text, 96, break_on_hyphens=False), "  ") + "\n"


if __name__ == "__main__":
    main()
