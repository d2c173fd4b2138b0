"""Photons beside the axis: slabs, edges, tilted slabs, a slope, and a large field."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.commission import off_axis, phantoms
from benchmarks.commission.engines import MACHINE, Bench, photon_surrogate
from benchmarks.commission.off_axis import ISO_DEPTH_MM, MIDDLE_MM, Rays
from benchmarks.commission.photons import SLAB_MM, PhotonResults
from benchmarks.commission.tables import signed, table
from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria

DEPTH_MM = 280.0
SPACING_MM = 4.0
FIELD_MM = ((20, 120), (-100, -20))
HISTORIES = 1e7
LARGE_MM, LARGE_SPACING_MM, LARGE_EDGE_MM, LARGE_HISTORIES = 300, 5.0, 102.5, 4e7
EDGE_DEPTHS_MM = (130.0, 190.0, 250.0)
PAIRS = (("surrogate", "montecarlo"), ("surrogate6", "pyradplan"))
RAYS = Rays(sad_mm=1000.0)

Doses = dict[str, dict[str, Volume]]


def run(bench: Bench) -> PhotonResults:
    """Compute everything about photons beside the axis."""
    found = PhotonResults()
    grid = off_axis.box(DEPTH_MM, SPACING_MM)
    doses = _doses(bench, grid, _images(grid), "field off the axis", HISTORIES)
    room = off_axis.box(DEPTH_MM, SPACING_MM, off_axis.SLOPE_ROOM_MM)
    slope = _doses(bench, room, {"slope": off_axis.slope(room)}, "slope off the axis", HISTORIES)
    _places(doses, slope, found)
    large = _large_doses(bench)
    _edges(doses, large, found)
    _large_field(large, found)
    return found


def _images(grid: Grid) -> dict[str, Float32Array]:
    images = {"water": phantoms.water(grid)}
    for name, (start, end, density) in SLAB_MM.items():
        images[name] = phantoms.slab(grid, ISO_DEPTH_MM, start, end, density)
        images[f"tilted_{name}"] = off_axis.tilted_slab(grid, name, density)
        images[f"crossline_{name}"] = off_axis.half_slab(grid, "crossline", start, end, density)
    images["inline_lung"] = off_axis.half_slab(grid, "inline", *SLAB_MM["lung"])
    return images


def _doses(
    bench: Bench,
    grid: Grid,
    images: dict[str, Float32Array],
    label: str,
    histories: float,
    field_mm: tuple[tuple[int, int], tuple[int, int]] = FIELD_MM,
) -> Doses:
    beam = off_axis.rectangle(*field_mm, MACHINE)
    plan = phantoms.plan_of(grid, [beam], "photons", "photons-pydosert", MACHINE)
    return {
        "montecarlo": bench.montecarlo(plan, images, label, histories).doses,
        "pyradplan": bench.pyradplan(plan, images, label).doses,
        "surrogate": photon_surrogate(plan, images),
        "surrogate6": photon_surrogate(plan, images, mv=6),
    }


def _large_doses(bench: Bench) -> Doses:
    """The large field in a box about the axis: what is looked at lies beside it."""
    grid = phantoms.box(440.0, DEPTH_MM, ISO_DEPTH_MM, LARGE_SPACING_MM)
    x = grid.origin_mm[0] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    slab = phantoms.slab(grid, ISO_DEPTH_MM, *SLAB_MM["lung"])
    water = phantoms.water(grid)
    lung = np.where((x > LARGE_EDGE_MM)[:, None, None], slab, water)
    half = LARGE_MM // 2
    return _doses(
        bench,
        grid,
        {"water": water, "crossline_lung": lung},
        "300 mm field",
        LARGE_HISTORIES,
        ((-half, half), (-half, half)),
    )


def _places(doses: Doses, slope: Doses, found: PhotonResults) -> None:
    """Dose along the ray of the field's middle over that in water at the same place."""
    rows = []
    names = [
        (name, title)
        for kind in SLAB_MM
        for name, title in (
            (kind, f"{SLAB_MM[kind][1] - SLAB_MM[kind][0]:g} mm of {kind}"),
            (f"tilted_{kind}", f"{off_axis.TILTED_MM[kind][1]:g} mm of {kind}, tilted by 30°"),
        )
    ]
    for name, title in names:
        for depth in (130.0, 180.0):
            values = {
                engine: _along(doses[engine][name], depth) / _along(doses[engine]["water"], depth)
                for engine in doses
            }
            rows.append([f"{title}, {depth:g} mm", *_compared(values)])
    for depth in (50.0, 100.0, 200.0):
        values = {
            engine: _along(slope[engine]["slope"], depth) / _along(doses[engine]["water"], 100.0)
            for engine in doses
        }
        rows.append([f"a face at 30°, {depth:g} mm; over 100 mm of the box", *_compared(values)])
    for depth in (20.0, 50.0, 200.0):
        values = {
            engine: _along(doses[engine]["water"], depth) / _along(doses[engine]["water"], 100.0)
            for engine in doses
        }
        rows.append([f"water, {depth:g} mm; over 100 mm", *_compared(values)])
    head = [
        "9 cm off the axis",
        "surrogate, 10 MV",
        "pyRadMC",
        "difference (%)",
        "surrogate, TPR 0.67",
        "pyRadPlan",
        "difference (%)",
    ]
    found.tables["places"] = table(head, rows)
    _gamma_rates(doses, slope, found)


def _along(dose: Volume, depth_mm: float) -> float:
    return off_axis.mean_around(dose, RAYS.at(MIDDLE_MM, depth_mm), 12.0)


def _compared(values: dict[str, float]) -> list[str]:
    cells = []
    for ours, theirs in PAIRS:
        a, b = values[ours], values[theirs]
        cells += [f"{a:.3f}", f"{b:.3f}", signed(100 * (a / b - 1))]
    return cells


def _gamma_rates(doses: Doses, slope: Doses, found: PhotonResults) -> None:
    """Gamma of whole boxes; each engine's doses over its own at 10 cm of water in the field."""
    rows = []
    for name in [*doses["surrogate"], "slope"]:
        cells = []
        for ours, theirs in PAIRS:
            pair = []
            for engine in (theirs, ours):
                dose = (slope if name == "slope" else doses)[engine][name]
                level = _along(doses[engine]["water"], 100.0)
                pair.append(dose.with_array((dose.array / level).astype(np.float32)))
            made: Any = gamma(*pair, parse_criteria("2/2,3/3"), GammaSettings(cutoff_pct=20.0))
            inside = pair[1].array > 0  # the surrogate has no dose in the air before a slope
            cells += [f"{result.pass_rate(inside).share_pct:.1f}" for result in made]
        rows.append([name.replace("_", ", "), *cells])
    head = [
        "gamma off the axis (%)",
        "10 MV / pyRadMC: 2 %/2 mm",
        "3 %/3 mm",
        "TPR 0.67 / pyRadPlan: 2 %/2 mm",
        "3 %/3 mm",
    ]
    found.tables["gamma"] = table(head, rows)


def _edges(doses: Doses, large: Doses, found: PhotonResults) -> None:
    """Where the shadow of a slab's edge lies at several depths."""
    rows = []
    grid = doses["surrogate"]["water"].grid
    crossline, inline = (off_axis.edge_mm(grid, side) for side in off_axis.SIDES)
    cases: list[tuple[str, str, Doses, str, float, tuple[int, int]]] = [
        ("lung", "crossline", doses, "crossline_lung", crossline, FIELD_MM[1]),
        ("bone", "crossline", doses, "crossline_bone", crossline, FIELD_MM[1]),
        ("lung", "inline", doses, "inline_lung", inline, FIELD_MM[0]),
        ("lung", "crossline", large, "crossline_lung", LARGE_EDGE_MM, (-120, 120)),
    ]
    for kind, side, made, name, edge, band in cases:
        for depth in EDGE_DEPTHS_MM:
            expected = RAYS.shadow_mm(edge, SLAB_MM[kind][:2], depth)
            scale = (RAYS.sad_mm - ISO_DEPTH_MM + depth) / RAYS.sad_mm
            inner = (band[0] * scale + 12 * np.sign(band[1] - band[0]), band[1] * scale - 12)
            cells = []
            for engine in ("surrogate", "montecarlo", "surrogate6", "pyradplan"):
                way, ratio = off_axis.across(
                    made[engine][name], made[engine]["water"], side, depth, inner
                )
                cells.append(f"{off_axis.step_mm(way, ratio, expected, 30.0):.1f}")
                found.curves[f"{name} {abs(edge):g} {depth:g}", engine] = (way, ratio)
            found.curves[f"{name} {abs(edge):g} {depth:g}", "expected"] = (
                np.array([expected, expected]),
                np.array([0.0, 2.0]),
            )
            field = "30×30 cm²" if made is large else "10×8 cm²"
            rows.append(
                [
                    f"{kind}, {side}, {edge:g} mm, {field}; {depth:g} mm deep".replace("-", "−"),
                    f"{expected:.1f}".replace("-", "−"),
                    *(cell.replace("-", "−") for cell in cells),
                ]
            )
    head = [
        "shadow of an edge (mm off the axis)",
        "similar triangles",
        "surrogate, 10 MV",
        "pyRadMC",
        "surrogate, TPR 0.67",
        "pyRadPlan",
    ]
    found.tables["edges"] = table(head, rows)


def _large_field(large: Doses, found: PhotonResults) -> None:
    """Dose across the large field in water, over that on the axis at the same depth."""
    rows = []
    for depth in (50.0, 100.0, 200.0):
        for plane in (60.0, 100.0, 130.0):
            values = {}
            for engine, made in large.items():
                axis = _ring(made["water"], 0.0, depth)
                values[engine] = _ring(made["water"], plane, depth) / axis
            rows.append([f"{depth:g} mm deep, ray {plane:g} mm off the axis", *_compared(values)])
    head = [
        "30×30 cm²: dose over that on the axis",
        "surrogate, 10 MV",
        "pyRadMC",
        "difference (%)",
        "surrogate, TPR 0.67",
        "pyRadPlan",
        "difference (%)",
    ]
    found.tables["large"] = table(head, rows)
    for engine, made in large.items():
        dose = made["water"]
        x = dose.grid.origin_mm[0] + np.arange(dose.grid.shape[0]) * dose.grid.spacing_mm[0]
        j = int(np.rint(dose.grid.to_index((0.0, 0.0, 0.0))[1]))
        k = dose.grid.shape[2] // 2
        part = dose.array[:, j - 2 : j + 3, k - 8 : k + 9].mean(axis=(1, 2), dtype=float)
        found.curves["large 100", engine] = (x, 100 * part / _ring(dose, 0.0, 100.0))


def _ring(dose: Volume, plane_mm: float, depth_mm: float) -> float:
    """Mean over the four places at a distance from the axis: the field looks alike from there."""
    sides = ((plane_mm, 0.0), (-plane_mm, 0.0), (0.0, plane_mm), (0.0, -plane_mm))
    return float(
        np.mean([off_axis.mean_around(dose, RAYS.at(side, depth_mm), 15.0) for side in sides])
    )
