"""Preflight: every planted fault is named, and its clean twin is let through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.errors import GeometryError, InputError, Problems
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.body import ct_body, signal_body
from qa_suite.imaging.boxes import data_box
from qa_suite.preflight import Alignment, PreflightSettings, preflight, unreadable
from qa_suite.preflight import alignment as registration
from qa_suite.preflight.hounsfield import looks_like_ct, read_hounsfield
from tests.ellipsoid_patient import loaded, scan

QUICK = PreflightSettings(estimate_alignment=False)


@pytest.fixture(scope="module")
def scans():
    return scan(seed=11)


def check(scans, *, mr=None, ct=None, mask="body", settings=QUICK, quantity="HU"):
    source = scans.mr if mr is None else scans.mr.with_array(mr.astype(np.float32))
    reference = scans.ct if ct is None else scans.ct.with_array(ct.astype(np.float32))
    mask = scans.body if isinstance(mask, str) else mask
    return preflight(*loaded(source, replace(reference, quantity=quantity), mask), settings)


def status(result):
    return {key: value.status for key, value in result.values.items()}


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
    return _with_spacing(scans, (0.005, 0.005, 0.006))


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


# ---------------------------------------------------------------------------------------
# Odd but possible: warnings and undetermined, never a refusal


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


def _with_spacing(scans, spacing_mm):
    grid = replace(scans.mr.grid, spacing_mm=spacing_mm)
    mr, ct = replace(scans.mr, grid=grid), replace(scans.ct, grid=grid)
    return preflight(*loaded(mr, ct, scans.body), QUICK)


def test_an_unusual_spacing_is_a_warning(scans):
    result = _with_spacing(scans, (5.0, 5.0, 12.0))
    assert not result.refused
    assert status(result)["spacing"] == "warning"
    assert result.values["spacing"].value == 12.0


def test_anisotropy_is_a_warning(scans):
    result = _with_spacing(scans, (0.5, 0.5, 6.0))
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


# ---------------------------------------------------------------------------------------
# Alignment as a check


def test_gross_misalignment_is_refused_and_less_is_not():
    far = scan(shift_mm=(9, -8, 6), seed=2)
    near = scan(shift_mm=(5, -4, 3), seed=2)
    settings = PreflightSettings()
    refused = preflight(*loaded(far.mr, far.ct, far.body), settings)
    kept = preflight(*loaded(near.mr, near.ct, near.body), settings)
    assert refused.refused
    assert "misaligned by 13" in refused.reason
    assert not kept.refused
    assert kept.values["alignment_shift"].value == pytest.approx(np.sqrt(50), abs=0.5)
    assert kept.values["alignment_shift_y"].value == pytest.approx(-4, abs=0.5)


@pytest.mark.parametrize(("agreement", "refused"), [(0.55, False), (0.9, True)])
def test_a_deformation_is_undetermined_and_no_refusal(scans, monkeypatch, agreement, refused):
    found = Alignment(
        shift_mm=(0, 12, 0),
        shift_determined=(True, True, True),
        rotation_determined=(True, True, True),
        consensus=agreement,
    )
    monkeypatch.setattr(registration, "estimate_alignment", lambda *_, **__: found)
    result = check(scans, settings=PreflightSettings())
    assert result.refused == refused
    shift = result.values["alignment_shift"]
    assert (shift.status, shift.value) == (("refused", 12) if refused else ("undetermined", None))
    assert "12.0 mm (bound 10.0 mm)" in shift.why
    assert ("deformation" in shift.why) != refused
    assert result.values["alignment_consensus"].value == agreement


def test_the_bound_is_the_settings():
    near = scan(shift_mm=(5, -4, 3), seed=2)
    strict = PreflightSettings(max_misalignment_mm=5.0)
    assert preflight(*loaded(near.mr, near.ct, near.body), strict).refused


def test_an_axis_without_structure_is_undetermined_in_the_record():
    limb = scan(anatomy="limb", shift_mm=(3, 0, 0), seed=4)
    result = preflight(*loaded(limb.mr, limb.ct, limb.body), PreflightSettings())
    assert not result.refused
    along = result.values["alignment_shift_z"]
    assert (along.status, along.value) == ("undetermined", None)
    for key in ("alignment_shift", "alignment_displacement_95"):
        found = result.values[key]
        assert (found.status, found.value) == ("undetermined", None)
        assert "along z" in found.why
        assert found.at_least == pytest.approx(3, abs=0.6)
    assert result.status == "undetermined"
    assert result.values["alignment_shift_x"].value == pytest.approx(3, abs=0.5)


# ---------------------------------------------------------------------------------------
# Parts


def test_unreadable_keeps_every_problem():
    result = unreadable(Problems("case A", ["its mask is missing", "its CT is cut short"]))
    assert result.refused
    assert "mask is missing" in result.reason
    assert "cut short" in result.reason
    assert set(result.values) == {"readable"}
    assert set(unreadable(GeometryError("other grid.")).values) == {"frame_of_reference"}
    assert unreadable(InputError("x.nii is broken.")).reason == "X.nii is broken."


def test_settings_refuse_nonsense():
    with pytest.raises(ValidationError):
        PreflightSettings(max_misalignment_mm=-1)
    with pytest.raises(ValidationError):
        PreflightSettings(air_hu=(0.0, -1000.0))
    with pytest.raises(ValidationError):
        PreflightSettings(unknown=1)


def test_settings_survive_the_record():
    settings = PreflightSettings(max_misalignment_mm=7.5)
    assert PreflightSettings.model_validate_json(settings.model_dump_json()) == settings


def test_data_box_trims_padding_of_any_value():
    array = np.full((6, 7, 8), -1000.0)
    array[1:5, 2:6, 3:7] = np.random.default_rng(0).normal(size=(4, 4, 4))
    assert data_box(array) == (slice(1, 5), slice(2, 6), slice(3, 7))
    assert data_box(np.zeros((3, 3, 3))) is None


def test_bodies_agree_between_modalities(scans):
    ct = ct_body(scans.ct.array, scans.ct.grid)
    mr = signal_body(scans.mr.array, scans.mr.grid)
    assert 2 * (ct & mr).sum() / (ct.sum() + mr.sum()) > 0.95


def test_only_a_ct_looks_like_a_ct(scans):
    assert looks_like_ct(scans.ct.array)
    assert not looks_like_ct(scans.mr.array)
    normalised = (scans.mr.array - scans.mr.array.mean()) / scans.mr.array.std()
    assert not looks_like_ct(normalised)


def test_noise_does_not_make_a_mistake_of_a_ct(scans):
    rng = np.random.default_rng(3)
    noisy = scans.ct.array + rng.normal(0, 80, scans.ct.array.shape)
    assert read_hounsfield(noisy).mistake == ""


def test_real_patients_are_plausible_cts(shared_data):
    from qa_suite.io.images import read_image

    paths = sorted((shared_data / "sts" / "nifti").glob("*/CT_image.nii.gz"))
    for path in paths[::2]:
        ct = read_image(path, "HU")
        ct = ct.array[::2, ::2]
        facts = read_hounsfield(ct)
        assert facts.mistake == "", path.parent.name
        assert -120 < facts.soft_tissue < 80, path.parent.name
        for factor, offset in ((1, 1024), (0.5, 0), (0.001, 0)):
            wrong = read_hounsfield(ct * factor + offset)
            impossible = wrong.slope is not None and not 0.7 <= wrong.slope <= 1.5
            assert wrong.mistake or impossible, (path.parent.name, factor, offset)


def test_a_single_slice_gives_an_answer(scans):
    """A grid of one slice still gives an answer, not a traceback."""
    grid = Grid(shape=(40, 32, 1), spacing_mm=(5.0, 5.0, 6.0))
    mr = Volume(array=scans.mr.array[:, :, 14:15], grid=grid, quantity="arbitrary")
    ct = Volume(array=scans.ct.array[:, :, 14:15], grid=grid, quantity="HU")
    result = preflight(*loaded(mr, ct, scans.body[:, :, 14:15]), PreflightSettings())
    assert not result.refused
    assert result.values["alignment_shift"].status == "undetermined"
