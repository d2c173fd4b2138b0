"""What cannot be determined is undetermined: no zero, no ok, and never without its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.alignment_rates import FAR_MM, NEAR_MM, VIEWS, table, trial
from qa_suite.cli import checks, run
from qa_suite.core.record_files import _known_preflight, read_cases, write_table
from qa_suite.core.records import CaseRecord, PreflightValue, preflight_sentence, preflight_status
from qa_suite.core.volume import Grid, Volume
from qa_suite.preflight import Alignment, PreflightSettings, preflight
from qa_suite.preflight import alignment as registration
from qa_suite.preflight.checks import conclude
from qa_suite.preflight.evidence import undetermined
from tests.ellipsoid_patient import loaded, scan

SETTINGS = PreflightSettings()


@pytest.fixture(scope="module")
def scans():
    return scan(seed=11)


def of(scans, *, mr=None, ct=None, mask="body", coverage=None, quantity="HU"):
    source = scans.mr if mr is None else scans.mr.with_array(mr.astype(np.float32))
    reference = scans.ct if ct is None else scans.ct.with_array(ct.astype(np.float32))
    mask = scans.body if isinstance(mask, str) else mask
    case, cohort = loaded(source, replace(reference, quantity=quantity), mask)
    return preflight(replace(case, coverage=coverage), cohort, SETTINGS)


def as_it_is(scans):
    return of(scans)


def one_bright_voxel_as_source(scans):
    array = np.zeros_like(scans.mr.array)
    array[20, 15, 14] = 900
    return of(scans, mr=array)


def one_dense_voxel_as_reference(scans):
    array = np.full_like(scans.ct.array, -1000)
    array[20, 15, 14] = 40
    return of(scans, ct=array)


def one_slice(scans):
    grid = Grid(shape=(40, 32, 1), spacing_mm=(5.0, 5.0, 6.0))
    part = (slice(None), slice(None), slice(14, 15))
    mr = Volume(array=scans.mr.array[part], grid=grid, quantity="arbitrary")
    ct = Volume(array=scans.ct.array[part], grid=grid, quantity="HU")
    return preflight(*loaded(mr, ct, scans.body[part]), SETTINGS)


def no_air_in_view(scans):
    part = (slice(12, 28), slice(11, 21), slice(8, 20))
    grid = replace(scans.mr.grid, shape=scans.mr.array[part].shape)
    mr = replace(scans.mr, array=scans.mr.array[part], grid=grid)
    ct = replace(scans.ct, array=scans.ct.array[part], grid=grid)
    return preflight(*loaded(mr, ct, None), PreflightSettings(estimate_alignment=False))


def no_mask(scans):
    return of(scans, mask=None)


def a_pet_that_covers_nothing(scans):
    suv = np.where(scans.body, 1.2, 0) + 0.05 * scans.mr.array / 900
    nowhere = np.zeros(scans.body.shape, dtype=bool)
    return of(scans, ct=suv, quantity="SUVbw", mask=None, coverage=nowhere)


UNKNOWN = {
    "frame_of_reference": as_it_is,
    "slices": one_slice,
    "overlap": one_bright_voxel_as_source,
    "body_overlap": one_bright_voxel_as_source,
    "body_cut": one_dense_voxel_as_reference,
    "hu_air": no_air_in_view,
    "hu_scale": no_air_in_view,
    "hu_soft_tissue": one_dense_voxel_as_reference,
    "hu_saturated": one_dense_voxel_as_reference,
    "suv_mean": a_pet_that_covers_nothing,
    "mask": no_mask,
    "mask_inside": no_mask,
    "mask_inverted": no_mask,
    "modalities_swapped": a_pet_that_covers_nothing,
    "alignment_displacement_95": one_bright_voxel_as_source,
    "alignment_shift": one_bright_voxel_as_source,
    "alignment_shift_x": one_bright_voxel_as_source,
    "alignment_shift_y": one_bright_voxel_as_source,
    "alignment_shift_z": one_bright_voxel_as_source,
    "alignment_rotation": one_bright_voxel_as_source,
    "alignment_consensus": one_bright_voxel_as_source,
    "alignment_similarity_gain": one_bright_voxel_as_source,
}
ALWAYS_KNOWN = {"readable", "finite", "content", "orientation", "spacing", "anisotropy"}


@pytest.fixture(scope="module")
def results(scans):
    return {make.__name__: make(scans) for make in dict.fromkeys(UNKNOWN.values())}


@pytest.mark.parametrize("key", UNKNOWN)
def test_a_check_that_a_case_cannot_answer_has_no_value_and_a_reason(results, key):
    found = results[UNKNOWN[key].__name__].values[key]
    assert (found.status, found.value) == ("undetermined", None)
    assert found.why and found.bound


def test_the_table_holds_every_check(results):
    seen = {key for result in results.values() for key in result.values}
    assert seen == set(UNKNOWN) | ALWAYS_KNOWN


def test_whatever_is_not_ok_says_why_and_whatever_is_ok_has_a_value(results):
    for name, result in results.items():
        for key, found in result.values.items():
            assert (found.status == "ok") <= (found.value is not None), (name, key)
            assert (found.status != "ok") <= bool(found.why), (name, key)
        assert (result.status == "ok") == (result.sentence == ""), name


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "undetermined", "value": 0.0, "why": "no structure"},
        {"status": "undetermined"},
        {"status": "warning", "value": 11.0},
        {"status": "ok"},
        {"status": "refused", "value": 12.0, "at_least": 11.0, "why": "far off"},
    ],
)
def test_the_record_refuses_a_check_that_says_two_things_or_nothing(wrong):
    with pytest.raises(ValidationError):
        PreflightValue(**wrong)


def test_a_record_that_gave_zero_for_what_it_lacked_is_read_as_undetermined():
    def check(status, value, why=""):
        return {"value": value, "unit": "mm", "bound": "<= 10 mm", "status": status, "why": why}

    found = _known_preflight(
        {
            "alignment_shift": check("undetermined", 0.0, "no structure along x, y, z"),
            "alignment_rotation": check("undetermined", 3.0, "no structure about z"),
            "alignment_displacement_95": check("ok", 0.0),
            "spacing": check("warning", 12.0),
        }
    )
    values = {key: PreflightValue.model_validate(value) for key, value in found.items()}
    assert values["alignment_shift"].value is None
    assert values["alignment_shift"].at_least is None
    assert values["alignment_rotation"].at_least == 3.0
    assert values["alignment_displacement_95"].status == "undetermined"
    assert "no structure along x, y, z" in values["alignment_displacement_95"].why
    assert values["spacing"].why == "no reason was recorded"


def test_a_record_of_today_is_read_as_it_was_written(tmp_path):
    """There a displacement may be known although the rotation about one axis is not."""
    checks = {
        "alignment_rotation": PreflightValue(
            value=None, unit="°", bound="", status="undetermined", why="no structure about z"
        ),
        "alignment_displacement_95": PreflightValue(
            value=1.0, unit="mm", bound="<= 10 mm", status="ok"
        ),
    }
    one = CaseRecord(
        case="a", patient="a", site="A", split="test", status="evaluated", preflight=checks
    )
    write_table(tmp_path / "cases.parquet", [one], CaseRecord)
    for schema, status in ((2, "ok"), (1, "undetermined")):
        (tmp_path / "evaluation.json").write_text(f'{{"schema_version": {schema}}}')
        (read,) = read_cases(tmp_path)
        assert read.preflight["alignment_displacement_95"].status == status


# ---------------------------------------------------------------------------------------
# From an estimate to a status

ALL = (True, True, True)
NONE = (False, False, False)


def judged(scans, monkeypatch, **found):
    known = {"shift_determined": ALL, "rotation_determined": ALL, "consensus": 0.9, "support": 6.0}
    known |= {"best_support": 6.0}
    estimate = Alignment(**(known | found))
    monkeypatch.setattr(registration, "estimate_alignment", lambda *_, **__: estimate)
    return of(scans)


def test_blindness_is_not_sight(scans, monkeypatch):
    """All axes undetermined, and the best place of all 16 mm away: once this was '0.0 mm ok'."""
    found = {"shift_determined": NONE, "rotation_determined": NONE}
    result = judged(scans, monkeypatch, **found, best_mm=16.0, best_support=4.0, support=0.0)
    check = result.values["alignment_displacement_95"]
    assert (result.status, check.value, check.at_least) == ("undetermined", None, None)
    assert "along x, y, z" in result.sentence
    assert "lies 16.0 mm away, and fits better" in result.sentence


def test_a_lower_bound_beyond_the_bound_refuses_and_says_at_least(scans, monkeypatch):
    found = {"shift_mm": (9.0, 9.0, 0.0), "displacement_95_mm": 13.0}
    result = judged(scans, monkeypatch, **found, shift_determined=(True, True, False))
    check = result.values["alignment_displacement_95"]
    assert result.refused
    assert (check.value, check.at_least) == (None, 13.0)
    assert "at least 13.0 mm (bound 10.0 mm)" in result.reason
    assert "no structure decides the shift along z" in result.reason


@pytest.mark.parametrize(
    ("doubt", "word"),
    [
        ({"consensus": 0.6}, "a deformation"),
        ({"consensus": None}, "no part of the body"),
        ({"support": 1.0}, "almost as well"),
    ],
)
def test_a_doubt_is_undetermined_with_its_sentence(scans, monkeypatch, doubt, word):
    result = judged(scans, monkeypatch, displacement_95_mm=13.0, **doubt)
    assert result.status == "undetermined"
    assert "13.0 mm (bound 10.0 mm)" in result.sentence and word in result.sentence


def test_another_place_as_good_is_undetermined(scans, monkeypatch):
    result = judged(scans, monkeypatch, displacement_95_mm=1.0, rival_mm=18.0)
    assert result.status == "undetermined"
    assert "nother place, 18 mm from the best, fits as well" in result.sentence


def test_a_rotation_counts_by_what_it_does_to_the_body():
    turned = scan(rotation_deg=(0, 0, 14), seed=2)
    result = preflight(*loaded(turned.mr, turned.ct, turned.body), SETTINGS)
    assert result.values["alignment_shift"].value < 3
    assert result.values["alignment_displacement_95"].status == "refused"
    assert result.values["alignment_rotation"].status == "warning"


def test_bodies_that_hardly_overlap_are_refused_by_themselves(scans):
    moved = np.roll(scans.ct.array, 18, axis=0)
    case, cohort = loaded(scans.mr, scans.ct.with_array(moved), None)
    result = preflight(case, cohort, PreflightSettings(estimate_alignment=False))
    assert result.values["body_overlap"].status == "refused"
    assert "overlap by only" in result.reason
    seen = np.zeros(scans.body.shape, dtype=bool)
    seen[:20] = True  # where nothing was scanned, nothing disagrees
    half = np.where(seen, scans.ct.array, -1000).astype(np.float32)
    case, cohort = loaded(scans.mr, scans.ct.with_array(half), None)
    result = preflight(
        replace(case, coverage=seen), cohort, PreflightSettings(estimate_alignment=False)
    )
    assert result.values["body_overlap"].status == "ok"


# ---------------------------------------------------------------------------------------
# The verb

OK = {"overlap": PreflightValue(value=1.0, unit="1", status="ok")}
OF_STATUS = {
    "ok": OK,
    "warning": OK
    | {
        "alignment_displacement_95": PreflightValue(
            value=11.0, unit="mm", status="warning", why="11.0 mm off, a deformation"
        )
    },
    "undetermined": OK
    | {"alignment_displacement_95": undetermined("no structure along z", unit="mm")},
    "refused": OK
    | {
        "alignment_displacement_95": PreflightValue(
            at_least=14.0, unit="mm", status="refused", why="at least 14.0 mm off"
        )
    },
}


@pytest.mark.parametrize(
    ("present", "code"),
    [
        (("ok", "warning"), 0),
        (("ok", "undetermined"), 3),
        (("undetermined", "warning", "refused"), 1),
        (("refused", "ok"), 1),
    ],
)
def test_the_verb_prints_every_status_with_its_sentence(
    monkeypatch, tmp_path, capsys, present, code
):
    from qa_suite.core.cohort import Case, Cohort, save_cohort

    cases = tuple(
        Case(case=f"case-{s}", patient=s, site="A", source="a.nii.gz", reference="b.nii.gz")
        for s in present
    )
    save_cohort(
        Cohort(name="c", source_modality="MR", reference_quantity="HU", cases=cases), tmp_path
    )
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).touch()
    results = {case.case: conclude(OF_STATUS[case.patient]) for case in cases}
    monkeypatch.setattr(checks, "check_cases", lambda *_, **__: results)
    for options in ((), ("--json",)):
        assert run(["preflight", str(tmp_path), *options]) == code
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        for status in present:
            assert status in shown
            for words in preflight_sentence(OF_STATUS[status]).rstrip(".").split():
                assert words in shown
    assert "0.0 mm" not in shown
    assert all(preflight_status(OF_STATUS[s]) == s for s in present)


# ---------------------------------------------------------------------------------------
# Known answers: a small version of the table in docs/appendix/alignment.md

LIMBS = [n for n, view in enumerate(VIEWS) if view.startswith("limb")]


def test_no_gross_misalignment_of_a_limb_is_ok_and_no_aligned_one_is_refused():
    rows = [trial(group * len(VIEWS) + view, 7) for group in (0, 2) for view in LIMBS]
    far = [r for r in rows if r["true_mm"] > FAR_MM]
    near = [r for r in rows if r["true_mm"] < NEAR_MM]
    assert (len(far), len(near)) == (3, 3)
    assert all(r["status"] != "ok" and r["why"] for r in far)
    assert all(r["status"] != "refused" for r in near)
    assert all(abs(r["found_mm"] - r["true_mm"]) < 3 for r in rows if r["status"] == "ok")
    assert table(rows).count("\n") == len(VIEWS) + 2
