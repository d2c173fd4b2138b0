"""Preflight: what is odd but possible is a warning or undetermined, never a refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.preflight import PreflightSettings, preflight
from tests import preflight_cases
from tests.ellipsoid_patient import loaded
from tests.preflight_cases import QUICK, check, status, with_spacing

# Fixtures, by the names that the tests ask for.
scans = preflight_cases.scans


def crop(scans, part):
    origin = tuple(scans.mr.grid.to_world([p.start for p in part]))
    grid = replace(scans.mr.grid, shape=scans.mr.array[part].shape, origin_mm=origin)
    mr = replace(scans.mr, array=scans.mr.array[part], grid=grid)
    return mr, replace(scans.ct, array=scans.ct.array[part], grid=grid), scans.body[part]


def test_a_crop_without_air_is_undetermined_and_not_refused(scans):
    mr, ct, _ = crop(scans, (slice(12, 28), slice(11, 21), slice(8, 20)))
    assert ct.array.min() > -400
    result = preflight(*loaded(mr, ct, np.ones(ct.array.shape, dtype=bool)), QUICK)
    assert not result.refused
    assert status(result)["hu_air"] == "undetermined"
    assert status(result)["hu_scale"] == "undetermined"
    assert status(result)["hu_soft_tissue"] == "ok"
    assert status(result)["mask_inverted"] == "ok"


def test_a_crop_without_air_and_intercept_is_refused(scans):
    mr, ct, _ = crop(scans, (slice(12, 28), slice(11, 21), slice(8, 20)))
    shifted = ct.with_array(ct.array + 1024)
    result = preflight(*loaded(mr, shifted, np.ones(ct.array.shape, dtype=bool)), QUICK)
    assert result.refused
    assert "rescale intercept" in result.reason


def test_padding_outside_a_round_field_of_view_is_no_fault(scans):
    array = scans.ct.array.copy()
    x, y = np.meshgrid(*[np.linspace(-1, 1, n) for n in array.shape[:2]], indexing="ij")
    array[x**2 + y**2 > 1.3] = -3024
    result = check(scans, ct=array)
    assert not result.refused
    assert result.values["hu_air"].value == pytest.approx(-1000, abs=15)


def test_lungs_and_a_mask_with_a_rim_are_no_fault(scans):
    array = scans.ct.array.copy()
    array[8:18, 10:22] = np.where(scans.body[8:18, 10:22], -820, array[8:18, 10:22])
    from scipy import ndimage

    result = check(scans, ct=array, mask=ndimage.binary_dilation(scans.body, iterations=2))
    assert not result.refused


def test_a_case_without_mask_is_undetermined_there(scans):
    result = check(scans, mask=None)
    assert not result.refused
    assert {status(result)[key] for key in ("mask", "mask_inside", "mask_inverted")} == {
        "undetermined"
    }


def test_a_reference_in_another_quantity_skips_the_hu_checks(scans):
    suv = np.where(scans.body, 1.2, 0) + 0.05 * scans.mr.array / 900
    result = check(scans, ct=suv, quantity="SUVbw")
    assert not result.refused
    assert not [key for key in result.values if key.startswith("hu_")]
    assert status(result)["modalities_swapped"] == "undetermined"
    assert result.values["suv_mean"].value == pytest.approx(suv[scans.body].mean())
    assert status(result)["suv_mean"] == "ok"


@pytest.mark.parametrize(
    ("factor", "expected"), [(1, "ok"), (0.05, "warning"), (8, "warning"), (5000, "refused")]
)
def test_a_pet_in_becquerels_is_no_pet_in_suv(scans, factor, expected):
    """A patient of 70 kg with 350 MBq has 5 kBq/ml, which is 1 SUVbw."""
    suv = np.where(scans.body, 1.2, 0) + 0.05 * scans.mr.array / 900
    result = check(scans, ct=factor * suv, quantity="SUVbw")
    assert status(result)["suv_mean"] == expected
    assert result.refused == (expected == "refused")
    if result.refused:
        assert "no PET in SUVbw" in result.reason


def test_no_pet_is_refused_for_its_place(scans):
    """The same shift refuses a CT; a PET and an MR share too little to be sure."""
    moved = np.roll(scans.ct.array, 3, axis=0)  # 3 voxels, beyond 10 mm
    settings = PreflightSettings(max_misalignment_mm=2.0)
    suv = np.clip((moved + 1000) / 1000, 0, 4)
    ct, pet = (
        check(scans, ct=array, quantity=quantity, settings=settings)
        for array, quantity in ((moved, "HU"), (suv, "SUVbw"))
    )
    assert status(ct)["alignment_shift"] == "refused"
    found = pet.values["alignment_shift"]
    assert (found.status, found.value) == ("undetermined", None) and not pet.refused
    assert "share too little to be sure" in found.why


def test_from_ct_to_mr_the_two_are_told_apart_as_well(scans):
    """The cohort takes its quantities from the volumes: here the source should be the CT."""
    ct, mr = replace(scans.ct, quantity="HU"), replace(scans.mr, quantity="arbitrary")
    sound = preflight(*loaded(ct, mr, scans.body), QUICK)
    assert not sound.refused and status(sound)["modalities_swapped"] == "ok"
    turned = preflight(
        *loaded(replace(mr, quantity="HU"), replace(ct, quantity="arbitrary"), scans.body), QUICK
    )
    assert turned.refused and "swapped: the reference holds HU" in turned.reason


def test_an_unusual_spacing_is_a_warning(scans):
    result = with_spacing(scans, (5.0, 5.0, 12.0))
    assert not result.refused
    assert status(result)["spacing"] == "warning"
    assert result.values["spacing"].value == 12.0


def test_anisotropy_is_a_warning(scans):
    result = with_spacing(scans, (0.5, 0.5, 6.0))
    assert status(result)["anisotropy"] == "warning"
    assert result.values["anisotropy"].value == pytest.approx(12)


def test_obliquity_is_recorded_in_degrees(scans):
    angle = np.radians(20)
    cos, sin = np.cos(angle), np.sin(angle)
    grid = replace(scans.mr.grid, direction=(cos, -sin, 0, sin, cos, 0, 0, 0, 1))
    mr, ct = replace(scans.mr, grid=grid), replace(scans.ct, grid=grid)
    result = preflight(*loaded(mr, ct, scans.body), QUICK)
    assert result.values["orientation"].value == pytest.approx(20)
    assert result.values["orientation"].status == "ok"


def test_a_repeated_and_a_blank_slice_are_named(scans):
    mr, ct = scans.mr.array.copy(), scans.ct.array.copy()
    mr[:, :, 10] = mr[:, :, 9]
    ct[:, :, 15] = -1000
    result = check(scans, mr=mr, ct=ct)
    assert not result.refused
    assert result.values["slices"].value == 2
    assert "source" in result.warnings["slices"]


def test_partial_coverage_is_a_warning_with_its_share(scans):
    ct = scans.ct.array.copy()
    ct[:, :, 11:] = -1000
    result = check(scans, ct=ct, mask=None)
    assert not result.refused
    assert status(result)["overlap"] == "warning"
    assert 0.2 < result.values["overlap"].value < 0.5


def test_metal_is_a_warning(scans):
    ct = scans.ct.array.copy()
    ct[18:22, 14:20, 10:20] = 3071
    result = check(scans, ct=ct)
    assert not result.refused
    assert status(result)["hu_saturated"] == "warning"


def test_frames_of_reference(scans):
    def framed(one, other):
        mr = replace(scans.mr, grid=replace(scans.mr.grid, frame_of_reference=one))
        ct = replace(scans.ct, grid=replace(scans.ct.grid, frame_of_reference=other))
        return preflight(*loaded(mr, ct, scans.body), QUICK)

    assert status(framed("1.2.3", "1.2.3"))["frame_of_reference"] == "ok"
    assert status(framed("1.2.3", None))["frame_of_reference"] == "undetermined"
    assert framed("1.2.3", "9.9").refused
