"""Protons in boxes: depth doses, spots, slabs, the edge of a slab, a slope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commission import phantoms
from benchmarks.commission.engines import Bench, proton_surrogate
from benchmarks.commission.tables import signed, table
from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria
from qa_suite.dose.plan.plan import Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.range.pstar import energy_mev

MACHINE = str(Path(__file__).with_name("proton-pyradplan.yaml"))
ENERGIES_MEV = (70.0, 100.0, 130.0, 160.0, 200.0)
ISO_DEPTH_MM = 100.0
FIELD_MEV = 160.0
FIELD_MM = 80.0
SLAB_MM = {"lung": (30.0, 90.0, phantoms.LUNG), "bone": (30.0, 60.0, phantoms.BONE)}
SLOPE_DEG, SLOPE_ROOM_MM = 30.0, 50.0

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(kw_only=True)
class ProtonResults:
    """Tables as text, and curves for the figures."""

    tables: dict[str, str] = field(default_factory=dict)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)


def run(bench: Bench) -> ProtonResults:
    """Compute everything about protons in boxes."""
    found = ProtonResults()
    _depth_doses(bench, found)
    _slabs(bench, found)
    return found


def both(
    bench: Bench, plan: Plan, densities: Mapping[str, Float32Array], label: str
) -> tuple[dict[str, Volume], dict[str, Volume], Plan]:
    """Doses of surrogate and reference with the same ranges, and the plan that has them."""
    answer = bench.pyradplan(plan, densities, label)
    same = with_ranges(plan, answer.ranges_mm)
    return proton_surrogate(same, densities, MACHINE), answer.doses, same


def with_ranges(plan: Plan, ranges_mm: tuple[NDArray[np.float64], ...]) -> Plan:
    """The plan with the energies whose range in water is that of the reference's spots."""
    beams: list[PlannedBeam] = []
    for beam, ranges in zip(plan.beams, ranges_mm, strict=True):
        assert isinstance(beam.delivery, ProtonSpots)
        spots = replace(beam.delivery, energy_mev=energy_mev(ranges))
        beams.append(replace(beam, delivery=spots))
    return replace(plan, beams=tuple(beams))


def _plan(grid: Grid, beam: PlannedBeam) -> Plan:
    return phantoms.plan_of(grid, [beam], "protons", "protons-range", MACHINE)


@dataclass(frozen=True, kw_only=True)
class Bragg:
    """What a depth dose says of itself, depths in mm."""

    r80: float
    fall: float
    entrance: float
    at_20mm: float

    @classmethod
    def of(cls, depth: NDArray[np.float64], dose: NDArray[np.float64]) -> Bragg:
        peak = int(dose.argmax())
        end = peak + int(np.argmax(dose[peak:] < 0.05 * dose[peak]))
        falling = slice(peak, end + 1)

        def at(share: float) -> float:
            return float(np.interp(-share * dose[peak], -dose[falling], depth[falling]))

        early = float(np.interp(20.0, depth, dose))
        return cls(r80=at(0.8), fall=at(0.2) - at(0.8), entrance=early / dose[peak], at_20mm=early)


def _depth_doses(bench: Bench, found: ProtonResults) -> None:
    rows = []
    for energy in ENERGIES_MEV:
        deep = 30 + 10 * round(float(0.022 * energy**1.77) / 10 * 1.05)
        grid = phantoms.box(110.0, deep, min(ISO_DEPTH_MM, deep / 2), 2.0, 1.0)
        plan = _plan(grid, phantoms.spot_beam([energy], [1000.0]))
        ours, theirs, same = both(bench, plan, {"water": phantoms.water(grid)}, f"{energy:g} MeV")
        depth = np.arange(grid.shape[1]) + 0.5
        pair, widths = [], []
        for name, made in (("surrogate", ours), ("pyradplan", theirs)):
            dose = np.asarray(made["water"].array, dtype=float)
            plane = dose.sum(axis=(0, 2)) * 4.0  # Gy·mm²
            pair.append(Bragg.of(depth, plane))
            widths.append(_sigma_mm(dose, grid, 0.8 * pair[-1].r80))
            found.curves[f"water {energy:g} MeV", name] = (depth, plane)
        assert isinstance(same.beams[0].delivery, ProtonSpots)
        rows.append(
            [
                f"{float(same.beams[0].delivery.energy_mev[0]):.1f} MeV",
                f"{pair[0].r80:.1f} / {pair[1].r80:.1f}",
                f"{pair[0].fall:.1f} / {pair[1].fall:.1f}",
                f"{pair[0].entrance:.3f} / {pair[1].entrance:.3f}",
                signed(100 * (pair[0].at_20mm / pair[1].at_20mm - 1)),
                f"{widths[0]:.1f} / {widths[1]:.1f}",
            ]
        )
    head = [
        "surrogate / pyRadPlan",
        "R80 (mm)",
        "fall 80–20 % (mm)",
        "dose at 20 mm over peak",
        "dose per proton at 20 mm (%)",
        "spot σ at 0.8 R80 (mm)",
    ]
    found.tables["depth"] = table(head, rows)


def _sigma_mm(dose: NDArray[np.float64], grid: Grid, depth_mm: float) -> float:
    """σ of the spot at a depth, from where it falls to exp(−1/2)."""
    middle = grid.shape[0] // 2
    across = dose[middle:, int(depth_mm), middle]
    x = np.arange(across.size) * grid.spacing_mm[0]
    return float(np.interp(-np.exp(-0.5), -across / across[0], x))


def _slabs(bench: Bench, found: ProtonResults) -> None:
    """A field of one energy: where it ends behind slabs, at their edge, and under a slope."""
    grid = phantoms.box(130.0, 260.0, ISO_DEPTH_MM, 3.0, 2.0)
    images = {"water": phantoms.water(grid)}
    for name, (start, end, density) in SLAB_MM.items():
        images[name] = phantoms.slab(grid, ISO_DEPTH_MM, start, end, density)
        images[f"half_{name}"] = phantoms.half_slab(grid, ISO_DEPTH_MM, start, end, density)
    beam = phantoms.spot_beam([FIELD_MEV], [100.0], side_mm=FIELD_MM)
    ours, theirs, _ = both(bench, _plan(grid, beam), images, "field in boxes")
    tilted = phantoms.box(130.0, 260.0, ISO_DEPTH_MM + SLOPE_ROOM_MM, 3.0, 2.0)
    below = {"slope": phantoms.slope(tilted, SLOPE_DEG, ISO_DEPTH_MM)}
    more, other, _ = both(bench, _plan(tilted, beam), below, "field under a slope")
    ours, theirs, images = {**ours, **more}, {**theirs, **other}, {**images, **below}
    rows = []
    for name, title in (
        ("water", "water"),
        ("bone", "3 cm of bone"),
        ("lung", "6 cm of lung"),
        ("half_bone", "the edge of bone"),
        ("half_lung", "the edge of lung"),
        ("slope", "a face at 30°"),
    ):
        air_mm = SLOPE_ROOM_MM if name == "slope" else 0.0
        ranges = [
            _axis_r80(made[name], 24.0 if "half" in name else 0.0) - air_mm
            for made in (ours, theirs)
        ]
        for engine, made in (("surrogate", ours), ("pyradplan", theirs)):
            found.curves[name, engine] = _axis(made[name], 24.0 if "half" in name else 0.0)
        rates = _gamma(theirs[name], ours[name], images[name] > 0.2)
        rows.append(
            [title, f"{ranges[0]:.1f}", f"{ranges[1]:.1f}", signed(ranges[0] - ranges[1]), *rates]
        )
    head = [
        "8×8 cm² of 160 MeV through",
        "surrogate: depth of R80 (mm)",
        "pyRadPlan (mm)",
        "difference (mm)",
        "γ 2 %/2 mm (%)",
        "γ 3 %/3 mm (%)",
    ]
    found.tables["slabs"] = table(head, rows)


def _axis(dose: Volume, x_mm: float) -> Curve:
    middle = dose.grid.shape[0] // 2
    i = middle + round(x_mm / dose.grid.spacing_mm[0])
    part = dose.array[i - 1 : i + 2, :, middle - 1 : middle + 2].mean(axis=(0, 2))
    depth = (np.arange(part.size) + 0.5) * dose.grid.spacing_mm[1]
    return depth, np.asarray(part, dtype=float)


def _axis_r80(dose: Volume, x_mm: float) -> float:
    return Bragg.of(*_axis(dose, x_mm)).r80


def _gamma(reference: Volume, evaluated: Volume, inside: NDArray[np.bool_]) -> list[str]:
    """Pass rates inside the phantom: the reference gives doses to the air before it, too."""
    results: Any = gamma(
        reference, evaluated, parse_criteria("2/2,3/3"), GammaSettings(cutoff_pct=10.0)
    )
    return [f"{result.pass_rate(inside).share_pct:.1f}" for result in results]
