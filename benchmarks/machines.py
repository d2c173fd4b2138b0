"""What each photon machine does in water, against figures that are published of its kind.

python -m benchmarks.machines --write docs/dose/machines.md
python -m benchmarks.machines --factors elekta_6MV   # output factors for its data file
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commission import phantoms
from benchmarks.commission.engines import threads
from benchmarks.commission.tables import signed, table, write_between
from benchmarks.published_beams import PUBLISHED, TPR_DEPTHS_MM
from qa_suite.core.arrays import FloatArray
from qa_suite.dose.machines.photon import (
    PhotonMachine,
    load_photon_machine,
    shipped_photon_machines,
)

Curve = tuple[FloatArray, FloatArray]
IMAGES = Path("docs/images/dose")
SPACING_MM = 3.0
ROOM_MM = 90.0  # of water beside the field, for the kernel
MOST_MM = 560.0
SIDES_MM = (30.0, 40.0, 60.0, 100.0, 150.0, 200.0, 300.0)
SHOWN_MM = (40.0, 100.0, 200.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose marked tables are replaced")
    parser.add_argument("--factors", help="machine whose output factors are derived, and no more")
    options = parser.parse_args()
    threads()
    if options.factors:
        print(fitted_factors(load_photon_machine(options.factors)))
        return
    machines = [load_photon_machine(name) for name in shipped_photon_machines()]
    texts = {
        "machines figures": figures_table(machines),
        "machines outputs": outputs_table(machines),
        "machines tpr": tpr_table(machines),
        "machines profiles": profiles_table(machines),
    }
    for name, text in texts.items():
        print(f"\n{name}\n\n{text}")
        if options.write:
            write_between(options.write, name, text)
    for machine in machines:
        if options.write:
            draw(machine, IMAGES / f"machine-{machine.name}.png")


@cache
def dose_in_water(
    machine: PhotonMachine, side_mm: float, depth_of_axis_mm: float, deep_mm: float
) -> tuple[Curve, Curve]:
    """Dose of one monitor unit along the axis, and across the field in the isocentre plane."""
    from qa_suite.dose.photons import PhotonEngine

    far = 1 + (deep_mm - depth_of_axis_mm) / machine.sad_mm
    wide = min(side_mm * far + 2 * ROOM_MM, MOST_MM)
    grid = phantoms.box(wide, deep_mm, depth_of_axis_mm, SPACING_MM)
    beam = phantoms.square_field(side_mm, machine)
    plan = phantoms.plan_of(grid, [beam], "photons", "photons-pydosert", machine.name)
    dose = PhotonEngine(machine).recalculate(phantoms.water(grid), plan).array
    middle = grid.shape[0] // 2
    depth = phantoms.depths_mm(grid, depth_of_axis_mm)
    across = grid.origin_mm[0] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    row = [np.interp(depth_of_axis_mm, depth, dose[i, :, middle]) for i in range(len(across))]
    return (depth, dose[middle, :, middle].astype(float)), (across, np.asarray(row))


def at_depth(curve: Curve, depth_mm: float) -> float:
    from scipy.interpolate import CubicSpline

    return float(CubicSpline(*curve)(depth_mm))


def on_axis(machine: PhotonMachine, side_mm: float, depth_mm: float) -> float:
    """Dose at the isocentre under some depth of water."""
    curve, _ = dose_in_water(machine, side_mm, depth_mm, depth_mm + ROOM_MM)
    return at_depth(curve, depth_mm)


def output(machine: PhotonMachine, side_mm: float) -> float:
    return on_axis(machine, side_mm, 100.0) / on_axis(machine, 100.0, 100.0)


def fitted_factors(machine: PhotonMachine) -> str:
    """What the data file must hold for the outputs of its own published set."""
    flat = machine.model_copy(update={"output_factors": ((100.0, 1.0), (400.0, 1.0))})
    measured = PUBLISHED[machine.name][0].outputs
    pairs = [f"[{s:g}, {m / output(flat, s):.4f}]" for s, m in measured.items()]
    return f"output_factors: [{', '.join(pairs)}]"


def depth_dose(machine: PhotonMachine, side_mm: float) -> Curve:
    """Percent depth dose at SSD 1000 mm (the field's side is that on the surface)."""
    from scipy.interpolate import CubicSpline

    # the isocentre must lie in a voxel: half of one below the surface
    depth, dose = dose_in_water(machine, side_mm, SPACING_MM / 2, 310.0)[0]
    fine = np.arange(2.0, 300.5, 0.5)
    curve = CubicSpline(depth, dose)(fine)
    return fine, 100 * curve / curve.max()


def tissue_phantom_ratio(machine: PhotonMachine) -> float:
    return on_axis(machine, 100.0, 200.0) / on_axis(machine, 100.0, 100.0)


def penumbra_mm(machine: PhotonMachine, side_mm: float = 100.0) -> float:
    """From 80 to 20 % of the axis, 10 cm deep."""
    across, dose = dose_in_water(machine, side_mm, 100.0, 190.0)[1]
    side = across >= 0
    share = dose[side] / dose[across == 0]
    places = np.interp([0.2, 0.8], share[::-1], across[side][::-1])
    return float(places[0] - places[1])


def figures_table(machines: Sequence[PhotonMachine]) -> str:
    rows = []
    for machine in machines:
        depth, dose = depth_dose(machine, 100.0)
        made = np.interp([50.0, 100.0, 200.0], depth, dose)
        told: dict[float, float] = {}
        for data in PUBLISHED[machine.name]:
            told |= data.pdd
        rows.append(
            [
                machine.name,
                f"{machine.tpr_20_10:.3f}",
                f"{tissue_phantom_ratio(machine):.3f}",
                f"{depth[dose.argmax()]:.0f}",
                *(
                    f"{value:.1f} ({told[d]:.1f})" if d in told else f"{value:.1f}"
                    for d, value in zip((50.0, 100.0, 200.0), made, strict=True)
                ),
                f"{penumbra_mm(machine):.1f}",
            ]
        )
    head = [
        "machine",
        "TPR20,10: file",
        "computed",
        "depth of the maximum, mm",
        "5 cm, %",
        "10 cm, %",
        "20 cm, %",
        "penumbra, mm",
    ]
    return table(head, rows)


def outputs_table(machines: Sequence[PhotonMachine]) -> str:
    head = ["machine", *(f"{side / 10:g}×{side / 10:g}" for side in SIDES_MM)]
    rows = []
    for machine in machines:
        made = {side: output(machine, side) for side in SIDES_MM}
        rows.append([f"**{machine.name}**", *(f"**{value:.3f}**" for value in made.values())])
        for data in (one for one in PUBLISHED[machine.name] if one.outputs):
            cells = [_against(data.outputs, side, made[side]) for side in SIDES_MM]
            rows.append([data.title, *cells])
    return table(head, rows)


def _against(told: Mapping[float, float], side: float, made: float) -> str:
    if side not in told:
        return "–"
    return f"{told[side]:.3f} ({signed(100 * (made / told[side] - 1))} %)"


def tpr_table(machines: Sequence[PhotonMachine]) -> str:
    head = ["field, set", *(f"{depth / 10:g} cm" for depth in TPR_DEPTHS_MM)]
    rows = []
    for machine in machines:
        sets = [data for data in PUBLISHED[machine.name] if data.tpr]
        for side in sets[0].tpr if sets else ():
            made = [
                on_axis(machine, side, d) / on_axis(machine, side, 100.0) for d in TPR_DEPTHS_MM
            ]
            field = f"{side / 10:g}×{side / 10:g} cm²"
            rows.append([f"**{field}, {machine.name}**", *(f"**{value:.3f}**" for value in made)])
            for data in sets:
                cells = [
                    f"{t:.3f} ({signed(100 * (m / t - 1))} %)"
                    for m, t in zip(made, data.tpr[side], strict=True)
                ]
                rows.append([f"{field}, {data.title}", *cells])
    return table(head, rows)


def profiles_table(machines: Sequence[PhotonMachine]) -> str:
    """Primary fluence of the data file beside the published ones."""
    places = np.arange(20.0, 181.0, 20.0)
    rows = []
    for machine in machines:
        made = np.interp(places, *np.asarray(machine.profile).T)
        rows.append([f"**{machine.name}**", *(f"**{value:.3f}**" for value in made)])
        for data in (one for one in PUBLISHED[machine.name] if one.off_axis):
            rows.append([data.title, *(f"{value:.3f}" for _, value in data.off_axis)])
    return table(["off the axis", *(f"{place / 10:g} cm" for place in places)], rows)


def draw(machine: PhotonMachine, path: Path) -> None:
    """Depth doses, profiles and outputs; published points beside the curves."""
    from matplotlib import pyplot as plt

    figure, (depths, profiles, outputs) = plt.subplots(
        1, 3, figsize=(10.5, 3.3), layout="constrained"
    )
    for side, colour in zip(SHOWN_MM, ("#c05a1c", "#1f5fa8", "#2f7d3b"), strict=True):
        label = f"{side / 10:g}×{side / 10:g} cm²"
        depths.plot(*depth_dose(machine, side), color=colour, linewidth=1.2, label=label)
        across, dose = dose_in_water(machine, side, 100.0, 190.0)[1]
        axis = dose[across == 0]
        profiles.plot(across, 100 * dose / axis, color=colour, linewidth=1.2, label=label)
    sets = PUBLISHED[machine.name]
    _points(depths, [(data.title, list(data.pdd.items())) for data in sets])
    depths.set(
        title=f"{machine.name}: SSD 100 cm",
        xlabel="depth (mm)",
        ylabel="dose (% of the maximum)",
        xlim=(0, 300),
        ylim=(0, 103),
    )
    profiles.set(
        title="10 cm deep, SSD 90 cm",
        xlabel="off the axis (mm)",
        ylabel="dose (% of the axis)",
        xlim=(-140, 140),
        ylim=(0, 112),
    )
    sides = np.asarray(SIDES_MM)
    outputs.plot(
        sides,
        [output(machine, side) for side in SIDES_MM],
        color="#1f5fa8",
        linewidth=1.2,
        label="computed",
    )
    _points(outputs, [(data.title, list(data.outputs.items())) for data in sets])
    outputs.set(
        title="Output, 10 cm deep",
        xlabel="side of the field (mm)",
        ylabel="relative to 10×10 cm²",
        xlim=(0, 370),
        ylim=(0.75, 1.32),
    )
    depths.legend(fontsize=7, frameon=False, loc="upper right")  # its colours hold for profiles
    outputs.legend(fontsize=7, frameon=False, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _points(axes: Any, sets: Sequence[tuple[str, list[tuple[float, float]]]]) -> None:
    marks = iter("osd^")
    for title, points in sets:
        if points:
            x, y = np.asarray(points).T
            axes.plot(
                x, y, next(marks), color="0.25", markersize=3.5, fillstyle="none", label=title
            )


if __name__ == "__main__":
    main()
