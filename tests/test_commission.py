"""The commissioning's phantoms: none may hide an error of geometry behind a symmetry."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.commission import off_axis, photons, photons_off_axis, protons, protons_off_axis
from benchmarks.commission.__main__ import PARTS

PAGE = Path("docs/appendix/commissioning.md")
MADE = {"photons": photons_off_axis, "protons": protons_off_axis}
ON_AXIS = {"photons": photons.SLAB_MM, "protons": protons.SLAB_MM}


def images(modality: str) -> dict[str, np.ndarray]:
    made = MADE[modality]
    return made._images(off_axis.box(made.DEPTH_MM, made.SPACING_MM))


@pytest.mark.parametrize("modality", MADE)
def test_every_phantom_on_the_axis_stands_beside_it_too(modality) -> None:
    found = images(modality)
    for name in ON_AXIS[modality]:
        assert {name, f"tilted_{name}", f"crossline_{name}"} <= set(found)
    assert any(name.startswith("inline") for name in found)


@pytest.mark.parametrize("modality", MADE)
def test_neither_field_nor_box_nor_edge_is_its_own_mirror_image(modality) -> None:
    """About the axis, crossline and inline; edges lie inside the field, well off the axis."""
    grid = off_axis.box(MADE[modality].DEPTH_MM, MADE[modality].SPACING_MM)
    for axis, field, middle, side in zip(
        (0, 2), MADE[modality].FIELD_MM, off_axis.MIDDLE_MM, off_axis.SIDES, strict=True
    ):
        edge = off_axis.edge_mm(grid, side)
        low = grid.origin_mm[axis] - grid.spacing_mm[axis] / 2
        high = low + grid.shape[axis] * grid.spacing_mm[axis]
        assert low < min(field) < middle < max(field) < high
        assert abs(low + high) > 80 and min(abs(field[0]), abs(field[1])) >= 20
        assert min(field) + 20 < edge < max(field) - 20
        assert edge == pytest.approx(off_axis.SIDES[side], abs=grid.spacing_mm[axis] / 2)
        slab = off_axis.half_slab(grid, side, 30.0, 60.0, 0.0)
        row = slab.min(axis=(1, 2) if axis == 0 else (0, 1))
        change = int(np.flatnonzero(np.diff(row))[0]) + 1
        assert edge == pytest.approx(low + change * grid.spacing_mm[axis])


def test_a_tilted_slab_has_its_thickness_along_the_axis_everywhere() -> None:
    """Along the axis it is as thick as it is said to be, and met where it is said to be."""
    grid = off_axis.box(280.0, 4.0)
    for name, (start, thickness) in off_axis.TILTED_MM.items():
        made = off_axis.tilted_slab(grid, name, 0.0)
        column = (1 - made).sum(axis=1)[:, 0] * grid.spacing_mm[1]
        x = grid.origin_mm[0] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
        middle = np.abs(x - off_axis.MIDDLE_MM[0]) < 30
        np.testing.assert_allclose(column[middle], thickness, atol=1.0)
        i = int(np.abs(x - off_axis.MIDDLE_MM[0]).argmin())
        first = int(np.argmax(made[i, :, 0] < 0.5)) * grid.spacing_mm[1]
        assert first == pytest.approx(start, abs=grid.spacing_mm[1])


def test_a_shadow_is_found_where_it_was_put() -> None:
    rng = np.random.default_rng(1)
    way = np.arange(-200.0, 200.0, 4.0)
    for middle in (71.3, -64.9):
        profile = 1 + 0.08 / (1 + np.exp(-(way - middle) / 2.0)) + rng.normal(0, 0.002, way.size)
        assert off_axis.step_mm(way, profile, middle + 3, 30.0) == pytest.approx(middle, abs=0.8)
    rays = off_axis.Rays(sad_mm=1000.0)
    # at the isocentre the ray through a point of its plane is that point; at the face 10 % nearer
    assert rays.at((70.0, -60.0), off_axis.ISO_DEPTH_MM) == pytest.approx((70.0, 0.0, -60.0))
    assert rays.at((70.0, -60.0), 0.0) == pytest.approx((63.0, -100.0, -54.0))
    assert rays.shadow_mm(58.5, (20.0, 50.0), 100.0) == pytest.approx(58.5 * 1000 / 935)


def test_every_part_has_its_tables_on_the_page() -> None:
    text = PAGE.read_text()
    rooms = {"twins" if part.startswith("twins") else part for part in PARTS}
    for room in rooms:
        names = re.findall(rf"<!-- {room} (\w+): begin -->", text)
        assert names, room
        for name in names:
            begin, end = (f"<!-- {room} {name}: {word} -->" for word in ("begin", "end"))
            table = text.split(begin)[1].split(end)[0]
            assert table.count("|---|") == 1 and "nan" not in table, f"{room} {name}"
