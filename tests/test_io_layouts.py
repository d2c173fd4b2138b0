"""From folders and tables to a cohort: layouts, pairing, pseudonyms, links, problems."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest
import yaml

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.body import body_of, body_width_mm, shows_implant
from qa_suite.io.cases import load_case
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.identity import fingerprint_distance, load_key, patient_hash
from qa_suite.io.images import read_image, write_image
from qa_suite.io.layouts.importing import import_cohort
from qa_suite.io.layouts.layouts import detect_layout
from qa_suite.io.layouts.strata import age_band, normalise_manufacturer
from tests.dicom_factory import (
    BIRTH_DATE,
    PATIENT_ID,
    SCAN_DATE,
    body_phantom,
    rectangle,
    uid,
    write_patient,
    write_series,
    write_structures,
)

HU = body_phantom()
GRID = Grid(shape=HU.shape, spacing_mm=(2.0, 3.0, 4.0), origin_mm=(-10.0, -20.0, -30.0))
MR = np.maximum(HU + 400, 0)


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    (tmp_path / "patient.key").write_text("only for these tests")
    monkeypatch.setenv("QA_SUITE_KEY_FILE", str(tmp_path / "patient.key"))


def write(path: Path, array: np.ndarray, quantity: str = "HU", grid: Grid = GRID) -> Path:
    write_image(Volume(array=array, grid=grid, quantity=quantity), path)
    return path


def write_pair(folder: Path, ending: str, source: str = "mr", *, mask: bool = True) -> None:
    write(folder / f"{source}{ending}", MR if source == "mr" else HU, "arbitrary")
    write(folder / f"ct{ending}", HU)
    if mask:
        write(folder / f"mask{ending}", HU > -500, "label")


def write_sts(folder: Path) -> None:
    write(folder / "MR_T1_image.nii.gz", MR, "arbitrary")
    write(folder / "MR_T1_mask.nii.gz", HU > 600, "label")
    write(folder / "CT_image.nii.gz", HU)
    write(folder / "PET_image.nii.gz", np.maximum(HU, 0) / 100, "SUVbw")


def files_text(out: Path) -> str:
    """Everything that may leave the machine, in one text: the manifest and the file names."""
    names = "\n".join(str(path.relative_to(out)) for path in out.rglob("*"))
    return (out / "manifest.yaml").read_text() + names


# --- SynthRAD ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "layout", "names", "anatomy"),
    [
        (".nii.gz", "synthrad2023", ("1BA001", "1BC032"), "brain"),
        (".mha", "synthrad2025", ("1HNA001", "1HNC014"), "head and neck"),
    ],
)
def test_synthrad_is_recognised_and_linked(tmp_path, ending, layout, names, anatomy):
    for name in names:
        write_pair(tmp_path / "data" / "Task1" / "X" / name, ending)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    assert cohort.import_settings["layout"] == layout
    assert cohort.anatomy == anatomy
    assert cohort.sites == ("A", "C")
    for case in load_cohort(tmp_path / "out").cases:
        files = [tmp_path / "out" / f for f in (case.source, case.reference, case.mask)]
        assert all(path.is_symlink() for path in files), "nothing had to be converted"
        assert all(path.name.endswith(ending) for path in files)
        loaded = load_case(cohort, case, tmp_path / "out")
        assert np.array_equal(loaded.mask, HU > -500)
    assert not any(name in files_text(tmp_path / "out") for name in names)


def test_synthrad_task_2_is_cone_beam(tmp_path):
    write_pair(tmp_path / "data" / "2PA001", ".nii.gz", source="cbct")
    with pytest.raises(InputError, match="holds CBCT and no MR; state the source modality CBCT"):
        import_cohort(tmp_path / "data", tmp_path / "out")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", source_modality="CBCT")
    assert (cohort.direction, cohort.source_quantity) == ("CBCT->CT", "HU")
    assert cohort.anatomy == "pelvis"


def test_a_patient_without_ct_stays_with_the_reason(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    write_pair(tmp_path / "data" / "1PA002", ".nii.gz")
    (tmp_path / "data" / "1PA002" / "ct.nii.gz").unlink()
    said: list[str] = []
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", report=said.append)
    (problem,) = [case for case in cohort.cases if case.import_problem]
    assert problem.import_problem == "Its CT file is missing."
    assert len(said) == 1
    assert "1PA002" in said[0]
    assert "1PA002" not in files_text(tmp_path / "out")
    assert len(load_cohort(tmp_path / "out").cases) == 2


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_damaged_file_is_a_problem_of_its_case(tmp_path, content):
    for name in ("1PA001", "1PA002"):
        write_pair(tmp_path / "data" / name, ".nii.gz")
    broken = tmp_path / "data" / "1PA002" / "mr.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300] if content is None else content)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (problem,) = [case.import_problem for case in cohort.cases if case.import_problem]
    assert re.match("Its MR file (cannot be read as an image|is cut off)", problem)
    assert str(tmp_path) not in problem


# --- STS ---------------------------------------------------------------------------------


def test_sts_layout_takes_site_and_sex_from_the_table_beside(tmp_path):
    makers = {
        "STS_001": "SIEMENS,Avanto,M",
        "STS_002": "GE MEDICAL SYSTEMS,SIGNA,F",
        "STS_003": "Varian Medical Systems,ARIA RadOnc,F",
    }
    for name in makers:
        write_sts(tmp_path / "sts" / "nifti" / name)
    rows = ["patient,mr_manufacturer,mr_model,sex", *(f"{k},{v}" for k, v in makers.items())]
    (tmp_path / "sts" / "patients.csv").write_text("\n".join(rows))
    cohort = import_cohort(tmp_path / "sts" / "nifti", tmp_path / "out")
    assert cohort.sites == ("GE", "Siemens", "unknown")
    by_site = {case.site: case for case in cohort.cases}
    assert by_site["Siemens"].strata.source_model == "Avanto"
    assert by_site["unknown"].strata.source_manufacturer is None
    assert by_site["unknown"].strata.source_model is None
    assert by_site["GE"].strata.sex == "F"
    case = by_site["GE"]
    loaded = load_case(cohort, case, tmp_path / "out")
    assert np.array_equal(loaded.structures["GTV"], HU > 600)
    assert np.array_equal(loaded.mask, HU > -400), "the tumour is no body mask"
    by_model = import_cohort(tmp_path / "sts" / "nifti", tmp_path / "out", site_by="model")
    assert by_model.sites == ("Avanto", "SIGNA", "unknown")
    with pytest.raises(InputError, match="cannot be told by 'colour'"):
        import_cohort(tmp_path / "sts" / "nifti", tmp_path / "out", site_by="colour")


def test_sts_to_pet(tmp_path):
    write_sts(tmp_path / "data" / "STS_001")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", reference_modality="PT")
    assert cohort.reference_quantity == "SUVbw"
    (case,) = cohort.cases
    assert any("body from the source: above" in step for step in case.history)


# --- tables ------------------------------------------------------------------------------


def test_a_table_of_pairs_with_all_it_may_say(tmp_path):
    data = tmp_path / "data"
    write(data / "a" / "mr.mhd", MR, "arbitrary")
    write(data / "a" / "ct.nii.gz", HU)
    write(data / "a" / "body.nii.gz", HU > -500, "label")
    write(data / "a" / "gtv.nii.gz", HU > 600, "label")
    (data / "pairs.csv").write_text(
        "source;reference;mask;patient;site;structures;sex;implant;field_strength_t;examination;x\n"
        "a/mr.mhd;a/ct.nii.gz;a/body.nii.gz;P-77;North/East;GTV=a/gtv.nii.gz;M;yes;1.5;10;1\n"
        "a/mr.mhd;a/ct.nii.gz;a/body.nii.gz;P-77;North/East;;M;;3;9;1\n"
    )
    said: list[str] = []
    cohort = import_cohort(data / "pairs.csv", tmp_path / "out", report=said.append)
    assert said == [f"{data / 'pairs.csv'}: the columns x are not used."]
    second, first = sorted(cohort.cases, key=lambda case: -case.examination)
    assert (first.examination, second.examination) == (1, 2)
    assert first.patient == second.patient == patient_hash("P-77", load_key())
    assert first.strata.field_strength_t == 3, "examination 9 precedes examination 10"
    assert second.site == "North East"
    assert second.strata.implant == "yes"
    assert second.structures.keys() == {"GTV"}
    assert import_cohort(data, tmp_path / "out").cases == cohort.cases, "found in its folder too"


def test_a_table_may_say_that_a_patient_has_no_reference(tmp_path):
    data = tmp_path / "data"
    write(data / "mr.nii.gz", MR, "arbitrary")
    write(data / "ct.nii.gz", HU)
    (data / "pairs.csv").write_text(
        "source,reference,patient\nmr.nii.gz,ct.nii.gz,1\nmr.nii.gz,,2\nmr.nii.gz,gone.nii.gz,3\n"
    )
    cohort = import_cohort(data / "pairs.csv", tmp_path / "out")
    by_patient = {case.patient: case for case in cohort.cases}
    pair, alone, broken = (by_patient[patient_hash(n, load_key())] for n in "123")
    assert pair.reference is not None and pair.voxel_hashes.keys() == {"source", "reference"}
    assert alone.reference is None and alone.import_problem is None
    assert alone.voxel_hashes == {"source": pair.voxel_hashes["source"]}
    assert broken.import_problem is not None, "a file that is missing is no statement"
    loaded = load_case(cohort, alone, tmp_path / "out")
    assert loaded.reference is None and loaded.mask is not None and loaded.mask.any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source,ct\na,b\n", "lacks the column reference"),
        ("source,reference\n", "lists no pairs"),
        ("source,reference\na\n", "another number of cells in line 2"),
        ("", "is empty"),
        ("source,reference,structures\na,b,GTV\n", "NAME=file"),
        (
            "source,reference\nno.nii.gz,no.nii.gz\n",
            r"can be read \(1 tried\): Its MR file is missing",
        ),
    ],
)
def test_faulty_tables_are_one_sentence(tmp_path, text, sentence):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        import_cohort(tmp_path / "pairs.csv", tmp_path / "out")


def test_strata_that_are_not_as_they_should_be_are_a_problem_of_the_case(tmp_path):
    write_pair(tmp_path, ".nii.gz")
    (tmp_path / "pairs.csv").write_text(
        "source,reference,sex,patient\nmr.nii.gz,ct.nii.gz,X,1\nmr.nii.gz,ct.nii.gz,F,2\n"
    )
    cohort = import_cohort(tmp_path / "pairs.csv", tmp_path / "out")
    (problem,) = [case.import_problem for case in cohort.cases if case.import_problem]
    assert "sex" in problem


# --- one grid ----------------------------------------------------------------------------


def test_a_reference_elsewhere_is_resampled_and_the_mask_ends_with_it(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    smaller = Grid(
        shape=(18, 14, 8), spacing_mm=GRID.spacing_mm, origin_mm=tuple(GRID.to_world((1, 1, 1)))
    )
    write(tmp_path / "data" / "1PA001" / "ct.nii.gz", HU[1:-1, 1:-1, 1:-1], "HU", smaller)
    write(tmp_path / "data" / "1PA001" / "mask.nii.gz", np.ones(HU.shape), "label")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (case,) = cohort.cases
    loaded = load_case(cohort, case, tmp_path / "out")
    assert loaded.mask.sum() == 18 * 14 * 8
    assert loaded.mask[1:-1, 1:-1, 1:-1].all()
    assert loaded.reference.array[1:-1, 1:-1, 1:-1] == pytest.approx(HU[1:-1, 1:-1, 1:-1])
    assert (loaded.reference.array[0] == -1000).all()
    assert any("resampled linear" in step for step in case.history)
    assert any("covers 63.0 %" in step for step in case.history)
    assert (tmp_path / "out" / case.source).is_symlink()
    assert not (tmp_path / "out" / case.reference).is_symlink()


def test_no_overlap_leaves_an_empty_mask_for_preflight(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    away = Grid(shape=HU.shape, spacing_mm=GRID.spacing_mm, origin_mm=(900.0, 0.0, 0.0))
    write(tmp_path / "data" / "1PA001" / "ct.nii.gz", HU, "HU", away)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (case,) = cohort.cases
    assert case.import_problem is None
    assert not load_case(cohort, case, tmp_path / "out").mask.any()


def test_importing_again_overwrites_links_and_never_the_originals(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.nii.gz")}
    first = import_cohort(tmp_path / "data", tmp_path / "out")
    assert import_cohort(tmp_path / "data", tmp_path / "out") == first
    assert {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.nii.gz")} == before


def test_several_workers_make_the_same_cohort(tmp_path):
    for number in range(3):
        write_pair(tmp_path / "data" / f"1PA00{number}", ".nii.gz")
    calls: list[tuple[int, int, str]] = []
    one = import_cohort(tmp_path / "data", tmp_path / "out")
    two = import_cohort(
        tmp_path / "data", tmp_path / "out", workers=2, progress=lambda *call: calls.append(call)
    )
    assert one.digest == two.digest
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]


# --- what is no cohort -------------------------------------------------------------------


def test_what_is_no_cohort_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("hello")
    write_sts(tmp_path / "both" / "nifti" / "STS_001")
    write_patient(tmp_path / "both" / "dicom")
    for folder, sentence in (
        ("absent", "no folder or table at"),
        ("empty", "holds no files"),
        ("notes", "holds no known layout"),
        ("both", r"several layouts \(sts, dicom\)"),
    ):
        with pytest.raises(InputError, match=sentence):
            import_cohort(tmp_path / folder, tmp_path / "out")
    with pytest.raises(InputError, match="Unknown layout 'bids'"):
        import_cohort(tmp_path / "both", tmp_path / "out", layout="bids")
    with pytest.raises(InputError, match="Unknown modality 'US'"):
        import_cohort(tmp_path / "both", tmp_path / "out", source_modality="US")
    assert detect_layout(tmp_path / "both" / "nifti") == "sts"


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


# --- small parts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "modality", "expected"),
    [
        ("SIEMENS / MIM Software", "MR", "Siemens"),
        ("Siemens Healthineers", "CT", "Siemens"),
        ("GE MEDICAL SYSTEMS", "MR", "GE"),
        ("Philips Medical Systems", "MR", "Philips"),
        ("TOSHIBA_MEC", "CT", "Canon"),
        ("Varian Medical Systems", "MR", None),
        ("Varian Medical Systems", "CBCT", "Varian"),
        ("Acme Imaging", "MR", "Acme Imaging"),
        ("  ", "MR", None),
    ],
)
def test_manufacturers_have_one_name_each(text, modality, expected):
    assert normalise_manufacturer(text, modality) == expected


def test_age_bands():
    assert [age_band(years) for years in (0.2, 9.9, 10, 69.9, 90, 104)] == [
        *("0-9", "0-9", "10-19", "60-69", "90+", "90+")
    ]


def volume_of(array: np.ndarray) -> Volume:
    return Volume(
        array=array.astype(np.float32),
        grid=Grid(shape=array.shape, spacing_mm=(2.0, 2.0, 3.0)),
        quantity="HU",
    )


def test_the_body_is_filled_keeps_both_legs_and_drops_the_couch():
    hu = np.full((40, 30, 6), -1000.0)
    hu[3:15, 5:20] = 30
    hu[22:36, 5:20] = 30
    hu[27:30, 10:14] = -900  # gas
    hu[5:35, 25] = 100  # couch: one voxel thin
    body = body_of(volume_of(hu))
    assert body.sum() == (12 + 14) * 15 * 6
    hu[:, 25] = -1000
    assert body_width_mm(volume_of(hu)) == (36 - 3) * 2.0


def test_an_implant_is_a_cluster_of_dense_voxels():
    hu = np.zeros((20, 20, 20))
    hu[5, 5, 5] = 3071
    assert not shows_implant(volume_of(hu)), "one voxel of 0.012 cm³"
    hu[5:7, 5:7, 5:7] = 3071
    assert shows_implant(volume_of(hu))


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


def test_the_manifest_is_plain_yaml(tmp_path):
    write_patient(tmp_path / "data")
    import_cohort(tmp_path / "data", tmp_path / "out")
    data = yaml.safe_load((tmp_path / "out" / "manifest.yaml").read_text())
    assert re.fullmatch(r"p[0-9a-f]{12}-1", data["cases"][0]["case"])
