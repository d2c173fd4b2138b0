"""Range errors and robust scenarios, with answers known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.errors import compare_ranges
from qa_suite.dose.range.raytrace import BeamFrame, beam_frame
from qa_suite.dose.range.scenarios import Scenario, recalculate_scenarios, scenarios
from tests.proton_cases import BODY, BOX, TARGET, distal_depth_mm, make_plan

GRID = Grid(shape=(40, 40, 20), spacing_mm=(3.0,) * 3, origin_mm=(-58.5, -58.5, -28.5))
_P = GRID.to_world(np.moveaxis(np.indices(GRID.shape), 0, -1))
WATER = np.where((np.abs(_P[..., :2]) < 48).all(axis=-1), 1.0, 0.0).astype(np.float32)
BALL = np.linalg.norm(_P, axis=-1) < 20


def frame(gantry: float, sad: float | None = None) -> BeamFrame:
    return beam_frame(BeamTemplate(gantry_deg=gantry), (0.0, 0.0, 0.0), sad_mm=sad)


def compare(synthetic: Any, gantry: float = 0.0, **given: Any) -> Any:
    return compare_ranges(
        WATER,
        synthetic,
        GRID,
        target=given.get("target", BALL),
        frame=frame(gantry, given.get("sad")),
        label="G",
    )


def test_identical_images_have_no_range_error() -> None:
    found = compare(WATER, 37.0, sad=2000.0)
    assert found.hit.sum() > 100
    assert found.max_abs_mm == 0 and found.share_beyond_margin() == 0


def test_the_distal_surface_is_exact() -> None:
    box = (np.abs(_P) < 15).all(axis=-1)  # faces at ±15 mm
    found = compare(WATER, 0.0, target=box)
    np.testing.assert_allclose(found.reference_mm[found.hit], 48 + 15, atol=1e-9)
    # a hollow target: the last surface counts, not the first
    hollow = box & ~(np.abs(_P) < 9).all(axis=-1)
    found = compare(WATER, 180.0, target=hollow)
    np.testing.assert_allclose(found.reference_mm[found.hit], 48 + 15, atol=1e-9)


def test_a_slab_before_the_target_counts_with_its_sign() -> None:
    dense = WATER.copy()
    dense[:, 8:12] *= 1.25  # 12 mm, y from −34.5 to −22.5
    found = compare(dense)
    np.testing.assert_allclose(found.errors_mm, 3.0, atol=1e-5)
    assert found.mean_mm == pytest.approx(3.0) and found.p95_abs_mm == pytest.approx(3.0)
    assert compare(dense, 180.0).max_abs_mm == pytest.approx(0, abs=1e-6)  # behind the target
    light = (2 * WATER - dense).astype(np.float32)
    assert compare(light).mean_mm == pytest.approx(-3.0)
    assert compare(light).p95_abs_mm == pytest.approx(3.0)


def test_scaled_densities_are_wrong_by_their_percentage() -> None:
    found = compare((WATER * np.float32(1.02)).astype(np.float32), 25.0, sad=1500.0)
    np.testing.assert_allclose(found.errors_pct, 2.0, atol=1e-3)
    assert found.mean_pct == pytest.approx(2.0, abs=1e-3)
    assert found.share_beyond_margin(3.0, 1.0) == 0
    assert found.share_beyond_margin(1.9, 0.0) == 1


def test_a_lost_rim_of_the_body_is_a_range_error() -> None:
    smaller = WATER.copy()
    smaller[:, :5] = 0.0  # one voxel of skin, 3 mm
    assert WATER[:, 4].any() and not WATER[:, 3].any()
    np.testing.assert_allclose(compare(smaller).errors_mm, -3.0, atol=1e-6)


def test_half_the_rays_meet_a_half_slab() -> None:
    dense = WATER.copy()
    dense[:20, 8:12] *= 1.5  # x < 0: 6 mm more
    found = compare(dense)
    left, right = found.x_mm < -1, found.x_mm > 1
    np.testing.assert_allclose(found.map_mm[:, left][found.hit[:, left]], 6.0, atol=1e-5)
    np.testing.assert_allclose(found.map_mm[:, right][found.hit[:, right]], 0.0, atol=1e-5)
    assert found.share_beyond_margin() == pytest.approx(0.5, abs=0.06)
    assert (found.map_mm[~found.hit] == 0).all()


def test_the_distal_edge_of_dose_moves_with_the_density() -> None:
    engine, plan = make_plan(0.0)
    dense = BODY.copy()
    dense[:, 4:8] *= 1.25  # 12 mm before the target: 3 mm less range
    doses = [engine.recalculate(d, plan).array for d in (BODY, dense)]  # type: ignore[attr-defined]
    middle = tuple(n // 2 for n in BOX.shape)
    along_mm = BOX.spacing_mm[1] * np.arange(BOX.shape[1])
    before, after = (distal_depth_mm(along_mm, d[middle[0], :, middle[2]]) for d in doses)
    assert after - before == pytest.approx(-3.0, abs=0.3)


def test_scenarios_are_named_and_complete() -> None:
    names = [s.name for s in scenarios()]
    assert names == [
        "range +3 %",
        "range -3 %",
        "x +3 mm",
        "x -3 mm",
        "y +3 mm",
        "y -3 mm",
        "z +3 mm",
        "z -3 mm",
    ]
    assert len(scenarios(shift_mm=0)) == 2 and len(scenarios(range_pct=0)) == 6
    assert scenarios()[3].shift_mm == (-3.0, 0.0, 0.0)


def test_scenarios_move_the_dose_and_its_range() -> None:
    engine, plan = make_plan(0.0)
    chosen = [*scenarios(), Scenario(name="nothing")]
    doses = {k: v.array for k, v in recalculate_scenarios(engine, BODY, plan, chosen).items()}  # type: ignore[arg-type]
    nominal = doses["nothing"]
    assert (nominal == engine.recalculate(BODY, plan).array).all()  # type: ignore[attr-defined]
    # a shift of one voxel moves the dose by one voxel, away from the body's faces
    np.testing.assert_allclose(
        doses["x +3 mm"][15:40, 20:34, 10:20],
        nominal[14:39, 20:34, 10:20],
        atol=0.01 * nominal.max(),
    )
    far = [float(d[26, 30:, 15].sum()) for d in (doses["range +3 %"], nominal, doses["range -3 %"])]
    assert far[0] < far[1] < far[2]  # denser: shorter
    assert nominal[TARGET].mean() > doses["range +3 %"][TARGET].mean()


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(InputError, match="empty"):
        compare(WATER, target=np.zeros(GRID.shape, dtype=bool))
    with pytest.raises(GeometryError, match="shape"):
        compare(WATER, target=BALL[1:])
    with pytest.raises(InputError, match="inside the body"):
        compare_ranges(0 * WATER, WATER, GRID, target=BALL, frame=frame(0.0), label="G")
    with pytest.raises(InputError, match="no number"):
        compare(np.where(BALL, np.nan, WATER))
