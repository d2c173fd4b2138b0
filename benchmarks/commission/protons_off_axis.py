"""Protons beside the axis of a near source: slabs, edges, tilted slabs, a slope."""

from __future__ import annotations

import numpy as np

from benchmarks.commission import off_axis, phantoms, protons
from benchmarks.commission.engines import Bench
from benchmarks.commission.off_axis import ISO_DEPTH_MM, MIDDLE_MM, Rays
from benchmarks.commission.protons import MACHINE, SLAB_MM, Bragg, ProtonResults
from benchmarks.commission.tables import signed, table
from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.protons import ProtonRangeEngine

SAD_MM = 2000.0
DEPTH_MM, SPACING_MM = 240.0, 3.0
FIELD_MEV, STEP_MM = 160.0, 4.0
FIELD_MM = ((26.0, 114.0), (-96.0, -24.0))
EDGE_MEV = {"lung": (120.0, 160.0), "bone": (130.0, 160.0)}
RAYS = Rays(sad_mm=SAD_MM)


def run(bench: Bench) -> ProtonResults:
    """Compute everything about protons beside the axis."""
    found = ProtonResults()
    grid = off_axis.box(DEPTH_MM, SPACING_MM)
    images = _images(grid)
    ours, theirs = _both(bench, grid, images, FIELD_MEV, "off the axis")
    room = off_axis.box(DEPTH_MM, SPACING_MM, off_axis.SLOPE_ROOM_MM)
    below = {"slope": off_axis.slope(room)}
    more, other = _both(bench, room, below, FIELD_MEV, "slope off the axis")
    _ranges({**ours, **more}, {**theirs, **other}, {**images, **below}, found)
    _edges(bench, grid, images, found)
    return found


def _images(grid: Grid) -> dict[str, Float32Array]:
    images = {"water": phantoms.water(grid)}
    for name, (start, end, density) in SLAB_MM.items():
        images[name] = phantoms.slab(grid, ISO_DEPTH_MM, start, end, density)
        images[f"tilted_{name}"] = off_axis.tilted_slab(grid, name, density)
        for side in off_axis.SIDES:
            images[f"{side}_{name}"] = off_axis.half_slab(grid, side, start, end, density)
    return images


def _both(
    bench: Bench, grid: Grid, images: dict[str, Float32Array], energy_mev: float, label: str
) -> tuple[dict[str, Volume], dict[str, Volume]]:
    """Doses of surrogate and reference of one field of one energy from a source 2 m away."""
    x, y = (np.arange(low, high + 0.1, STEP_MM) for low, high in FIELD_MM)
    across, along = (values.ravel() for values in np.meshgrid(x, y))
    spots = ProtonSpots(
        energy_mev=np.full(across.size, energy_mev),
        x_mm=across,
        y_mm=along,
        weight=np.full(across.size, 100.0),
    )
    beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=0.0), weight=1.0, delivery=spots)
    plan = phantoms.plan_of(grid, [beam], "protons", "protons-range", MACHINE)
    answer = bench.pyradplan(plan, images, f"{energy_mev:g} MeV {label}", sad_mm=SAD_MM)
    same = protons.with_ranges(plan, answer.ranges_mm)
    engine = ProtonRangeEngine(machine=load_machine(MACHINE).model_copy(update={"sad_mm": SAD_MM}))
    return {name: engine.recalculate(d, same) for name, d in images.items()}, answer.doses


def _ranges(
    ours: dict[str, Volume],
    theirs: dict[str, Volume],
    images: dict[str, Float32Array],
    found: ProtonResults,
) -> None:
    rows = []
    for name, title in (
        ("water", "water"),
        ("bone", "3 cm of bone"),
        ("lung", "6 cm of lung"),
        ("tilted_bone", "3 cm of bone, tilted by 30°"),
        ("tilted_lung", "6 cm of lung, tilted by 30°"),
        ("crossline_bone", "the edge of bone, crossline"),
        ("crossline_lung", "the edge of lung, crossline"),
        ("inline_bone", "the edge of bone, inline"),
        ("inline_lung", "the edge of lung, inline"),
        ("slope", "a face at 30°"),
    ):
        pair = []
        for made in (ours, theirs):
            depth, dose = _along_ray(made[name], _behind(name))
            pair.append(Bragg.of(depth, dose).r80)
        rates = protons._gamma(theirs[name], ours[name], images[name] > 0.2)
        rows.append([title, f"{pair[0]:.1f}", f"{pair[1]:.1f}", signed(pair[0] - pair[1]), *rates])
    head = [
        "160 MeV, source at 2 m, 9 cm off the axis",
        "surrogate: depth of R80 (mm)",
        "pyRadPlan (mm)",
        "difference (mm)",
        "γ 2 %/2 mm (%)",
        "γ 3 %/3 mm (%)",
    ]
    found.tables["ranges"] = table(head, rows)


def _behind(name: str) -> tuple[float, float]:
    """Return a point of the isocentre plane well behind the slab of a phantom."""
    x, y = MIDDLE_MM
    if name.startswith("crossline"):
        return x + 24.0, y
    return (x, y - 18.0) if name.startswith("inline") else (x, y)


def _along_ray(dose: Volume, plane_mm: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Dose along a ray against the depth in the box, read from the voxels by splines."""
    from scipy.ndimage import map_coordinates

    depth = np.arange(2.0, DEPTH_MM - 2.0, 0.5)
    places = np.array([RAYS.at(plane_mm, d) for d in depth])
    return depth, map_coordinates(
        np.asarray(dose.array, dtype=float), dose.grid.to_index(places).T, order=3
    )


def _edges(bench: Bench, grid: Grid, images: dict[str, Float32Array], found: ProtonResults) -> None:
    """Where protons that passed the slab and those that did not part, at their ranges."""
    rows = []
    for kind, energies in EDGE_MEV.items():
        for energy in energies:
            names = [f"{side}_{kind}" for side in off_axis.SIDES]
            ours, theirs = _both(
                bench, grid, {n: images[n] for n in ("water", kind, *names)}, energy, "edges"
            )
            # between the two ranges, where one side has its plateau and the other nothing
            ends = [Bragg.of(*_along_ray(ours[n], MIDDLE_MM)).r80 for n in ("water", kind)]
            depth = float(np.mean(ends))
            for side in off_axis.SIDES:
                edge = off_axis.edge_mm(grid, side)
                expected = RAYS.shadow_mm(edge, SLAB_MM[kind][:2], depth)
                whole = kind if kind == "lung" else "water"
                band = FIELD_MM[1] if side == "crossline" else FIELD_MM[0]
                inner = (band[0] + 15, band[1] - 15)
                found_mm = []
                for made in (ours, theirs):
                    way, ratio = off_axis.across(
                        made[f"{side}_{kind}"], made[whole], side, depth, inner
                    )
                    found_mm.append(off_axis.step_mm(way, ratio, expected, 24.0))
                cells = [f"{v:.1f}".replace("-", "−") for v in (expected, *found_mm)]
                rows.append(
                    [f"{kind}, {side}, {edge:g} mm; {depth:.0f} mm deep".replace("-", "−"), *cells]
                )
    head = ["shadow of an edge (mm off the axis)", "similar triangles", "surrogate", "pyRadPlan"]
    found.tables["edges"] = table(head, rows)
