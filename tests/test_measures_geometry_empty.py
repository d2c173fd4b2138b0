"""Geometric fidelity of what can hardly be measured: a row with its reason, never a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.geometry import geometry
from qa_suite.metrics.geometry.positioning import OF_POSITIONING
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings
from qa_suite.metrics.geometry.source_alignment import OF_PLACE
from tests import geometry_cases
from tests.geometry_cases import CONTOURS, DEFAULT, LOCAL, NO_SOURCE, number, one, pair_of

# Fixtures, by the names that the tests ask for.
patient = geometry_cases.patient
clean = geometry_cases.clean
clean_rows = geometry_cases.clean_rows


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
