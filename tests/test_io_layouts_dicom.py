"""From DICOM folders to a cohort: series, pseudonyms, sites, contours, real patients."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from qa_suite.core.errors import InputError
from qa_suite.io.cases import load_case
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.identity import fingerprint_distance
from qa_suite.io.images import read_image
from qa_suite.io.layouts.importing import import_cohort
from qa_suite.io.layouts.strata import facts_of_headers
from tests.dicom_factory import (
    BIRTH_DATE,
    PATIENT_ID,
    SCAN_DATE,
    rectangle,
    uid,
    write_patient,
    write_series,
    write_structures,
)
from tests.layout_cases import HU, MR, files_text, write_sts
from tests.layout_cases import own_key as own_key
from tests.rt_factory import item

# --- DICOM -------------------------------------------------------------------------------


def test_a_dicom_patient_becomes_a_case(tmp_path):
    write_patient(tmp_path / "data" / "Mustermann")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (case,) = cohort.cases
    assert case.import_problem is None
    assert case.site == "Siemens"
    strata = case.strata
    assert strata.sequence == "T1 TSE SE/SK"
    assert (strata.repetition_time_ms, strata.echo_time_ms) == (500, 12)
    assert (strata.field_strength_t, strata.ct_kernel, strata.tube_voltage_kv) == (1.5, "B30f", 120)
    assert (strata.sex, strata.age_band, strata.scan_interval_days) == ("F", "60-69", 12)
    loaded = load_case(cohort, case, tmp_path / "out")
    assert np.array_equal(loaded.reference.array, HU)
    assert np.array_equal(loaded.source.array, MR)
    assert loaded.structures["PTV"].sum() == 3 * 5 * 4
    assert np.array_equal(loaded.mask, HU > -400)


def test_protocol_of_multi_frame_files_and_of_a_ct_that_is_the_source():
    """Enhanced files keep TR, TE, kVp and kernel in groups that all frames share."""
    mr, ct, shared = Dataset(), Dataset(), Dataset()
    shared.MRTimingAndRelatedParametersSequence = [item(RepetitionTime=6.6, FlipAngle=12.0)]
    shared.MREchoSequence = [item(EffectiveEchoTime=4.8)]
    mr.SharedFunctionalGroupsSequence = [shared]
    groups = Dataset()
    groups.CTXRayDetailsSequence = [item(KVP=100.0)]
    groups.CTReconstructionSequence = [item(ConvolutionKernel="Br38")]
    ct.SharedFunctionalGroupsSequence = [groups]
    ct.ContrastBolusAgent = "an agent for Doe^John"
    found = facts_of_headers(mr, ct, source_modality="MR", reference_modality="CT")
    assert found == {
        "repetition_time_ms": 6.6,
        "echo_time_ms": 4.8,
        "flip_angle_deg": 12.0,
        "tube_voltage_kv": 100.0,
        "ct_kernel": "Br38",
        "reference_contrast": "yes",  # that there was one, and no word of the header
    }
    plain = Dataset()
    plain.KVP, plain.ConvolutionKernel = 120.0, "B30f"
    both = facts_of_headers(ct, plain, source_modality="CBCT", reference_modality="CT")
    assert (both["source_tube_voltage_kv"], both["source_kernel"]) == (100.0, "Br38")
    assert (both["tube_voltage_kv"], both["ct_kernel"]) == (120.0, "B30f")
    assert "reference_contrast" not in both


def test_nothing_of_the_patient_leaves_but_to_the_private_file(tmp_path, caplog):
    caplog.set_level("DEBUG")
    data = tmp_path / "data" / "Mustermann_Erika"
    write_patient(data, InstitutionName="St. Elsewhere", AccessionNumber="ACC99812")
    contour = rectangle((-2.0, 8.0), (-8.0, 4.0), -22.0)
    write_structures(data / "rs2.dcm", {"GTV Mustermann": [contour]})
    write_patient(tmp_path / "data" / "Doe", PatientID="MRN-0002", PatientName="Doe^John")
    broken = tmp_path / "data" / "Doe" / "ct" / "IM0004.dcm"
    broken.write_bytes(broken.read_bytes()[:-80])
    said: list[str] = []
    import_cohort(tmp_path / "data", tmp_path / "out", report=said.append)
    text = files_text(tmp_path / "out") + caplog.text
    secrets = [
        *("Mustermann", "Erika", PATIENT_ID, BIRTH_DATE, SCAN_DATE, "20110302", "2011-03"),
        *("Elsewhere", "ACC99812", "MRN-0002", "John", "IM0004", str(tmp_path)),
        uid("frame", PATIENT_ID),
        uid("series", "CT", PATIENT_ID),
        uid("study", PATIENT_ID),
    ]
    assert [secret for secret in secrets if secret.lower() in text.lower()] == []
    assert "Its CT series: a slice whose pixel data is truncated" in text.replace("\n      ", " ")
    assert any("IM0004.dcm" in sentence for sentence in said)
    private = tmp_path / "out" / "private.json"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    known = json.loads(private.read_text()).values()
    assert {entry["identifier"] for entry in known} == {PATIENT_ID, "MRN-0002"}
    assert "2011-03-02" in private.read_text()


def test_the_same_patient_is_recognised_through_two_layouts(tmp_path):
    write_patient(tmp_path / "dicom", PatientID="STS_009")
    write_sts(tmp_path / "nifti" / "STS_009")
    one = import_cohort(tmp_path / "dicom", tmp_path / "out1").cases[0]
    two = import_cohort(tmp_path / "nifti", tmp_path / "out2").cases[0]
    assert one.patient == two.patient
    assert one.voxel_hashes == two.voxel_hashes
    for role, known in one.fingerprints.items():
        assert fingerprint_distance(known, two.fingerprints[role]) == 0


def test_another_key_gives_other_pseudonyms_and_the_same_voxel_hashes(tmp_path):
    write_patient(tmp_path / "data")
    cases = []
    for name in ("first", "second"):
        (tmp_path / name).write_text(name * 8)
        out = tmp_path / f"out-{name}"
        cases.append(import_cohort(tmp_path / "data", out, key_file=tmp_path / name).cases[0])
    assert cases[0].patient != cases[1].patient
    assert cases[0].voxel_hashes == cases[1].voxel_hashes


def two_patients(folder: Path) -> Path:
    write_patient(folder / "good", PatientID="G-1000")
    return folder / "bad"


def only_problem(folder: Path, out: Path, **options) -> str:
    cohort = import_cohort(folder, out, **options)
    (problem,) = [case.import_problem for case in cohort.cases if case.import_problem]
    return problem


def test_missing_slices_are_named_in_the_manifest(tmp_path):
    bad = two_patients(tmp_path / "data")
    write_series(bad / "ct", HU + 1024, skip=(4,))
    write_series(bad / "mr", MR, modality="MR")
    assert only_problem(tmp_path / "data", tmp_path / "out") == (
        "Its CT series: slice missing between z=-18.0 mm and z=-10.0 mm: 8.00 mm apart where "
        "4.00 mm is expected."
    )


def test_different_frames_of_reference_are_a_problem(tmp_path):
    bad = two_patients(tmp_path / "data")
    write_series(bad / "ct", HU + 1024)
    write_series(bad / "mr", MR, modality="MR", FrameOfReferenceUID=uid("elsewhere"))
    problem = only_problem(tmp_path / "data", tmp_path / "out")
    assert problem == ("Its MR and CT are in different frames of reference; register them first.")


def test_a_choice_of_series_is_left_to_the_user(tmp_path):
    data = tmp_path / "data"
    write_patient(data / "a")
    write_series(
        data / "a" / "t2",
        MR + 1,
        modality="MR",
        SeriesDescription="t2_tse",
        SeriesInstanceUID=uid("t2"),
    )
    with pytest.raises(InputError, match="2 MR stacks and 1 CT stack fit together"):
        import_cohort(data, tmp_path / "out")
    cohort = import_cohort(data, tmp_path / "out", source_series="*T2*")
    (case,) = cohort.cases
    assert np.array_equal(load_case(cohort, case, tmp_path / "out").source.array, MR + 1)


def test_a_patient_without_mr_is_a_problem_and_other_modalities_are_no_case(tmp_path):
    bad = two_patients(tmp_path / "data")
    write_series(bad / "ct", HU + 1024)
    write_series(
        tmp_path / "data" / "pt", HU, modality="PT", intercept=0, PatientID="nothing of interest"
    )
    assert only_problem(tmp_path / "data", tmp_path / "out") == "It has no MR series."


def test_examinations_are_numbered_by_date(tmp_path):
    for number, day in enumerate(("20110401", "20110301")):
        _examination(tmp_path / "data" / str(number), number, day)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    private = json.loads((tmp_path / "out" / "private.json").read_text())
    days = {case.examination: private[case.case]["source_date"] for case in cohort.cases}
    assert days == {1: "2011-03-01", 2: "2011-04-01"}
    assert len({case.patient for case in cohort.cases}) == 1


def _examination(folder: Path, number: int, day: str) -> None:
    tags = {
        "StudyInstanceUID": uid("study", number),
        "FrameOfReferenceUID": uid("frame", number),
        "AcquisitionDate": day,
    }
    write_series(folder / "ct", HU + 1024, SeriesInstanceUID=uid("ct", number), **tags)
    write_series(folder / "mr", MR, modality="MR", SeriesInstanceUID=uid("mr", number), **tags)


def test_an_external_contour_is_the_mask(tmp_path):
    data = tmp_path / "data"
    write_series(data / "ct", HU + 1024)
    write_series(data / "mr", MR, modality="MR")
    contours = [rectangle((-5.0, 15.0), (-15.0, 12.0), z) for z in np.arange(-30.0, 7.0, 4.0)]
    write_structures(data / "rs.dcm", {"BODY": contours}, kinds={"BODY": "EXTERNAL"})
    cohort = import_cohort(data, tmp_path / "out")
    (case,) = cohort.cases
    mask = load_case(cohort, case, tmp_path / "out").mask
    assert mask.sum() == 10 * 9 * 10
    assert any("EXTERNAL" in step for step in case.history)


@pytest.mark.parametrize(
    ("site_by", "site"),
    [("model", "Avanto"), ("field_strength", "1.5"), ("institution", "St. Elsewhere")],
)
def test_sites_by_dicom_tag(tmp_path, site_by, site):
    write_patient(tmp_path / "data", InstitutionName="St. Elsewhere")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", site_by=site_by)
    assert cohort.sites == (site,)


def test_sites_cannot_be_told_by_a_name(tmp_path):
    write_patient(tmp_path / "data")
    with pytest.raises(InputError, match="cannot be told by 'PatientName'"):
        import_cohort(tmp_path / "data", tmp_path / "out", site_by="PatientName")


# --- real patients -----------------------------------------------------------------------


def test_real_dicom_imports_to_the_voxels_of_the_nifti(shared_data, tmp_path):
    root = shared_data / "sts"
    one = import_cohort(root / "dicom" / "STS_035", tmp_path / "a")
    for stem in ("MR_T1_image", "CT_image", "MR_T1_mask"):
        target = tmp_path / "nifti" / "STS_035" / f"{stem}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to((root / "nifti" / "STS_035" / target.name).resolve())
    two = import_cohort(tmp_path / "nifti", tmp_path / "b")
    (a,), (b,) = one.cases, two.cases
    assert a.patient == b.patient
    assert a.voxel_hashes == b.voxel_hashes
    first, second = load_case(one, a, tmp_path / "a"), load_case(two, b, tmp_path / "b")
    assert np.array_equal(first.source.array, second.source.array)
    assert np.array_equal(first.mask, second.mask)
    difference = np.abs(first.reference.array - second.reference.array)[first.mask]
    assert difference.mean() < 0.01
    assert difference.max() < 0.1
    assert np.array_equal(first.structures["GTV_Mass_MR_T1"], second.structures["GTV"])
    assert a.strata.scan_interval_days == 63
    assert a.site == "Siemens"


def test_real_pet_is_the_same_suv(shared_data):
    root = shared_data / "sts"
    (series,) = scan_dicom(root / "dicom" / "STS_051" / "PET" / "image").series
    volume = read_series(series)
    expected = read_image(root / "nifti" / "STS_051" / "PET_image.nii.gz", "SUVbw")
    assert volume.array == pytest.approx(expected.array, abs=1e-5)
