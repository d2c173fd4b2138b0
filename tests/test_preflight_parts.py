"""Preflight: alignment as a check, and the parts that the checks are made of."""

from __future__ import annotations

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
from tests import preflight_cases
from tests.ellipsoid_patient import loaded, scan
from tests.preflight_cases import check

# Fixtures, by the names that the tests ask for.
scans = preflight_cases.scans


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
