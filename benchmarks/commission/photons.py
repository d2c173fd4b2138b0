"""Photons in boxes: depth doses, profiles, output factors, slabs, a slope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commission import phantoms
from benchmarks.commission.engines import MACHINE, Bench, photon_surrogate
from benchmarks.commission.tables import signed, table
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria

SPACING_MM = 4.0
ISO_DEPTH_MM = 100.0
WIDTH_MM = {40: 180.0, 100: 240.0, 200: 340.0}
HISTORIES = {40: 1e7, 100: 1e7, 200: 1e7}
DEPTH_MM = 280.0
SLAB_MM = {"lung": (30.0, 105.0, phantoms.LUNG), "bone": (30.0, 60.0, phantoms.BONE)}
SLOPE_DEG, SLOPE_ROOM_MM = 30.0, 72.0

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(kw_only=True)
class PhotonResults:
    """Tables as text, and curves for the figures: (panel, engine) to depth and dose."""

    tables: dict[str, str] = field(default_factory=dict)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)


def run(bench: Bench) -> PhotonResults:
    """Compute everything about photons in boxes."""
    found = PhotonResults()
    doses = {side: _doses_of(bench, side) for side in WIDTH_MM}
    _depth_doses(doses, found)
    _profiles(doses, found)
    _outputs(doses, found)
    _slabs(doses, found)
    _slope(bench, doses, found)
    return found


def _grid(side: int) -> Grid:
    return phantoms.box(WIDTH_MM[side], DEPTH_MM, ISO_DEPTH_MM, SPACING_MM)


def _doses_of(bench: Bench, side: int) -> dict[str, dict[str, Any]]:
    """Doses of one square field by engine and phantom."""
    grid = _grid(side)
    densities = {"water": phantoms.water(grid)}
    if side != 200:
        for name, (start, end, density) in SLAB_MM.items():
            densities[name] = phantoms.slab(grid, ISO_DEPTH_MM, start, end, density)
            densities[f"half_{name}"] = phantoms.half_slab(grid, ISO_DEPTH_MM, start, end, density)
    plan = phantoms.plan_of(
        grid, [phantoms.square_field(side, MACHINE)], "photons", "photons-pydosert", MACHINE
    )
    carlo = {n: d for n, d in densities.items() if not n.startswith("half_")}
    answer = bench.montecarlo(plan, carlo, f"{side} mm field in boxes", HISTORIES[side])
    return {
        "surrogate": photon_surrogate(plan, densities),
        "surrogate6": photon_surrogate(plan, densities, mv=6),
        "pyradplan": bench.pyradplan(plan, densities, f"{side} mm field in boxes").doses,
        "montecarlo": answer.doses,
        "sigma": answer.sigma,
    }


def axis_dose(dose: Volume, half_mm: float) -> NDArray[np.float64]:
    """Mean over a square around the axis, for every depth: the Monte Carlo needs the voxels."""
    middle, reach = dose.grid.shape[0] // 2, round(half_mm / dose.grid.spacing_mm[0])
    square = slice(middle - reach, middle + reach + 1)
    return np.asarray(dose.array[square, :, square].mean(axis=(0, 2)), dtype=float)


def _half(side: int) -> float:
    return 4.0 if side == 40 else 12.0


def _at(side: int, dose: Volume, depth_mm: float) -> float:
    return float(_values_at(side, dose, np.array([depth_mm]))[0])


def _values_at(side: int, dose: Volume, depth_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axis dose at depths, through a parabola over five voxels: the noise is less so."""
    depths, values = phantoms.depths_mm(dose.grid, ISO_DEPTH_MM), axis_dose(dose, _half(side))
    found = []
    for depth in depth_mm:
        near = np.argsort(np.abs(depths - depth))[:5]
        found.append(np.polyval(np.polyfit(depths[near] - depth, values[near], 2), 0.0))
    return np.asarray(found)


def _depth_doses(doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    depths = np.array([20.0, 50.0, 100.0, 150.0, 200.0, 250.0])
    rows = []
    for side, made in doses.items():
        for engine, title in (
            ("surrogate", "surrogate, 10 MV"),
            ("montecarlo", "pyRadMC, 10 MV"),
            ("surrogate6", "surrogate, TPR 0.67"),
            ("pyradplan", "pyRadPlan, 6 MV"),
        ):
            dose = made[engine]["water"]
            values = 100 * _values_at(side, dose, depths) / _at(side, dose, 100.0)
            rows.append([f"{side / 10:g}×{side / 10:g} cm²", title, *(f"{v:.1f}" for v in values)])
            along = phantoms.depths_mm(dose.grid, ISO_DEPTH_MM)
            found.curves[f"water {side}", engine] = (
                along,
                axis_dose(dose, _half(side)) / _at(side, dose, 100.0) * 100,
            )
    head = ["field", "engine", *(f"{d / 10:g} cm" for d in depths)]
    found.tables["depth"] = table(head, rows)


def _profiles(doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    rows = []
    for side, made in doses.items():
        widths = {
            name: _profile(side, made[name]["water"], found, name)
            for name in ("surrogate", "montecarlo", "pyradplan")
        }
        for k, title in enumerate(
            ("width at 50 % (mm)", "penumbra 80–20 % (mm)", "dose at 80 % of the half width (%)")
        ):
            rows.append(
                [
                    f"{side / 10:g}×{side / 10:g} cm²: {title}",
                    *(f"{widths[name][k]:.1f}" for name in widths),
                ]
            )
    head = ["10 cm deep", "surrogate, 10 MV", "pyRadMC, 10 MV", "pyRadPlan, 6 MV"]
    found.tables["profiles"] = table(head, rows)


def _profile(
    side: int, dose: Volume, found: PhotonResults, engine: str
) -> tuple[float, float, float]:
    """Width, penumbra and flatness across the field at the isocentre's depth."""
    depths = phantoms.depths_mm(dose.grid, ISO_DEPTH_MM)
    near = np.abs(depths - ISO_DEPTH_MM) < 2.6 * SPACING_MM
    middle, reach = dose.grid.shape[2] // 2, round(_half(side) / SPACING_MM)
    part = dose.array[:, near, middle - reach : middle + reach + 1].mean(axis=(1, 2))
    part = (part + part[::-1]) / 2
    across = dose.grid.origin_mm[0] + np.arange(part.size) * SPACING_MM
    level = part[np.abs(across) <= 4.1].mean()
    found.curves[f"profile {side}", engine] = (across, part / level * 100)
    right = across >= 0
    x, y = across[right], np.minimum.accumulate(part[right] / level)
    place = {share: float(np.interp(-share, -y, x)) for share in (0.8, 0.5, 0.2)}
    inner = float(np.interp(0.4 * side, x, part[right] / level))
    return 2 * place[0.5], place[0.2] - place[0.8], 100 * inner


def _outputs(doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    rows = []
    for engine, title in (
        ("surrogate", "surrogate, 10 MV"),
        ("montecarlo", "pyRadMC, 10 MV"),
        ("surrogate6", "surrogate, TPR 0.67"),
        ("pyradplan", "pyRadPlan, 6 MV"),
    ):
        at = {side: _at(side, doses[side][engine]["water"], 100.0) for side in doses}
        rows.append([title, *(f"{at[side] / at[100]:.3f}" for side in (40, 100, 200))])
    found.tables["outputs"] = table(["engine", "4×4 cm²", "10×10 cm²", "20×20 cm²"], rows)


def _slabs(doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    """Dose with the slab over dose without, at the same place: no beam quality cancels better."""
    rows: dict[str, list[str]] = {}
    for name, places in (
        ("lung", (45.0, 67.5, 90.0, 115.0, 135.0, 175.0)),
        ("bone", (45.0, 70.0, 90.0, 115.0, 135.0, 175.0)),
    ):
        start, end, _ = SLAB_MM[name]
        for side in (40, 100):
            ratios = {}
            for engine in ("surrogate", "montecarlo", "surrogate6", "pyradplan"):
                made = doses[side][engine]
                at = np.asarray(places)
                ratios[engine] = _near(side, made[name], at) / _near(side, made["water"], at)
                along = phantoms.depths_mm(made[name].grid, ISO_DEPTH_MM)
                half = _half(side)
                found.curves[f"{name} {side}", engine] = (
                    along,
                    axis_dose(made[name], half) / axis_dose(made["water"], half),
                )
            for k, depth in enumerate(places):
                where = "in" if start <= depth <= end else "behind"
                cells = rows.setdefault(f"{name}, {depth:g} mm ({where})", [])
                for ours, theirs in (("surrogate", "montecarlo"), ("surrogate6", "pyradplan")):
                    a, b = ratios[ours][k], ratios[theirs][k]
                    cells.append(f"{a:.3f} / {b:.3f} ({signed(100 * (a / b - 1))} %)")
    head = [
        "place",
        *(
            f"{side}: {pair}"
            for side in ("4×4 cm²", "10×10 cm²")
            for pair in ("surrogate, 10 MV / pyRadMC", "surrogate, TPR 0.67 / pyRadPlan")
        ),
    ]
    found.tables["slabs"] = table(head, [[place, *cells] for place, cells in rows.items()])
    _half_slabs(doses, found)


def _near(side: int, dose: Volume, depth_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axis dose, linear between voxels averaged over three: a parabola would cross a face."""
    depths, values = phantoms.depths_mm(dose.grid, ISO_DEPTH_MM), axis_dose(dose, _half(side))
    smooth = np.convolve(values, np.ones(3) / 3, mode="same")
    return np.asarray(np.interp(depth_mm, depths, smooth))


def _half_slabs(doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    """Shadow of a slab that covers half of the field, behind it, beside and under its edge."""
    rows = []
    for name in SLAB_MM:
        made = doses[100]
        for x_mm in (-30.0, -10.0, 10.0, 30.0):
            cells = [f"half a {name} slab, 135 mm deep, x = {signed(x_mm, 0)} mm"]
            pair = []
            for engine in ("surrogate6", "pyradplan"):
                dose, plain = made[engine][f"half_{name}"], made[engine]["water"]
                i = round((x_mm - dose.grid.origin_mm[0]) / SPACING_MM)
                j = int(np.abs(phantoms.depths_mm(dose.grid, ISO_DEPTH_MM) - 135).argmin())
                k = dose.grid.shape[2] // 2
                pair.append(float(dose.array[i, j, k] / plain.array[i, j, k]))
            rows.append(
                [*cells, f"{pair[0]:.3f}", f"{pair[1]:.3f}", signed(100 * (pair[0] / pair[1] - 1))]
            )
    head = ["place", "surrogate, TPR 0.67", "pyRadPlan", "difference (%)"]
    found.tables["half_slabs"] = table(head, rows)


def _slope(bench: Bench, doses: dict[int, dict[str, Any]], found: PhotonResults) -> None:
    """A tilted face: the dose left and right of the axis, and gamma of the whole."""
    grid = phantoms.box(WIDTH_MM[100], DEPTH_MM, ISO_DEPTH_MM + SLOPE_ROOM_MM, SPACING_MM)
    density = phantoms.slope(grid, SLOPE_DEG, ISO_DEPTH_MM)
    plan = phantoms.plan_of(
        grid, [phantoms.square_field(100, MACHINE)], "photons", "photons-pydosert", MACHINE
    )
    images = {"slope": density}
    carlo = bench.montecarlo(plan, images, "slope", HISTORIES[100]).doses["slope"]
    other = bench.pyradplan(plan, images, "slope").doses["slope"]
    own, own6 = (photon_surrogate(plan, images, mv=mv)["slope"] for mv in (10, 6))
    pairs = {
        ("surrogate, 10 MV", "pyRadMC"): (
            own,
            doses[100]["surrogate"],
            carlo,
            doses[100]["montecarlo"],
        ),
        ("surrogate, TPR 0.67", "pyRadPlan"): (
            own6,
            doses[100]["surrogate6"],
            other,
            doses[100]["pyradplan"],
        ),
    }
    rows = []
    for (ours, theirs), (a, a_flat, b, b_flat) in pairs.items():
        scaled = [_per_reference(dose, flat["water"]) for dose, flat in ((a, a_flat), (b, b_flat))]
        cells = []
        for x_mm in (-32.0, 0.0, 32.0):
            at = [_beside(dose, x_mm) for dose in scaled]
            cells.append(f"{100 * at[0]:.1f} / {100 * at[1]:.1f}")
        inside = density > 0.99
        results = gamma(
            scaled[1], scaled[0], parse_criteria("2/2,3/3"), GammaSettings(cutoff_pct=20.0)
        )
        rates = [result.pass_rate(inside).share_pct or 0.0 for result in results]
        rows.append([f"{ours} / {theirs}", *cells, *(f"{rate:.1f}" for rate in rates)])
    head = [
        "face at 30°, 10 cm above the isocentre; dose in its plane (%)",
        "x = −32 mm",
        "axis",
        "x = +32 mm",
        "γ 2 %/2 mm (%)",
        "γ 3 %/3 mm (%)",
    ]
    found.tables["slope"] = table(head, rows)


def _per_reference(dose: Volume, flat: Volume) -> Volume:
    """Dose over that at 10 cm of flat water in the same field."""
    return dose.with_array((dose.array / _at(100, flat, 100.0)).astype(np.float32))


def _beside(dose: Volume, x_mm: float) -> float:
    i = round((x_mm - dose.grid.origin_mm[0]) / SPACING_MM)
    j = int(np.abs(dose.grid.origin_mm[1] + np.arange(dose.grid.shape[1]) * SPACING_MM).argmin())
    k = dose.grid.shape[2] // 2
    return float(dose.array[i - 1 : i + 2, j - 1 : j + 2, k - 2 : k + 3].mean())
