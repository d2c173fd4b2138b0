"""Preflight: every planted fault is named and refused, and its clean twin is let through."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.imaging.body import ct_body
from qa_suite.preflight import PreflightSettings, preflight
from tests import preflight_cases
from tests.ellipsoid_patient import loaded
from tests.preflight_cases import QUICK, check, with_spacing

# Fixtures, by the names that the tests ask for.
scans = preflight_cases.scans


# ---------------------------------------------------------------------------------------
# The clean twin


def test_a_sound_case_passes_with_every_value(scans):
    result = check(scans, settings=PreflightSettings())
    assert not result.refused
    assert result.reason == ""
    expected = {
        "readable",
        "finite",
        "content",
        "frame_of_reference",
        "orientation",
        "spacing",
        "anisotropy",
        "slices",
        "overlap",
        "body_overlap",
        "body_cut",
        "hu_air",
        "hu_soft_tissue",
        "hu_scale",
        "hu_saturated",
        "mask",
        "mask_inside",
        "mask_inverted",
        "modalities_swapped",
        "alignment_shift",
        "alignment_shift_x",
        "alignment_shift_y",
        "alignment_shift_z",
        "alignment_rotation",
        "alignment_displacement_95",
        "alignment_similarity_gain",
        "alignment_consensus",
    }
    assert set(result.values) == expected
    odd = {k: v for k, v in result.values.items() if v.status != "ok"}
    assert set(odd) == {"frame_of_reference"}  # the files carry none
    assert result.values["hu_air"].value == pytest.approx(-1000, abs=15)
    assert result.values["hu_soft_tissue"].value == pytest.approx(45, abs=15)
    assert result.values["hu_scale"].value == pytest.approx(1.04, abs=0.03)
    assert result.values["alignment_shift"].value < 0.4
    assert all(value.bound for value in result.values.values())


# ---------------------------------------------------------------------------------------
# Faults that are refused: (what is done to the case, the check that must name it, a word)


def without_intercept(scans):
    return check(scans, ct=scans.ct.array + 1024)


def without_intercept_and_mask(scans):
    return check(scans, ct=scans.ct.array + 1024, mask=None)


def without_intercept_everything_masked(scans):
    """An importer that thresholds such a CT at −400 takes the air for body."""
    return check(scans, ct=scans.ct.array + 1024, mask=np.ones_like(scans.body))


def intercept_twice(scans):
    return check(scans, ct=scans.ct.array - 1024)


def halved(scans):
    return check(scans, ct=scans.ct.array * 0.5)


def doubled(scans):
    return check(scans, ct=scans.ct.array * 2)


def thousandth(scans):
    return check(scans, ct=scans.ct.array / 1000)


def unit_range(scans):
    return check(scans, ct=(scans.ct.array + 1024) / 4024)


def grey_levels(scans):
    return check(scans, ct=np.clip((scans.ct.array + 160) / 400 * 255, 0, 255))


def swapped(scans):
    return check(scans, mr=scans.ct.array, ct=scans.mr.array)


def nan_in_ct(scans):
    array = scans.ct.array.copy()
    array[3, 4, 5] = np.nan
    return check(scans, ct=array)


def inf_in_mr(scans):
    array = scans.mr.array.copy()
    array[0, 0, 0] = np.inf
    return check(scans, mr=array)


def all_nan(scans):
    return check(scans, ct=np.full_like(scans.ct.array, np.nan))


def mask_of_zeros(scans):
    return check(scans, mask=np.zeros_like(scans.body))


def mask_inverted(scans):
    return check(scans, mask=~ct_body(scans.ct.array, scans.ct.grid))


def mask_elsewhere(scans):
    mask = np.zeros_like(scans.body)
    mask[:3, :3] = True
    return check(scans, mask=mask)


def constant_ct(scans):
    return check(scans, ct=np.full_like(scans.ct.array, -1000))


def constant_mr(scans):
    return check(scans, mr=np.zeros_like(scans.mr.array))


def the_same_image_twice(scans):
    return check(scans, mr=scans.ct.array)


def no_overlap(scans):
    """The CT's field of view ends before the MR's body begins."""
    mr, ct = scans.mr.array.copy(), scans.ct.array.copy()
    mr[:, :, :14], ct[:, :, 14:] = 0, -1000
    return check(scans, mr=mr, ct=ct, mask=None)


def metres(scans):
    return with_spacing(scans, (0.005, 0.005, 0.006))


REFUSED = [
    (without_intercept, "hu_scale", "rescale intercept"),
    (without_intercept_and_mask, "hu_scale", "rescale intercept"),
    (without_intercept_everything_masked, "hu_scale", "rescale intercept"),
    (intercept_twice, "hu_scale", "twice"),
    (halved, "hu_scale", "0.5"),
    (doubled, "hu_scale", "HU × 2"),
    (thousandth, "hu_scale", "normalised"),
    (unit_range, "hu_scale", "normalised"),
    (grey_levels, "hu_scale", "no CT in HU"),
    (swapped, "modalities_swapped", "swapped"),
    (nan_in_ct, "finite", "1 NaN"),
    (inf_in_mr, "finite", "source has 1"),
    (all_nan, "finite", "NaN"),
    (mask_of_zeros, "mask", "empty"),
    (mask_inverted, "mask_inverted", "inverted"),
    (mask_elsewhere, "mask_inside", "0% of the mask"),
    (constant_ct, "content", "reference is constant"),
    (constant_mr, "content", "source is constant"),
    (the_same_image_twice, "content", "same voxels"),
    (no_overlap, "overlap", "do not overlap"),
    (metres, "spacing", "outside"),
]


@pytest.mark.parametrize(("fault", "key", "word"), REFUSED, ids=[f[0].__name__ for f in REFUSED])
def test_a_fault_is_refused_and_named(scans, fault, key, word):
    result = fault(scans)
    assert result.refused
    assert result.values[key].status == "refused"
    assert word in result.reason
    assert result.reason.endswith(".")
    assert result.reason.count("\n") == 0


def test_the_shifted_ct_is_recorded_with_its_air_and_soft_tissue(scans):
    values = without_intercept(scans).values
    assert values["hu_air"].value == pytest.approx(24, abs=15)
    assert values["hu_soft_tissue"].value == pytest.approx(1069, abs=15)


def test_all_reasons_are_named_together(scans):
    result = check(scans, ct=scans.ct.array + 1024, mask=np.zeros_like(scans.body))
    assert "rescale intercept" in result.reason
    assert "mask is empty" in result.reason


def test_no_reference_is_refused(scans):
    result = preflight(*loaded(scans.mr, None, scans.body), QUICK)
    assert result.refused
    assert "no reference" in result.reason
