"""The real images: how they are read, what is drawn on them, and one coarse dose run each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.dose_real.images import (
    TARGETS,
    Ellipsoid,
    RealCase,
    head_and_neck_case,
    read_drawn_site,
    trunk_case,
)
from benchmarks.dose_real.run import IDENTITY, Planned, Row, make_plan, measure_twin, twin_images
from benchmarks.dose_real.tables import twin_table
from benchmarks.dose_real.twins import ground_of, outline_larger, outline_smaller, shifted
from benchmarks.filling import fill
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Volume

COARSE_MM = 9.0


@pytest.fixture(scope="module")
def head_and_neck(shared_data: Path) -> RealCase:
    if not (shared_data / "openkbp").is_dir():
        pytest.skip("no head-and-neck patient in the real images")
    return head_and_neck_case(shared_data)


@pytest.fixture(scope="module")
def trunk(shared_data: Path) -> RealCase:
    if not (shared_data / "body").is_dir():
        pytest.skip("no trunk CT in the real images")
    return trunk_case(shared_data, "bladder")


def _block(spacing_mm: float = 3.0) -> RealCase:
    """A block of water with a ball of gas in air, its axes pointing right and to the front."""
    grid = Grid(
        shape=(40, 40, 12), spacing_mm=(spacing_mm,) * 3, direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    )
    hu = np.full(grid.shape, -1000.0, dtype=np.float32)
    hu[8:32, 8:32] = 0.0
    hu[18:22, 18:22, 4:8] = -1000.0
    return RealCase(
        name="block",
        title="Block",
        ct=Volume(array=hu, grid=grid, quantity="HU"),
        structures={},
        plans=(),
    )


def test_an_ellipsoid_has_its_volume_and_place() -> None:
    grid = Grid(shape=(60, 50, 40), spacing_mm=(1.0, 1.0, 1.5), origin_mm=(-30, -25, -30))
    ball = Ellipsoid(name="PTV", centre_mm=(2, -3, 1), radii_mm=(15, 10, 12), why="test")
    mask = ball.on(grid)
    truth = 4 / 3 * np.pi * 15 * 10 * 12
    assert mask.sum() * 1.5 == pytest.approx(truth, rel=0.01)
    assert grid.to_world(np.argwhere(mask).mean(axis=0)) == pytest.approx((2, -3, 1), abs=0.05)


@pytest.mark.parametrize("path", sorted(TARGETS.glob("*.yaml")), ids=lambda p: p.stem)
def test_drawn_sites_make_valid_plans(path: Path) -> None:
    site = read_drawn_site(path)
    names = {structure.name for structure in site.structures}
    assert "PTV" in names
    assert {t.modality for t in site.templates()} == {"photons", "protons"}
    for template in site.templates():
        assert {goal.structure for goal in template.goals} <= names


def test_outlines_move_by_three_millimetres_and_leave_the_inside() -> None:
    case = _block()
    ground = ground_of(case)
    inner = np.s_[10:30, 10:30, 2:10]
    for made, width in ((outline_smaller(ground), 22), (outline_larger(ground), 26)):
        assert (made[:, 20, 1] > -400).sum() == width  # 3 mm, one voxel, on either side
        np.testing.assert_array_equal(made[inner], ground.hu[inner])


def test_a_shift_to_the_back_follows_the_axes() -> None:
    ground = ground_of(_block())
    made = shifted(ground)
    j = 8 + np.arange(-2, 3)  # the block's back: j runs to the front here, y to the back
    assert ground.grid.axes[1, 1] == -1
    before, after = (np.interp(-500, hu[20, j, 1], j) for hu in (ground.hu, made))
    assert 3.0 * (before - after) == pytest.approx(2.0, abs=0.5)  # cubic edges swing


def test_openkbp_lies_as_a_patient_does(head_and_neck: RealCase) -> None:
    grid = head_and_neck.ct.grid
    where = {
        n: grid.to_world(np.argwhere(m).mean(axis=0)) for n, m in head_and_neck.structures.items()
    }
    assert where["Parotid_L"][0] > where["SpinalCord"][0] > where["Parotid_R"][0]
    assert where["Bone_Mandible"][1] < where["Parotid_L"][1] < where["SpinalCord"][1]
    assert where["Brainstem"][2] > where["Bone_Mandible"][2]
    hu, masks = head_and_neck.ct.array, head_and_neck.structures
    assert np.median(hu[masks["Bone_Mandible"]]) > 400
    assert 0 < np.median(hu[masks["Brainstem"]]) < 60
    assert head_and_neck.clinical is not None
    assert head_and_neck.clinical.array.max() == pytest.approx(74.2, abs=0.1)


def test_the_drawn_bladder_lies_in_water(trunk: RealCase) -> None:
    hu = trunk.ct.array
    assert abs(np.median(hu[trunk.structures["Bladder"]])) < 15
    assert np.median(hu[trunk.structures["Femur_Head_L"]]) > 150
    assert np.median(hu[trunk.structures["Femur_Head_R"]]) > 150


@pytest.mark.parametrize(("name", "number"), [("head_and_neck", 0), ("trunk", 1)])
def test_a_coarse_run(request: pytest.FixtureRequest, name: str, number: int) -> None:
    case: RealCase = request.getfixturevalue(name)
    planned = make_plan(case, case.plans[number], COARSE_MM)
    rows = _rows(planned, (IDENTITY, "+30 HU"))
    same, bias = rows[IDENTITY], rows["+30 HU"]
    assert same.dmean_pct == pytest.approx(0, abs=1e-6)
    assert same.gamma_pct["1pct1mm"] == 100
    for found in bias.ranges.values():  # 30 HU are about 3 % of the path
        assert found.mean_pct == pytest.approx(3, abs=1)
    if number == 0:
        assert bias.dmean_pct is not None
        assert -3 < bias.dmean_pct < -0.1
    table = twin_table([same, bias])
    assert "| +30 HU |" in table and IDENTITY not in table


def _rows(planned: Planned, names: tuple[str, ...]) -> dict[str, Row]:
    return {
        name: measure_twin(planned, name, image, causes=False)[0]
        for name, image in twin_images(planned, names)
    }


def test_absent_images_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder of the real images"):
        trunk_case(tmp_path, "bladder")
    with pytest.raises(InputError, match="give the folder of the real images"):
        head_and_neck_case(tmp_path)


def test_the_page_is_filled_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one: begin -->\nold\n<!-- one: end -->\nb\n")
    fill(page, {"one": "new\n"})
    assert page.read_text() == "a\n<!-- one: begin -->\nnew\n<!-- one: end -->\nb\n"
    with pytest.raises(InputError, match="no markers for two"):
        fill(page, {"two": ""})
