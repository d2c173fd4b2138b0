"""Geometric fidelity: known motions, known contours, faults in HU, and empty cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import qa_suite.metrics.run as run
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.alignment import sampled_level
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.imaging.registration.rigid import rotation_matrix, score_and_slope, similarity
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.lab.phantom.candidates import realistic, twin
from qa_suite.metrics.base import NoValue, Pair
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.geometry import cbct, drr, geometry, images, reference_side
from qa_suite.metrics.geometry.contours import contour_distances
from qa_suite.metrics.geometry.local import (
    LocalShifts,
    local_shift_95,
    local_shift_median,
    local_shifts,
)
from qa_suite.metrics.geometry.positioning import OF_POSITIONING
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings
from qa_suite.metrics.geometry.source_alignment import OF_PLACE
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import estimate_alignment
from qa_suite.preflight.settings import PreflightSettings

SPACING = (6.0, 6.0, 8.0)
DEFAULT = GeometrySettings()
NO_SOURCE = GeometrySettings(source_alignment="off")
LOCAL_ONLY = GeometrySettings(
    source_alignment="off", positioning=PositioningSettings(cbct=False, drr=False)
)
CONTOURS = ("contour_distance", "contour_distance_95", "contour_bias")
LOCAL = ("local_shift_median", "local_shift_95")
VARIANTS = ("cbct", "drr")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "measures" / "geometry.md"


@pytest.fixture(scope="module")
def patient():
    return make_patient("A", 1, seed=1, spacing_mm=SPACING)


@pytest.fixture(scope="module")
def clean(patient):
    return oracle_translate(patient.ct_noise_free, seed=3)


@pytest.fixture(scope="module")
def clean_rows(patient, clean):
    return geometry(pair_of(patient, clean), DEFAULT)


def pair_of(patient, synthetic, **more) -> Pair:
    given = {"reference": patient.ct, "mask": patient.structures["Body"], "source": patient.mr}
    return Pair(synthetic=synthetic, **{**given, **more})


def one(rows, metric, variant="default", region="body"):
    (found,) = [r for r in rows if (r.metric, r.variant, r.region) == (metric, variant, region)]
    return found


def number(rows, metric, variant="default", region="body") -> float:
    found = one(rows, metric, variant, region)
    assert found.status == "ok", f"{metric} {variant} {region}: {found.why}"
    return found.value


_MOVED: dict = {}


def moved(patient, shift=(0.0, 0.0, 0.0), rotation=(0.0, 0.0, 0.0)) -> Volume:
    """The twin of a patient who lies elsewhere: sampled there, not interpolated."""
    key = (tuple(shift), tuple(rotation))
    if key not in _MOVED:
        grid, turn = patient.grid, rotation_matrix(np.radians(rotation))
        centre = grid.to_world(np.argwhere(patient.structures["Body"]).mean(axis=0))
        origin = turn.T @ (np.asarray(grid.origin_mm) - centre - shift) + centre
        axes = tuple((turn.T @ grid.axes).ravel())
        there = replace(grid, origin_mm=tuple(origin), direction=axes)
        truth = make_patient("A", 1, seed=1, grid=there).ct_noise_free
        _MOVED[key] = oracle_translate(replace(truth, grid=grid), seed=3)
    return _MOVED[key]


# --- the positioning test


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_clean_twin_is_set_up_where_the_reference_is(clean_rows, variant):
    assert number(clean_rows, "positioning_shift", variant) < 0.3
    assert number(clean_rows, "positioning_rotation", variant) < 0.2
    assert number(clean_rows, "positioning_truth_error", variant) < 0.5


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reference_itself_is_set_up_exactly(patient, variant):
    rows = geometry(pair_of(patient, patient.ct), NO_SOURCE)
    for metric in OF_POSITIONING:
        if metric != "positioning_truth_error":
            assert number(rows, metric, variant) == pytest.approx(0, abs=1e-9)
    for metric in (*CONTOURS, "contour_loss", "contour_gain"):
        assert number(rows, metric, region="seg:Body") == 0
    assert number(rows, "local_shift_95") == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("axis", "size"), [(0, 1.0), (1, -2.0), (2, 5.0), (0, 5.0)])
def test_a_known_shift_is_reported(patient, axis, size):
    shift = size * np.eye(3)[axis]
    rows = geometry(pair_of(patient, moved(patient, shift)), DEFAULT)
    for variant in VARIANTS:
        most = 0.3 if variant == "cbct" else 0.4
        found = [number(rows, f"positioning_{a}", variant) for a in "xyz"]
        np.testing.assert_allclose(found, shift, atol=most)
        assert number(rows, "positioning_shift", variant) == pytest.approx(abs(size), abs=most)
        assert number(rows, "positioning_rotation", variant) < most
    assert number(rows, "local_shift_median") == pytest.approx(abs(size), abs=0.3)
    assert number(rows, "excess_shift") == pytest.approx(abs(size), abs=0.5)
    assert number(rows, f"source_shift_{'xyz'[axis]}") == pytest.approx(size, abs=0.8)


@pytest.mark.parametrize(
    ("axis", "metric", "sign"),
    [(0, "positioning_pitch", 1), (1, "positioning_yaw", -1), (2, "positioning_roll", 1)],
)
def test_a_known_rotation_is_reported_about_the_iec_axes(patient, axis, metric, sign):
    rows = geometry(pair_of(patient, moved(patient, rotation=np.eye(3)[axis])), NO_SOURCE)
    for variant in VARIANTS:
        assert number(rows, metric, variant) == pytest.approx(sign, abs=0.2)
        assert number(rows, "positioning_rotation", variant) == pytest.approx(1, abs=0.2)
        assert number(rows, "positioning_shift", variant) < 0.3


FAULTS = {
    "bias": lambda a: a + 100,
    "scale": lambda a: (a + 1000) * 1.2 - 1000,
    "clipped bone": lambda a: np.minimum(a, 300),
    "no bone": lambda a: np.minimum(a, 80),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_hu_are_no_motion(patient, clean, fault):
    image = clean.with_array(FAULTS[fault](clean.array).astype(np.float32))
    rows = geometry(pair_of(patient, image), NO_SOURCE)
    assert number(rows, "positioning_shift", "cbct") < 0.35
    assert number(rows, "positioning_rotation", "cbct") < 0.3
    if fault != "no bone":  # two radiographs of soft tissue decide the shift along z less well
        assert number(rows, "positioning_shift", "drr") < 1.2


def test_an_oblique_grid_gives_the_same_answer_in_lps(patient, clean):
    """Axes permuted and flipped: the patient has not moved."""
    order = (2, 0, 1)
    step = np.array([-1, 1, -1])

    def turned(array):
        return np.ascontiguousarray(np.transpose(array, order)[::-1, :, ::-1])

    old = patient.grid
    shape = tuple(old.shape[a] for a in order)
    corner = np.zeros(3)
    for new, a in enumerate(order):
        corner[a] = old.shape[a] - 1 if step[new] < 0 else 0
    axes = np.stack([step[new] * old.axes[:, a] for new, a in enumerate(order)], axis=1)
    grid = Grid(
        shape=shape,
        spacing_mm=tuple(old.spacing_mm[a] for a in order),
        origin_mm=tuple(old.to_world(corner)),
        direction=tuple(axes.ravel()),
    )
    image = moved(patient, (5.0, 0.0, 0.0))
    plain = geometry(pair_of(patient, image), NO_SOURCE)
    oblique = Pair(
        reference=Volume(array=turned(patient.ct.array), grid=grid, quantity="HU"),
        synthetic=Volume(array=turned(image.array), grid=grid, quantity="HU"),
        mask=turned(patient.structures["Body"]),
    )
    rows = geometry(oblique, NO_SOURCE)
    for variant in VARIANTS:
        for a in "xyz":
            metric = f"positioning_{a}"
            expected = number(plain, metric, variant)
            assert number(rows, metric, variant) == pytest.approx(expected, abs=0.25)
    for metric in CONTOURS:
        for region in ("seg:Body", "seg:Bone"):
            expected, found = (one(r, metric, region=region) for r in (plain, rows))
            assert found.status == expected.status
            for field in ("value", "at_least", "at_most"):
                bound = getattr(expected, field)
                same = bound if bound is None else pytest.approx(bound, abs=0.01)
                assert getattr(found, field) == same


def test_the_answer_is_repeatable_and_the_day_belongs_to_the_reference(patient, clean):
    first = geometry(pair_of(patient, clean), NO_SOURCE)
    assert first == geometry(pair_of(patient, clean), NO_SOURCE)
    other = geometry(pair_of(patient, moved(patient, (5.0, 0.0, 0.0))), NO_SOURCE)
    for variant in VARIANTS:
        floor = number(first, "positioning_truth_error", variant)
        assert number(other, "positioning_truth_error", variant) == floor


def test_what_is_recalled_of_the_reference_changes_no_number(patient, clean):
    """Its day and its own registration are kept, but not beyond a change of what they rest on."""

    def rows(pair, settings=NO_SOURCE):
        return [
            (row.metric, row.variant, row.status, row.value)
            for row in geometry(pair, settings)
            if row.variant in VARIANTS
        ]

    own = patient.ct.with_array(patient.ct.array.copy())
    pair = pair_of(patient, clean, reference=own)
    smaller = pair.mask.copy()
    smaller[:, :, :3] = False
    tighter = GeometrySettings(
        source_alignment="off", positioning=PositioningSettings(max_shift_mm=4)
    )
    asked = [(pair, NO_SOURCE), (replace(pair, mask=smaller), NO_SOURCE), (pair, tighter)]
    alone = []
    for one_pair, settings in asked:
        reference_side._kept.clear()
        alone.append(rows(one_pair, settings))
    assert alone[0] != alone[1] and alone[0] != alone[2]
    assert [rows(*question) for question in asked] == alone
    assert rows(*asked[2]) == alone[2]  # now recalled
    before = rows(pair)
    own.array[pair.mask] += 40  # in place: the array is the same, and its values are not
    assert rows(pair) != before
    assert len(reference_side._kept) <= 2


def test_the_day_changes_with_the_settings_and_stays_within_them(patient):
    image = averaged(patient.ct.array, patient.grid)
    centre = np.zeros(3)
    days = [
        cbct.make_day(image, centre, PositioningSettings(max_shift_mm=s)) for s in (5.0, 4.0, 0.0)
    ]
    assert len({day.seed for day in days}) == 3
    for day, limit in zip(days, (5.0, 4.0, 0.0), strict=True):
        assert np.abs(day.offset.shift).max() <= limit
        assert np.abs(day.offset.vector_deg).max() <= 2.0 + 1e-9


def averaged(array, grid, window=(-500.0, 700.0), resolution=3.0):
    box = tuple(slice(0, n) for n in grid.shape)
    return images.averaged(array, grid, resolution_mm=resolution, window=window, box=box)


def test_radiographs_have_the_derivatives_that_differences_have(patient):
    image = averaged(patient.ct.array, patient.grid, (-1000.0, 3000.0))
    region = images.grown(patient.structures["Body"], image.grid, 10.0)
    centre = image.grid.to_world(np.argwhere(region).mean(axis=0))
    volume = drr.attenuation(image, region)
    rays = drr.make_rays(region, image, centre, 12.0, PositioningSettings())
    motion = RigidMotion(
        shift=np.array([1.0, -2.0, 0.7]), turn=rotation_matrix([0.01, 0.02, -0.015])
    )
    _, rows = drr.project(volume, rays, centre, motion, 2.0, slopes=True)
    for component in range(6):
        step = np.zeros(6)
        step[component] = 1e-3 if component < 3 else 1e-5
        ends = [
            drr.project(
                volume, rays, centre, motion.stepped(s * step[:3], s * step[3:]), 2.0, slopes=False
            )[0]
            for s in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * step[component])
        scale = np.abs(slope).max()
        assert np.median(np.abs(slope - rows[:, component])) < 1e-3 * scale


def test_a_radiograph_of_a_water_block_is_its_thickness():
    grid = Grid(shape=(60, 60, 60), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(-118.0,) * 3)
    array = np.full(grid.shape, -1000.0, np.float32)
    array[10:50, 15:45, :] = 0.0  # 160 mm from side to side, 120 mm from front to back
    image = images.Image(values=array, grid=grid)
    region = np.ones(grid.shape, bool)
    volume = drr.attenuation(image, region)
    rays = drr.make_rays(region, image, np.zeros(3), 4.0, PositioningSettings())
    values, _ = drr.project(volume, rays, np.zeros(3), RigidMotion(), 1.0, slopes=False)
    middle = np.abs(rays.place).max(axis=1) < 1e-6
    front, side = values[middle & (rays.view == 0)], values[middle & (rays.view == 1)]
    assert front / drr.WATER_PER_MM == pytest.approx(120, abs=0.5)
    assert side / drr.WATER_PER_MM == pytest.approx(160, abs=0.5)


def test_motions_are_inverted_and_chained():
    one_ = RigidMotion(shift=np.array([1.0, 2, 3]), turn=rotation_matrix([0.1, -0.2, 0.05]))
    back = one_.after(one_.inverse())
    np.testing.assert_allclose(back.shift, 0, atol=1e-12)
    np.testing.assert_allclose(back.turn, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(one_.vector_deg, np.degrees([0.1, -0.2, 0.05]), atol=1e-9)


# --- contours


def sphere_ct(radius_mm, grid, inside=40.0, centre=(0.0, 0.0, 0.0)):
    """A ball with an edge that is blurred evenly, so that the half value lies at the radius."""
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    depth = radius_mm - np.linalg.norm(place - np.asarray(centre), axis=-1)
    share = np.clip(0.5 + depth / 8.0, 0, 1)
    array = (-1000 + (inside + 1000) * share).astype(np.float32)
    return Volume(array=array, grid=grid, quantity="HU")


BALL = Grid(shape=(50, 50, 40), spacing_mm=(3.0, 3.0, 4.0), origin_mm=(-73.5, -73.5, -78.0))
THRESHOLD = -480.0  # half way between −1000 and 40


@pytest.mark.parametrize("growth", [-3.0, -0.5, 0.0, 0.7, 2.0, 5.0])
def test_a_ball_that_grew_has_that_contour_distance(growth):
    reference, synthetic = sphere_ct(50.0, BALL), sphere_ct(50.0 + growth, BALL)
    found = contour_distances(
        reference,
        synthetic,
        reference.array >= THRESHOLD,
        domain=np.ones(BALL.shape, bool),
        threshold=THRESHOLD,
        reach_mm=10.0,
    )
    assert not isinstance(found, NoValue)
    np.testing.assert_allclose(found.distance_mm, growth, atol=0.2)
    assert found.area_mm2.sum() == pytest.approx(
        4 * np.pi * 50**2, rel=0.1
    )  # of voxel steps: too large


def test_a_ball_that_moved_has_no_bias_and_half_the_shift():
    reference, synthetic = sphere_ct(50.0, BALL), sphere_ct(50.0, BALL, centre=(4.0, 0.0, 0.0))
    found = contour_distances(
        reference,
        synthetic,
        reference.array >= THRESHOLD,
        domain=np.ones(BALL.shape, bool),
        threshold=THRESHOLD,
        reach_mm=10.0,
    )
    assert found.distance_mm @ found.area_mm2 / found.area_mm2.sum() == pytest.approx(0, abs=0.2)
    mean = np.abs(found.distance_mm) @ found.area_mm2 / found.area_mm2.sum()
    assert mean == pytest.approx(2.0, abs=0.15)  # mean of |4 cos θ| over the sphere


def test_distances_are_cut_off_at_the_reach():
    reference = sphere_ct(40.0, BALL)
    for other, expected in ((sphere_ct(70.0, BALL), 10.0), (sphere_ct(12.0, BALL), -10.0)):
        found = contour_distances(
            reference,
            other,
            reference.array >= THRESHOLD,
            domain=np.ones(BALL.shape, bool),
            threshold=THRESHOLD,
            reach_mm=10.0,
        )
        np.testing.assert_allclose(found.distance_mm, expected)


def test_bone_that_lost_its_rim_has_a_negative_bias(patient, clean):
    bone = clean.array >= 250
    thin = ndimage.binary_erosion(bone)
    array = np.where(bone & ~thin, 50, clean.array).astype(np.float32)
    rows = geometry(pair_of(patient, clean.with_array(array)), NO_SOURCE)
    bias = one(rows, "contour_bias", region="seg:Bone")
    assert bias.status == "censored" and bias.at_least is None and bias.at_most < -2
    assert number(rows, "contour_unmatched", region="seg:Bone") > 50
    assert abs(number(rows, "contour_bias", region="seg:Body")) < 0.2


def test_the_twin_has_contours_far_below_a_voxel(clean_rows):
    assert number(clean_rows, "contour_distance", region="seg:Body") < 0.15
    assert number(clean_rows, "contour_distance", region="seg:Bone") < 0.5


# --- local shifts


def test_a_part_that_moved_is_seen_by_the_percentile_and_not_by_the_median(patient, clean):
    image = averaged(clean.array, patient.grid)
    left = averaged(ndimage.shift(clean.array, (4 / 6, 0, 0), order=3), patient.grid)
    mixed = image.values.copy()
    part = slice(0, 26)
    mixed[part] = left.values[part]
    reference = averaged(patient.ct.array, patient.grid)
    found = local_shifts(
        reference,
        images.Image(values=mixed, grid=image.grid),
        patient.structures["Body"],
        block_mm=36.0,
        reach_mm=12.0,
    )
    assert local_shift_median(found) < 1.0
    assert local_shift_95(found) == pytest.approx(4, abs=0.8)


def test_a_shift_beyond_the_reach_is_at_least_the_reach(patient, clean):
    image = ndimage.shift(clean.array, (15 / 6, 0, 0), order=3, mode="nearest")
    rows = geometry(pair_of(patient, clean.with_array(image)), NO_SOURCE)
    for metric in LOCAL:
        found = one(rows, metric)
        assert (found.status, found.value, found.at_least) == ("censored", None, 12)
    assert number(rows, "positioning_x", "cbct") == pytest.approx(15, abs=0.4)


@pytest.mark.parametrize("maker", [twin, realistic], ids=["twin", "realistic"])
def test_a_part_beyond_the_reach_is_never_a_small_shift(patient, maker):
    """A third of the image moved so far that hardly a block of it can be found again."""
    image = maker(patient, 5).array

    def moved(mm: float) -> np.ndarray:
        far = ndimage.shift(image, (mm / SPACING[0], 0, 0), order=1, mode="nearest")
        part = image.shape[2] // 3
        return np.concatenate([far[:, :, :part], image[:, :, part:]], axis=2)

    clean = one(geometry(pair_of(patient, patient.ct.with_array(image)), LOCAL_ONLY), LOCAL[1])
    assert clean.status == "ok" and clean.value < 4
    for mm in (15, 30, 45):
        pair = pair_of(patient, patient.ct.with_array(moved(mm)))
        found = one(geometry(pair, LOCAL_ONLY), LOCAL[1])
        assert found.status == "censored", (mm, found.value)
        assert 0 <= found.at_least <= 12
        assert "reach" in found.why or "not found again" in found.why


def shifts(sizes, *, lost: int = 0, unsharp: int = 0, far: tuple = ()) -> LocalShifts:
    return LocalShifts(
        shift_mm=np.zeros((len(sizes), 3)),
        size_mm=np.array(sizes, dtype=float),
        centre_index=np.zeros((len(sizes), 3)),
        in_body=50,
        reach_mm=12.0,
        lost=lost,
        far_mm=np.array(far, dtype=float),
        with_structure=len(sizes) + lost + unsharp + len(far),
    )


def test_a_percentile_that_may_lie_among_lost_blocks_is_a_bound():
    """Of 20 blocks the 95th percentile is the 19th, and the median the 10th."""
    ordered = [float(n) for n in range(1, 21)]
    assert local_shift_95(shifts(ordered)) == 19
    assert local_shift_95(shifts(ordered[:19], lost=1)) == 19  # of the 19: 0.95 * 19 = 18.05
    two = local_shift_95(shifts(ordered[:18], lost=2))
    assert (two.at_least, two.at_most) == (17, None)  # with both at 0 it is the 17th of the 18
    assert "2 of 20 blocks with structure were not found again" in two.why
    assert local_shift_median(shifts(ordered[:18], lost=2)) == 9
    half = local_shift_median(shifts(ordered[:8], lost=12))
    assert half.at_least == 0  # were none of the 12 moved, the 10th were one of them
    # of 40 blocks, 19 whose shift is not known sharply go by the 19 that are
    assert local_shift_95(shifts(ordered[:19], lost=2, unsharp=19)) == 19
    proven = local_shift_95(shifts([1.0] * 15 + [np.inf] * 3, lost=2))
    assert proven.at_least == 12 and "beyond the reach" in proven.why


def test_far_blocks_decide_where_they_are_a_part_of_the_body():
    """Of 40 blocks two may lie beyond the 95th percentile."""
    near = [float(n) / 10 for n in range(1, 21)]
    assert local_shift_95(shifts(near, unsharp=20)) == 1.9
    assert local_shift_95(shifts(near, unsharp=18, far=(9, 9))) == 1.9
    assert local_shift_95(shifts(near, unsharp=17, far=(9, 9, 9))) == 9
    assert local_shift_95(shifts(near, unsharp=17, far=(9, 9, np.inf))) == 9
    assert local_shift_95(shifts(near, unsharp=17, far=(np.inf,) * 3)).at_least == 12


def test_a_structure_that_is_gone_is_no_local_shift(patient, clean):
    without_bone = clean.with_array(np.minimum(clean.array, 80))
    assert number(geometry(pair_of(patient, without_bone), NO_SOURCE), "local_shift_95") < 1.5
    without_muscle = clean.with_array(np.minimum(clean.array, -50))
    found = one(geometry(pair_of(patient, without_muscle), NO_SOURCE), "local_shift_95")
    assert found.status == "undefined" and "found again" in found.why


# --- in place with the source


def test_quick_and_full_agree_and_full_is_preflights(patient):
    image = moved(patient, (5.0, 0.0, 0.0))
    off = PositioningSettings(cbct=False, drr=False)
    settings = GeometrySettings(local_shift=False, positioning=off)
    full_settings = settings.model_copy(update={"source_alignment": "full"})
    quick, full = (
        geometry(pair_of(patient, image, reference=image), s) for s in (settings, full_settings)
    )
    known = estimate_alignment(patient.mr, image, body=patient.structures["Body"])
    assert number(full, "source_shift") == pytest.approx(known.distance_mm)
    assert number(full, "source_rotation") == pytest.approx(known.angle_deg)
    shift = [number(quick, f"source_shift_{a}") for a in "xyz"]
    np.testing.assert_allclose(shift, known.shift_mm, atol=0.6)
    assert number(full, "excess_shift") == 0


def test_the_slope_of_the_similarity_is_that_by_differences(patient):
    region = patient.structures["Body"]
    level = sampled_level(patient.mr, patient.ct, region, 6.0, PreflightSettings())
    motion = np.array([1.0, 2.0, -1.0, 0.5, 0.7, -0.3])
    level = replace(level, by_overlap=False, rotation_sd_deg=1e6)
    value, slope = score_and_slope(level, motion)
    assert value == pytest.approx(similarity(level, motion)[0] - 1, abs=1e-9)
    step = 1e-3 * np.eye(6)
    by_difference = [
        (score_and_slope(level, motion + s)[0] - score_and_slope(level, motion - s)[0]) / 2e-3
        for s in step
    ]
    np.testing.assert_allclose(slope, by_difference, atol=2e-4)


def test_a_quick_shift_beyond_its_search_is_at_least_its_reach(patient, clean):
    image = ndimage.shift(clean.array, (0, 24 / 6, 0), order=1, mode="nearest")
    rows = geometry(pair_of(patient, clean.with_array(image)), DEFAULT)
    found = one(rows, "source_shift")
    assert (found.status, found.at_least) == ("censored", 15) or found.value < 15


# --- empty cases


def undefined_everywhere(rows, metrics, why):
    chosen = [r for r in rows if r.metric in metrics]
    assert chosen
    assert {(r.status, r.value) for r in chosen} == {("undefined", None)}
    assert all(why in r.why for r in chosen), {r.why for r in chosen}


def test_every_case_has_the_same_rows(patient, clean, clean_rows):
    keys = [(r.metric, r.region, r.variant) for r in clean_rows]
    assert len(set(keys)) == len(keys)
    assert {k[0] for k in keys} == {e.name for e in METRICS if e.facts.family == "geometry"}
    nothing = np.zeros(patient.grid.shape, dtype=bool)
    cases = [
        pair_of(patient, clean, mask=nothing),
        pair_of(patient, clean, source=None),
        pair_of(patient, clean.with_array(np.full_like(clean.array, np.nan))),
        pair_of(patient, clean.with_array(np.full_like(clean.array, -1000))),
        pair_of(patient, replace(clean, quantity="arbitrary")),
    ]
    for case in cases:
        found = geometry(case, DEFAULT)
        assert sorted((r.metric, r.region, r.variant) for r in found) == sorted(keys)


def test_a_mask_of_zeros(patient, clean):
    nothing = np.zeros(patient.grid.shape, dtype=bool)
    rows = geometry(pair_of(patient, clean, mask=nothing), DEFAULT)
    undefined_everywhere(rows, {r.metric for r in rows}, "the mask is empty")


def test_no_source_image(patient, clean, clean_rows):
    rows = geometry(pair_of(patient, clean, source=None), DEFAULT)
    undefined_everywhere(rows, OF_PLACE, "no source image")
    assert number(rows, "positioning_x", "cbct") == number(clean_rows, "positioning_x", "cbct")


@pytest.mark.parametrize("level", [-1000.0, 20.0])
def test_a_constant_synthetic_image(patient, clean, level):
    rows = geometry(pair_of(patient, clean.with_array(np.full_like(clean.array, level))), DEFAULT)
    undefined_everywhere(rows, OF_POSITIONING, "constant")
    undefined_everywhere(rows, LOCAL, "blocks")
    undefined_everywhere(rows, OF_PLACE, "too little data")
    bone = [r for r in rows if r.region == "seg:Bone"]
    undefined_everywhere(bone, CONTOURS, "does not have it")
    if level < -500:
        body = [r for r in rows if r.region == "seg:Body"]
        undefined_everywhere(body, CONTOURS, "does not have it")


def test_a_synthetic_image_of_noise_is_set_up_nowhere(patient, clean):
    noise = np.random.default_rng(0).normal(20, 12, clean.array.shape).astype(np.float32)
    rows = geometry(pair_of(patient, clean.with_array(noise)), NO_SOURCE)
    undefined_everywhere(rows, OF_POSITIONING, "registration to the synthetic image")
    undefined_everywhere(rows, LOCAL, "blocks")


def test_a_reference_without_bone(patient, clean):
    soft = patient.ct.with_array(np.minimum(patient.ct.array, 100))
    rows = geometry(pair_of(patient, clean, reference=soft), NO_SOURCE)
    bone = [r for r in rows if r.region == "seg:Bone"]
    undefined_everywhere(bone, CONTOURS, "the reference does not have it")
    assert one(rows, "contour_distance", region="seg:Body").status == "ok"


@pytest.mark.parametrize("who", ["reference", "synthetic", "source"])
def test_voxels_that_are_not_finite_are_errors(patient, clean, who):
    pair = pair_of(patient, clean)
    volume = getattr(pair, who)
    array = volume.array.copy()
    array[30, 25, 10] = np.nan
    rows = geometry(replace(pair, **{who: volume.with_array(array)}), DEFAULT)
    for row in rows:
        if row.metric in OF_PLACE or who != "source":
            assert (row.status, row.value) == ("error", None), row
            assert "not finite" in row.why
        else:
            assert row.status != "error"


def test_images_that_are_not_in_hu(patient, clean):
    rows = geometry(pair_of(patient, replace(clean, quantity="arbitrary")), DEFAULT)
    undefined_everywhere(rows, {*CONTOURS, *LOCAL, *OF_POSITIONING}, "needs HU")
    assert one(rows, "source_shift").status == "ok"


@pytest.mark.parametrize("noise_hu", [3.0, 20.0])
def test_a_cylinder_says_nothing_along_its_axis(noise_hu):
    """The shift along it is undetermined, however much noise there is to hold on to."""
    grid = Grid(shape=(60, 60, 30), spacing_mm=(4.0, 4.0, 5.0), origin_mm=(-118, -118, -72.5))
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    depth = 80.0 - np.hypot(place[..., 0], place[..., 1])
    rng = np.random.default_rng(2)
    plain = -1000 + 1040 * np.clip(0.5 + depth / 8, 0, 1)
    images_ = [
        Volume(
            array=(plain + rng.normal(0, noise_hu, grid.shape)).astype(np.float32),
            grid=grid,
            quantity="HU",
        )
        for _ in range(2)
    ]
    pair = Pair(reference=images_[0], synthetic=images_[1], mask=depth > 0)
    rows = geometry(pair, DEFAULT)
    for metric in ("positioning_z", "positioning_shift", "positioning_truth_error"):
        found = one(rows, metric, "cbct")
        assert found.status == "undefined", found.value
        assert "too little structure along: z" in found.why
        assert one(rows, metric, "drr").status == "undefined"
    assert abs(number(rows, "positioning_x", "cbct")) < 0.3
    assert abs(number(rows, "positioning_y", "cbct")) < 0.3
    assert one(rows, "local_shift_95").status == "undefined"


def test_few_slices_are_enough_or_said_to_be_too_few(patient, clean):
    def cut(volume, n):
        array = np.ascontiguousarray(volume.array[..., 8 : 8 + n])
        return Volume(array=array, grid=replace(volume.grid, shape=array.shape), quantity="HU")

    for count in (1, 2, 3, 5):
        mask = patient.structures["Body"][..., 8 : 8 + count]
        pair = Pair(reference=cut(patient.ct, count), synthetic=cut(clean, count), mask=mask)
        rows = geometry(pair, DEFAULT)
        shift = one(rows, "positioning_shift", "cbct")
        assert shift.status == "undefined" or shift.value < 0.5
        assert all(r.status != "error" for r in rows)


def test_what_the_reference_does_not_cover_takes_no_part(patient, clean):
    array = patient.ct.array.copy()
    array[..., 18:] = -1000  # padded: the scan ended here
    coverage = np.zeros(patient.grid.shape, bool)
    coverage[..., :18] = True
    mask = patient.structures["Body"] & coverage
    reference = patient.ct.with_array(array)
    rows = geometry(
        pair_of(patient, clean, reference=reference, mask=mask, coverage=coverage), NO_SOURCE
    )
    assert number(rows, "positioning_shift", "cbct") < 0.5
    assert number(rows, "contour_distance", region="seg:Body") < 0.2


def test_radiographs_of_a_patient_who_is_cut_are_no_evidence(patient, clean):
    mask = patient.structures["Body"].copy()
    mask[37:] = False
    rows = geometry(pair_of(patient, clean, mask=mask), NO_SOURCE)
    found = one(rows, "positioning_x", "drr")
    assert found.status == "undefined" and "cuts the patient" in found.why
    assert abs(number(rows, "positioning_x", "cbct")) < 0.3


def test_parts_that_are_switched_off_keep_their_rows(patient, clean):
    off = GeometrySettings(
        source_alignment="off",
        local_shift=False,
        positioning=PositioningSettings(cbct=False, drr=False),
    )
    rows = geometry(pair_of(patient, clean), off)
    undefined_everywhere(rows, {*OF_PLACE, *LOCAL, *OF_POSITIONING}, "switched off")
    assert number(rows, "contour_distance", region="seg:Body") < 0.2


def test_the_variants_are_described_in_the_record():
    variants = run.variants_of(MeasureSettings())
    assert variants["cbct"]["max_shift_mm"] == 5.0
    assert variants["drr"]["axis_distance_mm"] == 1000.0


def test_every_metric_stands_on_the_page_with_its_facts():
    text = DOCS.read_text()
    for entry in METRICS:
        if entry.facts.family == "geometry":
            assert f"`{entry.name}`" in text, entry.name
