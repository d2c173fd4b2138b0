"""DVHs: closed answers in linear doses, properties, what is undefined, conformity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.conformity import conformity_of, isodose_volume_cc
from qa_suite.dose.dvh.curve import UndefinedDvh, dvh_of, dvhs_of
from qa_suite.dose.dvh.metrics import parse_metric, read_metric
from qa_suite.dose.structures.samples import MaskStructure, ShapeStructure
from qa_suite.dose.structures.structures import sample_labels, sample_structure
from tests.dose_solids import analytic, place_at_share, share_above, volume_mm3
from tests.dvh_cases import BASE_GY, GRID, ball, linear, places, uniform

# closed answers (after Nelms et al. 2015, Med Phys 42:4435: solids in linear doses)


@pytest.mark.parametrize("solid", ["sphere", "cylinder", "cone"])
@pytest.mark.parametrize("radius", [5.0, 8.0, 15.0, 24.0])
@pytest.mark.parametrize("axis", ["z", "x"])
def test_analytic_solids_in_a_gradient_of_1_gy_per_mm(solid, radius, axis):
    dvh = dvh_of(linear(axis), analytic(solid, radius))
    assert dvh.volume_cc == pytest.approx(volume_mm3(solid, radius) / 1000, rel=0.01)
    for pct in (98, 95, 50, 5, 2):
        exact = BASE_GY + place_at_share(solid, radius, pct / 100, axis)
        assert dvh.dose_at_volume_pct(pct) == pytest.approx(exact, abs=0.15), pct
    mean = BASE_GY - (7.5 if solid == "cone" and axis == "z" else 0.0)
    assert dvh.mean_gy == pytest.approx(mean, abs=0.02)
    for dose in (46.0, 50.0, 53.0):
        exact = 100 * share_above(solid, radius, dose - BASE_GY, axis)
        assert dvh.volume_at_dose_gy(dose)[0] == pytest.approx(exact, abs=0.7)


def test_the_curve_of_a_sphere_is_the_closed_one():
    doses, volumes = dvh_of(linear(), analytic("sphere", 15.0)).curve(0.5)
    exact = [100 * share_above("sphere", 15.0, dose - BASE_GY) for dose in doses]
    np.testing.assert_allclose(volumes, exact, atol=0.5)
    assert volumes[0] == 100
    assert volumes[-1] == 0
    assert (np.diff(volumes) <= 0).all()


def test_oblique_grids_give_the_same_answers():
    turn = np.deg2rad(25)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    middle = np.array([41.0, 40.2, 39.9])
    grid = Grid(
        shape=GRID.shape,
        spacing_mm=(3.0, 3.0, 3.0),
        origin_mm=tuple(axes @ -middle),
        direction=tuple(axes.ravel()),
    )
    dvh = dvh_of(linear("x", grid=grid), analytic("sphere", 12.0))
    exact = BASE_GY + place_at_share("sphere", 12.0, 0.95)
    assert dvh.dose_at_volume_pct(95) == pytest.approx(exact, abs=0.1)


def test_a_mask_is_the_union_of_its_voxels():
    grid = Grid(shape=(6, 6, 6), spacing_mm=(2.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:4, 2:4, 1:5] = True  # 8 mm long in z, from 1 to 9 mm
    dvh = dvh_of(linear(grid=grid), MaskStructure(name="box", mask=mask, grid=grid))
    assert dvh.volume_cc == pytest.approx(16 * 0.008)
    assert dvh.mean_gy == pytest.approx(BASE_GY + 5.0, abs=1e-5)
    for pct in (95, 50, 25):
        exact = BASE_GY + 9 - 8 * pct / 100
        assert dvh.dose_at_volume_pct(pct) == pytest.approx(exact, abs=0.01)
    assert dvh.volume_at_dose_gy(BASE_GY + 7)[1] == pytest.approx(0.032, rel=0.01)


@pytest.mark.parametrize("spacing", [1.0, 2.0, 5.0])
def test_masks_may_be_finer_or_coarser_than_the_dose(spacing):
    count = int(60 / spacing)
    grid = Grid(shape=(count,) * 3, spacing_mm=(spacing,) * 3, origin_mm=(-30.0,) * 3)
    dvh = dvh_of(linear(), ball(15.0, grid=grid))
    exact = BASE_GY + place_at_share("sphere", 15.0, 0.95)
    assert dvh.dose_at_volume_pct(95) == pytest.approx(exact, abs=0.6)


# properties


def test_a_uniform_dose_is_every_dose():
    dvh = dvh_of(uniform(20.0), ball(9.0))
    readings = [dvh.dose_at_volume_pct(p) for p in (0, 2, 50, 98, 100)]
    readings += [dvh.mean_gy, dvh.max_gy, dvh.min_gy, dvh.dose_at_volume_cc(0.03)]
    np.testing.assert_allclose(readings, 20.0, rtol=1e-6)
    assert dvh.homogeneity_index == pytest.approx(0, abs=1e-9)
    assert dvh.volume_at_dose_gy(20.0)[0] == pytest.approx(100)
    assert dvh.volume_at_dose_gy(20.01)[0] == 0


def test_plateaus_stay_exact():
    array = np.full(GRID.shape, 10.0, np.float32)
    array[14:] = 20.0
    dose = Volume(array=array, grid=GRID, quantity="Gy")
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[4:8, 4:8, 4:8] = mask[20:24, 4:8, 4:8] = True
    dvh = dvh_of(dose, MaskStructure(name="two", mask=mask, grid=GRID))
    assert dvh.dose_at_volume_pct(49) == pytest.approx(20.0, rel=1e-6)
    assert dvh.dose_at_volume_pct(51) == pytest.approx(10.0, rel=1e-6)
    assert dvh.volume_at_dose_gy(20.0)[0] == pytest.approx(50.0, abs=1e-6)
    assert dvh.mean_gy == pytest.approx(15.0, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.3, 3.0), seed=st.integers(0, 1000))
def test_doses_scale_and_stay_in_order(factor, seed):
    rng = np.random.default_rng(seed)
    dose = linear().with_array(rng.uniform(5, 60, GRID.shape).astype(np.float32))
    structure = sample_structure(ball(11.0), GRID)
    one = dvh_of(dose, structure)
    other = dvh_of(dose.with_array(dose.array * np.float32(factor)), structure)
    pcts = (0, 2, 30, 50, 95, 98, 100)
    doses = [one.dose_at_volume_pct(p) for p in pcts]
    assert doses == sorted(doses, reverse=True)
    scaled = [other.dose_at_volume_pct(p) for p in pcts]
    np.testing.assert_allclose(scaled, np.array(doses) * factor, rtol=1e-3)
    assert other.mean_gy == pytest.approx(one.mean_gy * factor, rel=1e-5)
    assert other.homogeneity_index == pytest.approx(one.homogeneity_index, abs=2e-3)
    assert one.min_gy <= one.mean_gy <= one.max_gy


def test_dose_and_volume_are_inverse():
    dvh = dvh_of(linear(), analytic("sphere", 12.0))
    for pct in (5, 30, 60, 95):
        assert dvh.volume_at_dose_gy(dvh.dose_at_volume_pct(pct))[0] == pytest.approx(pct, abs=0.1)
    assert dvh.dose_at_volume_cc(dvh.volume_cc / 2) == pytest.approx(dvh.dose_at_volume_pct(50))


def test_the_mean_of_a_union_is_the_weighted_mean():
    first, second = ball(9.0, (-15, 0, -6)), ball(12.0, (14, 0, 9))
    both = MaskStructure(name="both", mask=first.mask | second.mask, grid=GRID)
    one, two, union = (dvh_of(linear(), s) for s in (first, second, both))
    assert union.volume_cc == pytest.approx(one.volume_cc + two.volume_cc)
    mean = (one.mean_gy * one.volume_cc + two.mean_gy * two.volume_cc) / union.volume_cc
    assert union.mean_gy == pytest.approx(mean, abs=1e-4)


def test_many_at_once_and_labels_agree_with_one_by_one():
    first, second = ball(9.0, (-15, 0, -6), "a"), ball(12.0, (14, 0, 9), "b")
    labels = (first.mask * 2 + second.mask * 5).astype(np.int32)
    image = Volume(array=labels, grid=GRID, quantity="label")
    laid = sample_labels(image, {2: "a", 5: "b", 7: "none"}, GRID)
    for found in (dvhs_of(linear(), [first, second], threads=2), dvhs_of(linear(), laid.values())):
        for structure in (first, second):
            alone = dvh_of(linear(), structure)
            assert found[structure.name].dose_at_volume_pct(95) == alone.dose_at_volume_pct(95)
            assert found[structure.name].volume_cc == alone.volume_cc
    assert laid["none"].volume_cc == 0


def test_one_layout_serves_two_doses():
    structure = sample_structure(ball(11.0), GRID)
    reference = dvh_of(linear(), structure)
    synthetic = dvh_of(linear().with_array(linear().array + 2), structure)
    shift = {
        name: read_metric(synthetic, name, prescription_gy=50).value
        - read_metric(reference, name, prescription_gy=50).value
        for name in ("D95", "V50Gy", "HI")
    }
    assert shift["D95"] == pytest.approx(2.0, abs=1e-3)
    assert shift["V50Gy"] > 0 and shift["HI"] < 0


# what is undefined, and what is refused


def test_an_empty_structure_is_undefined():
    dvh = dvh_of(linear(), MaskStructure(name="e", mask=np.zeros(GRID.shape, bool), grid=GRID))
    reading = read_metric(dvh, "D95")
    assert reading.value is None
    assert reading.why == "e is empty"
    with pytest.raises(UndefinedDvh, match="e is empty"):
        _ = dvh.mean_gy


def test_outside_the_dose_grid_is_not_zero_dose():
    away = ShapeStructure(
        name="away",
        inside=lambda p: np.ones(len(p), bool),
        low_mm=(100.0, 0.0, 0.0),
        high_mm=(110.0, 10.0, 10.0),
    )
    dvh = dvh_of(linear(), away)
    assert dvh.coverage == 0
    assert dvh.volume_cc == pytest.approx(1.0)
    assert "0.0 % of away" in read_metric(dvh, "Dmin").why
    edge = GRID.to_world(np.array(GRID.shape) - 0.5)[0]
    half = ShapeStructure(
        name="half", inside=away.inside, low_mm=(edge - 5, 0.0, 0.0), high_mm=(edge + 5, 10.0, 10.0)
    )
    dvh = dvh_of(uniform(), half)
    assert dvh.coverage == pytest.approx(0.5, abs=0.02)
    assert read_metric(dvh, "D95").value is None
    assert dvh_of(uniform(), half, least_coverage=0.4).dose_at_volume_pct(98) == pytest.approx(20)


def test_the_whole_grid_is_covered():
    whole = MaskStructure(name="all", mask=np.ones(GRID.shape, bool), grid=GRID)
    assert dvh_of(linear(), whole).coverage == 1


def test_a_dose_that_is_not_finite_inside_is_refused_and_outside_not():
    array = linear().array.copy()
    array[0, 0, 0] = np.nan
    dose = linear().with_array(array)
    assert dvh_of(dose, ball(9.0)).mean_gy > 0
    with pytest.raises(InputError, match=r"not finite in .* % of all"):
        dvh_of(dose, MaskStructure(name="all", mask=np.ones(GRID.shape, bool), grid=GRID))


def test_cgy_is_not_gy():
    dose = linear().with_array(linear().array * 100)
    with pytest.raises(InputError, match="50 Gy are prescribed, a factor of 181"):
        dvh_of(dose, ball(9.0), prescription_gy=50)
    with pytest.raises(InputError, match="give it in Gy"):
        dvh_of(linear(), ball(9.0), prescription_gy=5000)
    with pytest.raises(InputError, match="needs a dose in Gy"):
        dvh_of(Volume(array=linear().array, grid=GRID, quantity="HU"), ball(9.0))


def test_other_frames_of_reference_are_refused():
    there = Grid(shape=(5, 5, 5), spacing_mm=(3, 3, 3), frame_of_reference="one")
    here = Grid(shape=(5, 5, 5), spacing_mm=(3, 3, 3), frame_of_reference="two")
    mask = MaskStructure(name="m", mask=np.ones((5, 5, 5), bool), grid=there)
    with pytest.raises(GeometryError, match="another frame of reference"):
        dvh_of(uniform(grid=here), mask)
    with pytest.raises(GeometryError, match="shape"):
        dvh_of(linear(), MaskStructure(name="m", mask=np.ones((5, 5, 4), bool), grid=GRID))


@pytest.mark.parametrize(
    ("text", "name", "unit"),
    [
        ("D95", "D95", "Gy"),
        ("d95%", "D95", "Gy"),
        ("D0.03cc", "D0.03cc", "Gy"),
        ("V20Gy", "V20Gy", "%"),
        ("V20Gy_cc", "V20Gy_cc", "cc"),
        ("V95%", "V95%", "%"),
        ("dmean", "Dmean", "Gy"),
        ("HI", "HI", "1"),
        ("Volume", "volume", "cc"),
    ],
)
def test_metric_names(text, name, unit):
    metric = parse_metric(text)
    assert (metric.name, metric.unit) == (name, unit)
    assert parse_metric(metric.name) == metric


@pytest.mark.parametrize("text", ["D", "V20", "D101", "D0cc", "X5", "", "D-5"])
def test_bad_metric_names_are_one_sentence(text):
    with pytest.raises(InputError):
        parse_metric(text)


def test_small_structures_have_no_dose_to_a_larger_volume():
    dvh = dvh_of(linear(), analytic("sphere", 5.0))
    assert read_metric(dvh, "D1cc").why == "sphere has 0.524 cc, less than 1 cc"
    assert read_metric(dvh, "V95%").why == "V95% needs the prescription in Gy"
    assert read_metric(dvh_of(uniform(0.0), ball(9.0)), "HI").value is None


# conformity


def falling(gy_per_mm=2.0, top=80.0):
    distance = np.sqrt((places() ** 2).sum(-1))
    array = np.maximum(top - gy_per_mm * distance, 0).astype(np.float32)
    return Volume(array=array, grid=GRID, quantity="Gy")


@pytest.mark.parametrize("radius", [12.0, 15.0, 18.0])
def test_conformity_of_concentric_balls(radius):
    isodose = 15.0  # mm, of 50 Gy
    found = conformity_of(falling(), analytic("sphere", radius), 50.0)
    target, volume = radius**3, isodose**3
    assert found.rtog == pytest.approx(volume / target, rel=0.04)
    paddick = min(target, volume) ** 2 / target / volume
    assert found.paddick == pytest.approx(paddick, rel=0.06)  # the grid blunts the dose's ball
    assert found.gradient_index == pytest.approx((27.5 / isodose) ** 3, rel=0.04)


def test_conformity_counts_in_its_region_only():
    target = analytic("sphere", 10.0)
    half = ShapeStructure(
        name="body", inside=lambda p: p[:, 2] <= 0, low_mm=(-35.0,) * 3, high_mm=(35.0,) * 3
    )
    whole, part = (conformity_of(falling(), target, 50.0, region=r) for r in (None, half))
    assert part.isodose_cc == pytest.approx(whole.isodose_cc / 2, rel=0.02)


def test_conformity_without_value_says_why():
    target = analytic("sphere", 10.0)
    assert conformity_of(falling(), target, 79.9).why == "nothing gets 79.9 Gy"
    assert "cut off at the edge" in conformity_of(uniform(50.0), target, 45.0).why
    assert isodose_volume_cc(falling(), 90.0) == 0
