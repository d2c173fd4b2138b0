"""DVHs: closed answers in linear doses, contours with caps, properties, and what is undefined."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.cli import run
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.conformity import conformity_of, isodose_volume_cc
from qa_suite.dose.dvh.curve import UndefinedDvh, dvh_of, dvhs_of
from qa_suite.dose.dvh.metrics import parse_metric, read_metric
from qa_suite.dose.structures.contour_loops import cut_keyholes, nesting
from qa_suite.dose.structures.samples import MaskStructure, ShapeStructure
from qa_suite.dose.structures.structures import sample_labels, sample_structure, sample_structures
from qa_suite.io.images import write_image
from qa_suite.io.rt.structures import Structure
from tests.dicom_factory import write_structures
from tests.dose_solids import (
    DRAWN,
    analytic,
    circle,
    drawn,
    place_at_share,
    share_above,
    sphere,
    volume_mm3,
)

GRID = Grid(shape=(28, 28, 28), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(-40.1, -39.3, -40.6))
BASE_GY = 50.0


def places(grid=GRID):
    return grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))


def linear(axis="z", gy_per_mm=1.0, grid=GRID):
    """A dose of 50 Gy in the origin and a constant gradient."""
    along = places(grid)[..., "xyz".index(axis)]
    array = (BASE_GY + gy_per_mm * along).astype(np.float32)
    return Volume(array=array, grid=grid, quantity="Gy")


def uniform(value=20.0, grid=GRID):
    return Volume(array=np.full(grid.shape, value, np.float32), grid=grid, quantity="Gy")


def ball(radius, centre=(0.0, 0.0, 0.0), name="ball", grid=GRID):
    inside = ((places(grid) - np.array(centre)) ** 2).sum(-1) <= radius**2
    return MaskStructure(name=name, mask=inside, grid=grid)


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


# contours


@pytest.mark.parametrize("solid", sorted(DRAWN))
@pytest.mark.parametrize(("radius", "bound"), [(5.0, 0.03), (15.0, 0.01), (24.0, 0.01)])
@pytest.mark.parametrize("step", [2.0, 2.5, 3.0])
def test_contours_with_caps_have_their_volume(solid, radius, bound, step):
    for offset in np.arange(0, 1, 0.25) * step:
        structure, volume = drawn(solid, radius, step, offset)
        found = sample_structure(structure, GRID).volume_cc * 1000
        assert found == pytest.approx(volume, rel=bound), offset


@pytest.mark.parametrize("solid", ["sphere", "cylinder across", "cylinder within"])
@pytest.mark.parametrize("step", [2.0, 3.0])
def test_contours_have_their_d95_across_the_gradient(solid, step):
    structure, _ = drawn(solid, 5.0, step, 0.4)
    axis = "z" if solid == "sphere" else "y"
    kind = solid.split()[0]
    exact = BASE_GY + place_at_share(kind, 5.0, 0.95, "z" if kind == "sphere" else "x")
    assert dvh_of(linear(axis), structure).dose_at_volume_pct(95) == pytest.approx(exact, abs=0.2)


def test_a_flat_ellipsoid_keeps_its_volume():
    contours = []
    for z in np.arange(-7, 8) * 2.0:
        share = 1 - (z / 15) ** 2
        contours.append(circle(1, z) * (30 * np.sqrt(share), 12 * np.sqrt(share), 1))
    structure = Structure(name="e", kind="", contours=tuple(contours))
    volume = 4 / 3 * np.pi * 30 * 12 * 15 / 1000
    assert sample_structure(structure, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def test_a_step_does_not_overshoot():
    contours = [circle(5.0, z) for z in range(0, 12, 3)]
    contours += [circle(20.0, z) for z in range(12, 24, 3)]
    structure = Structure(name="mushroom", kind="", contours=tuple(contours))
    samples = sample_structure(structure, GRID)
    where = samples.grid.to_world(np.argwhere(samples.weights > 0.5))
    assert np.hypot(where[:, 0], where[:, 1]).max() < 20.6
    assert where[:, 2].min() > -2.0
    assert where[:, 2].max() < 23.0


def test_holes_and_keyholes_are_empty_and_hollow_balls_closed():
    outer, _ = sphere(20.0, 2.0, 0.3)
    inner, _ = sphere(10.0, 2.0, 0.3)
    shell = Structure(name="shell", kind="", contours=tuple(outer + inner))
    volume = 4 / 3 * np.pi * (20**3 - 10**3) / 1000
    assert sample_structure(shell, GRID).volume_cc == pytest.approx(volume, rel=0.01)
    keyed = [_keyhole(a, next((b for b in inner if b[0, 2] == a[0, 2]), None)) for a in outer]
    keyhole = Structure(name="shell", kind="", contours=tuple(keyed))
    assert sample_structure(keyhole, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def _keyhole(outer, inner):
    if inner is None:
        return outer
    return np.concatenate([outer, outer[:1], inner[:1], inner[:0:-1], inner[:1]])


def test_keyholes_are_cut_into_outline_and_hole():
    outer = np.array([(0, 0), (9, 0), (9, 9), (0, 9)], dtype=float)
    inner = np.array([(3, 3), (3, 6), (6, 6), (6, 3)], dtype=float)
    loops = cut_keyholes(np.concatenate([outer, outer[:1], inner, inner[:1]]))
    assert sorted(len(loop) for loop in loops) == [4, 4]
    assert sorted(nesting(loops)) == [0, 1]
    assert cut_keyholes(outer)[0] is outer
    assert cut_keyholes(np.array([(0, 0), (5, 0), (0, 0), (5, 0)], dtype=float)) == []


def test_branches_end_one_by_one():
    contours = [circle(6.0, z, (x, 0.0)) for x in (-15.0, 15.0) for z in range(0, 15, 3)]
    contours += [circle(6.0, z, (15.0, 0.0)) for z in range(15, 30, 3)]
    structure = Structure(name="kidneys", kind="", contours=tuple(contours))
    volume = np.pi * 36 * (15 + 30) / 1000  # flat ends, half a slice beyond
    assert sample_structure(structure, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def test_wide_gaps_are_left_and_single_ones_bridged():
    def of(places):
        contours = tuple(circle(8.0, float(z)) for z in places)
        return sample_structure(Structure(name="s", kind="", contours=contours), GRID)

    area = np.pi * 64 / 1000
    bridged = of([0, 3, 6, 12, 15])
    assert bridged.volume_cc == pytest.approx(area * 18, rel=0.01)
    assert bridged.notes == ("1 gap between its planes interpolated",)
    parted = of([0, 3, 6, 15, 18])
    assert parted.volume_cc == pytest.approx(area * 15, rel=0.01)
    assert parted.notes == ("1 gap between its planes too wide, left empty",)


def test_a_single_plane_needs_a_thickness():
    one = Structure(name="node", kind="", contours=(circle(8.0, 0.0),))
    with pytest.raises(InputError, match="one plane only"):
        sample_structure(one, GRID)
    assert sample_structure(one, GRID, slice_mm=3.0).volume_cc == pytest.approx(
        np.pi * 64 * 3 / 1000, rel=0.01
    )
    other, _ = drawn("sphere", 12.0, 2.5, 0.0)
    found = sample_structures([one, other], GRID)["node"]
    assert found.volume_cc == pytest.approx(np.pi * 64 * 2.5 / 1000, rel=0.01)


def test_contours_oblique_to_the_patient_are_filled_in_their_own_planes():
    structure, volume = drawn("sphere", 15.0, 2.5, 0.5)
    turn = np.deg2rad(30)
    axes = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    tilted = Structure(name="s", kind="", contours=tuple(c @ axes.T for c in structure.contours))
    dvh = dvh_of(linear(), tilted)
    assert dvh.volume_cc * 1000 == pytest.approx(volume, rel=0.01)
    exact = BASE_GY + place_at_share("sphere", 15.0, 0.95)
    assert dvh.dose_at_volume_pct(95) == pytest.approx(exact, abs=0.1)


def test_contours_that_are_not_flat_are_refused():
    bent = circle(8.0, 0.0) + np.array([0, 0, 1]) * np.linspace(0, 9, 96)[:, None]
    structure = Structure(name="s", kind="", contours=(bent,))
    with pytest.raises(InputError, match="not flat"):
        sample_structure(structure, GRID)
    found = dvhs_of(linear(), [structure, ball(9.0)])  # and stop no other
    assert "not flat" in read_metric(found["s"], "volume").why
    assert found["ball"].mean_gy > 0


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


# the command


def test_the_command(tmp_path, capsys):
    write_image(linear(), tmp_path / "dose.nii.gz")
    image = Volume(array=ball(9.0).mask.astype(np.int32), grid=GRID, quantity="label")
    write_image(image, tmp_path / "ptv.nii.gz")
    contours, _ = sphere(10.0, 2.5, 0.5)
    write_structures(tmp_path / "rs.dcm", {"S": contours, "Empty": []})
    (tmp_path / "goals.yaml").write_text(
        '- {structure: S, goal: "D95 >= 80 %", source: local}\n'
        '- {structure: Absent, goal: "Dmean <= 9 Gy", source: local}\n'
    )
    arguments = [str(tmp_path / name) for name in ("dose.nii.gz", "ptv.nii.gz", "rs.dcm")]
    options = [
        "--prescription-gy",
        "50",
        "--metrics",
        "D95,V95%",
        "--json",
        "--goals",
        str(tmp_path / "goals.yaml"),
        "--curves",
        str(tmp_path / "c.csv"),
    ]
    assert run(["dvh", *arguments, *options]) == 3
    data = json.loads(capsys.readouterr().out)
    values = {(row["structure"], row["metric"]): row["value"] for row in data["metrics"]}
    exact = BASE_GY + place_at_share("sphere", 10.0, 0.95)
    assert values["S", "D95"] == pytest.approx(exact, abs=0.1)
    assert values["Empty", "D95"] is None
    assert [goal["met"] for goal in data["goals"]] == [True, None]
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0] == "structure,dose_gy,volume_pct,remark"
    assert lines[1] == "ptv,0,100,"
    assert run(["dvh", *arguments, "--structure", "s", "--metrics", "D95"]) == 2
    assert "Unknown structure 's'; known: Empty, S, ptv." in capsys.readouterr().err
