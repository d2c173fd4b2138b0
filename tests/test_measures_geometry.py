"""Geometric fidelity: known motions, wrong HU that are none, and the place of the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import qa_suite.metrics.run as run
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.alignment import sampled_level
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.imaging.registration.rigid import rotation_matrix, score_and_slope, similarity
from qa_suite.metrics.base import Pair
from qa_suite.metrics.geometry import cbct, drr, geometry, images, reference_side
from qa_suite.metrics.geometry.positioning import OF_POSITIONING
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import estimate_alignment
from qa_suite.preflight.settings import PreflightSettings
from tests import geometry_cases
from tests.geometry_cases import CONTOURS, DEFAULT, NO_SOURCE, averaged, moved, number, one, pair_of

# Fixtures, by the names that the tests ask for.
patient = geometry_cases.patient
clean = geometry_cases.clean
clean_rows = geometry_cases.clean_rows

VARIANTS = ("cbct", "drr")


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


# --- the record


def test_the_variants_are_described_in_the_record():
    variants = run.variants_of(MeasureSettings())
    assert variants["cbct"]["max_shift_mm"] == 5.0
    assert variants["drr"]["axis_distance_mm"] == 1000.0
