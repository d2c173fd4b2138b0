"""How exact DVHs are: solids with closed answers, as functions, contours and binary masks.

    python benchmarks/dvh_accuracy.py [--write docs/dose/dvh.md]

A dose of 50 Gy in the middle and 1 Gy/mm along z on 3 mm voxels; worst of 8 positions of the
solid against voxels or slices.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import dvh_of
from qa_suite.dose.structures.samples import MaskStructure
from qa_suite.dose.structures.structures import AnyStructure
from tests.dose_solids import DRAWN, analytic, drawn, place_at_share, volume_mm3

BEGIN, END = "<!-- accuracy table: begin -->", "<!-- accuracy table: end -->"
RADII_MM = (5.0, 10.0, 15.0, 24.0)
BASE_GY, POSITIONS = 50.0, 8
HEAD = ("structure as", "solid", *(f"R = {r:g} mm" for r in RADII_MM))


def grid_of(spacing: float, shift: float) -> Grid:
    count = int(np.ceil(80 / spacing))
    start = -(count - 1) / 2 * spacing
    shifts = np.array([0.31, 0.77, 1.0]) * shift * spacing
    return Grid(shape=(count,) * 3, spacing_mm=(spacing,) * 3, origin_mm=tuple(start + shifts))


def places(grid: Grid) -> np.ndarray:
    axes = [np.arange(n) for n in grid.shape]
    return grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), -1))


def dose_on(grid: Grid) -> Volume:
    array = (BASE_GY + places(grid)[..., 2]).astype(np.float32)
    return Volume(array=array, grid=grid, quantity="Gy")


def as_function(solid: str, radius: float, shift: float) -> AnyStructure:
    return analytic(solid, radius)


def as_mask(spacing: float) -> Callable[[str, float, float], AnyStructure]:
    def make(solid: str, radius: float, shift: float) -> AnyStructure:
        grid = grid_of(spacing, shift)
        inside = analytic(solid, radius).inside(places(grid).reshape(-1, 3)).reshape(grid.shape)
        return MaskStructure(name=solid, mask=inside, grid=grid)

    return make


def errors(
    make: Callable[[str, float, float], AnyStructure], solid: str, radius: float
) -> tuple[float, float]:
    """Worst error of the volume, in %, and of D95, in Gy."""
    volume = volume_mm3(solid, radius) / 1000
    d95 = BASE_GY + place_at_share(solid, radius, 0.95)
    worst = np.zeros(2)
    for shift in np.arange(POSITIONS) / POSITIONS:
        dvh = dvh_of(dose_on(grid_of(3.0, shift)), make(solid, radius, float(shift)))
        found = (100 * (dvh.volume_cc / volume - 1), dvh.dose_at_volume_pct(95) - d95)
        worst = np.maximum(worst, np.abs(found))
    return float(worst[0]), float(worst[1])


def contour_errors(solid: str, radius: float, step: float) -> tuple[float, float | None]:
    """The same for contours; D95 of solids that are not bounded by a slice."""
    dose, worst = dose_on(grid_of(3.0, 0.2)), np.zeros(2)
    d95 = BASE_GY + place_at_share("sphere", radius, 0.95)
    for offset in np.arange(POSITIONS) / POSITIONS * step:
        structure, volume = drawn(solid, radius, step, float(offset))
        dvh = dvh_of(dose, structure)
        found = (100 * (dvh.volume_cc * 1000 / volume - 1), dvh.dose_at_volume_pct(95) - d95)
        worst = np.maximum(worst, np.abs(found))
    return float(worst[0]), float(worst[1]) if solid == "sphere" else None


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table."""
    sources = {
        "function": as_function,
        "mask, 3 mm": as_mask(3.0),
        "mask, 2 mm": as_mask(2.0),
        "mask, 1 mm": as_mask(1.0),
    }
    for source, make in sources.items():
        for solid in ("sphere", "cylinder", "cone"):
            yield source, solid, *(cell(*errors(make, solid, radius)) for radius in RADII_MM)
    for step in (2.0, 2.5, 3.0):
        for solid in DRAWN:
            found = (contour_errors(solid, radius, step) for radius in RADII_MM)
            yield f"contours, {step:g} mm", solid, *(cell(*pair) for pair in found)


def cell(volume: float, d95: float | None) -> str:
    return f"{volume:.2f} %" + ("" if d95 is None else f", {d95:.2f} Gy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    options = parser.parse_args()
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---|---" + "|--:" * len(RADII_MM) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows()]
    text = "\n".join(lines)
    print(text)
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
