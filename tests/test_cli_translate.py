"""The verb translate: from a cohort, a DICOM folder or a file, to NIfTI or to a DICOM series."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.core.volume import Volume
from qa_suite.io.cases import LoadedCase
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.images import read_image, write_image
from qa_suite.io.layouts.dicom_cases import list_dicom
from qa_suite.io.layouts.layouts import Query
from tests.dicom_factory import body_phantom, write_patient, write_series
from tests.dicom_validator import SYNTHETIC_DATA, errors_of
from tests.tiny_cohort import make_tiny_cohort, pair

MODEL = "models:/pelvis-mr-to-ct/3"
SAGITTAL = (0, 1, 0, 0, 0, -1)
WHEN = ["--when", "2026-01-31T14:05:00"]
BY_HAND = ["--patient-id", "X1", "--study-uid", "1.2.3", "--frame-of-reference-uid", "1.2.4"]


@pytest.fixture
def model(monkeypatch) -> dict:
    """A stand-in for a registered model: it adds 1000 HU to air; facts may be changed."""
    facts = {
        "uri": MODEL,
        "name": "pelvis-mr-to-ct",
        "version": "3",
        "family": "intensity",
        "weights_sha256": "0c" * 32,
        "direction": "MR->CT",
        "quantity": "HU",
        "seen": [],
    }

    def load(uri: str, asked: dict, trust: tuple[str, ...]):
        facts["asked"] = asked

        def translate(loaded: LoadedCase) -> Prediction:
            facts["seen"].append(loaded.source.quantity)
            array = (loaded.source.array - 1000) * (1 if facts["quantity"] == "HU" else 0.01)
            quantity = facts["quantity"]
            return Prediction(mean=Volume(array=array, grid=loaded.source.grid, quantity=quantity))

        told = {key: facts[key] for key in facts if key not in ("quantity", "seen")}
        return ModelFacts(**told), translate

    monkeypatch.setattr("qa_suite.evaluation.registered.load_translator", load)
    return facts


def write_mr(folder: Path, **more) -> Path:
    tags = {"Manufacturer": "SIEMENS", "PatientPosition": "HFS"} | more
    write_series(folder, np.maximum(body_phantom() + 400, 0), modality="MR", **tags)
    return folder


def words(source: Path, out: Path, *more: str) -> list[str]:
    return ["translate", MODEL, str(source), str(out), *more]


def headers_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def test_a_dicom_folder_becomes_a_dicom_series(tmp_path, model, capsys):
    source = write_mr(tmp_path / "mr")
    assert run(words(source, tmp_path / "out", "--as", "dicom", *WHEN)) == 0
    told = capsys.readouterr()
    assert "10 slices, SYNTHETIC CT: pelvis-mr-to-ct/3; stored in steps of 1 HU" in told.out
    assert told.err == ""
    (series,) = scan_dicom(tmp_path / "out").series
    (before,) = scan_dicom(source).series
    back, image = read_series(series), read_series(before)
    assert (series.modality, back.quantity) == ("CT", "HU")
    assert np.array_equal(back.array, image.array - 1000)
    assert back.grid.same_as(image.grid, tolerance_mm=1e-6)
    assert model["seen"] == ["arbitrary"]
    header = series.header
    assert (header.SeriesDate, header.SeriesTime) == ("20260131", "140500")
    assert header.PatientID == before.header.PatientID
    versions = header.SoftwareVersions
    assert versions[0].startswith("0.") and versions[1:] == ["0c" * 32, MODEL]
    assert errors_of(series.slices[0].path, "CTImage", unknown=SYNTHETIC_DATA) == []


def test_the_same_command_gives_the_same_bytes(tmp_path, model):
    source = write_mr(tmp_path / "mr")
    for name in ("a", "b"):
        assert run(words(source, tmp_path / name, "--as", "dicom", *WHEN)) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_dicom_folder_becomes_a_nifti_file(tmp_path, model, capsys):
    source = write_mr(tmp_path / "mr")
    assert run(words(source, tmp_path / "out")) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "mr.nii.gz")
    back = read_image(tmp_path / "out" / "mr.nii.gz", "HU")
    image = read_series(scan_dicom(source).series[0])
    assert np.array_equal(back.array, image.array - 1000)
    assert back.grid.same_as(image.grid)


def test_a_sagittal_source_stays_sagittal_unless_axial_is_asked_for(tmp_path, model):
    source = write_mr(tmp_path / "mr", orientation=SAGITTAL)
    image = read_series(scan_dicom(source).series[0])
    shapes = {}
    for name, more in (("as-it-is", []), ("axial", ["--axial"])):
        assert run(words(source, tmp_path / name, "--as", "dicom", *more)) == 0
        back = read_series(scan_dicom(tmp_path / name).series[0])
        shapes[name] = back.grid.shape
        for index in ((0, 0, 0), (3, 7, 2), (19, 15, 9)):
            there = tuple(np.rint(back.grid.to_index(image.grid.to_world(index))).astype(int))
            assert back.grid.to_world(there) == pytest.approx(image.grid.to_world(index), abs=1e-3)
            assert back.array[there] == image.array[index] - 1000
    assert shapes == {"as-it-is": (20, 16, 10), "axial": (10, 20, 16)}
    axial = headers_in(tmp_path / "axial")
    assert list(axial[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert len(axial) == 16 and len(axial[0].SourceImageSequence) == 10


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_a_file_takes_patient_and_study_of_the_series_that_is_named(tmp_path, model, suffix):
    source = write_mr(tmp_path / "mr")
    (series,) = scan_dicom(source).series
    image = read_series(series)
    write_image(image, tmp_path / f"x{suffix}")
    out = tmp_path / "out"
    assert run(words(tmp_path / f"x{suffix}", out, "--as", "dicom", "--like", str(source))) == 0
    for header in headers_in(out):
        assert header.PatientID == series.header.PatientID
        assert header.FrameOfReferenceUID == series.header.FrameOfReferenceUID
        assert len(header.SourceImageSequence) == 1  # it lies on the series' own grid
    back = read_series(scan_dicom(out).series[0])
    assert np.array_equal(back.array, image.array - 1000)


def test_a_file_turns_axial_with_identifiers_given_by_hand(tmp_path, model, capsys):
    mr, _, _ = pair(1)
    grid = replace(mr.grid, direction=(0, -1, 0, 0, 0, -1, 1, 0, 0))
    write_image(replace(mr, grid=grid), tmp_path / "x.mha")
    out = tmp_path / "out"
    assert run(words(tmp_path / "x.mha", out, "--as", "dicom", *BY_HAND)) == 0
    header = headers_in(out)[0]
    assert header.PatientPosition == "" and "Patient Position" in capsys.readouterr().err
    assert (header.PatientID, header.StudyInstanceUID) == ("X1", "1.2.3")
    assert list(header.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert errors_of(out / "CT_0001.dcm", "CTImage", unknown=SYNTHETIC_DATA) == []


def test_a_cohort_becomes_series_under_its_pseudonyms(tmp_path, model, capsys):
    make_tiny_cohort(tmp_path / "cohort", "tss")
    out = tmp_path / "out"
    assert run(words(tmp_path / "cohort", out, "--as", "dicom", *WHEN)) == 0
    assert "2 synthetic series" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["case2", "case3"]
    headers = [headers_in(out / name)[0] for name in ("case2", "case3")]
    for header, patient in zip(headers, ("patient2", "patient3"), strict=True):
        assert header.PatientID == patient and header.PatientIdentityRemoved == "YES"
        assert header.DeidentificationMethod == "pseudonym of a qa-suite cohort"
        assert not header.StudyDate and not header.PatientBirthDate
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID"):
        assert headers[0][keyword].value != headers[1][keyword].value
    assert run(words(tmp_path / "cohort", tmp_path / "nifti")) == 0
    assert (tmp_path / "nifti" / "case2.nii.gz").is_file()


@pytest.mark.parametrize(
    ("direction", "quantity", "modality", "unit"),
    [
        ("MR->PET", "SUVbw", "PT", "SUVbw"),
        ("MR->PT", "SUVbw", "PT", "SUVbw"),
        ("MR->MR", "arbitrary", "MR", "arbitrary units"),
        ("MR->CBCT", "HU", "CT", "HU"),
    ],
)
def test_every_direction_has_its_storage_class(
    tmp_path, model, capsys, direction, quantity, modality, unit
):
    model |= {"direction": direction, "quantity": quantity}
    assert run(words(write_mr(tmp_path / "mr"), tmp_path / "out", "--as", "dicom")) == 0
    assert f"{unit}, so rounded" in capsys.readouterr().out
    (series,) = scan_dicom(tmp_path / "out").series
    assert series.modality == modality and read_series(series).quantity == quantity


def test_a_cone_beam_ct_is_a_ct_to_dicom(tmp_path, model):
    model |= {"direction": "CBCT->CT"}
    write_series(tmp_path / "cbct", body_phantom() + 1024)
    assert run(words(tmp_path / "cbct", tmp_path / "out", "--as", "dicom")) == 0
    assert model["seen"] == ["HU"]


def test_of_several_series_the_models_own_or_the_named_is_taken(tmp_path, model, capsys):
    study = tmp_path / "study"
    write_mr(study / "t1", SeriesInstanceUID="1.2.3.1", SeriesDescription="t1")
    write_series(study / "ct", body_phantom() + 1024)
    assert run(words(study, tmp_path / "a", "--as", "dicom")) == 0
    write_mr(study / "t2", SeriesInstanceUID="1.2.3.2", SeriesDescription="t2")
    capsys.readouterr()
    assert run(words(study, tmp_path / "b", "--as", "dicom")) == 2
    said = capsys.readouterr().err
    assert "2 MR series; name one by --series" in said and "'t2', 10 slices, 1.2.3.2" in said
    assert run(words(study, tmp_path / "b", "--as", "dicom", "--series", "1.2.3.2")) == 0
    made = headers_in(tmp_path / "b")[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert made in {header.SOPInstanceUID for header in headers_in(study / "t2")}


def test_what_was_synthesized_is_no_source_and_no_reference_unless_it_is_named(
    tmp_path, model, capsys
):
    """A synthetic CT in the patient's study must not be taken for the CT."""
    study, told = tmp_path / "study", []
    mr_to_ct = {"source_modality": "MR", "reference_modality": "CT"}
    write_patient(study)
    assert run(words(study, study / "sct", "--as", "dicom")) == 0
    (case,) = list_dicom(study, Query(**mr_to_ct, report=told.append))
    assert case.problem is None and not case.reference.synthetic
    assert told == ["1 series marked as synthetic: left out."]
    shutil.rmtree(study / "ct")
    (case,) = list_dicom(study, Query(**mr_to_ct))
    assert case.problem == "it has no CT series"
    model |= {"direction": "CT->CT"}
    capsys.readouterr()
    assert run(words(study, tmp_path / "out", "--as", "dicom")) == 2
    said = one_sentence(capsys)
    assert "translates CT" in said and "'SYNTHETIC CT: pelvis-mr-to-ct/3'" in said
    uid = headers_in(study / "sct")[0].SeriesInstanceUID
    assert run(words(study, tmp_path / "out", "--as", "dicom", "--series", uid)) == 0
    assert headers_in(tmp_path / "out")[0].SyntheticData == "YES"


# ------------------------------------------------------------------------ refused


def one_sentence(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("qa-suite: "), lines
    return lines[0]


def test_what_does_not_fit_together_is_one_sentence(tmp_path, model, capsys):
    source = write_mr(tmp_path / "mr")
    write_image(pair(1)[0], tmp_path / "x.nii.gz")
    make_tiny_cohort(tmp_path / "cohort", "ts")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("x")
    nifti, cohort, dicom = tmp_path / "x.nii.gz", tmp_path / "cohort", ["--as", "dicom"]
    like = ["--like", str(source)]
    cases = [
        (source, ["--as", "jpeg"], "Unknown format 'jpeg'; known: nifti, dicom"),
        (source, [*WHEN, "--axial"], "--axial and --when belong to DICOM; add --as dicom"),
        (nifti, BY_HAND, "--patient-id and --study-uid.* add --as dicom"),
        (source, [*dicom, "--when", "yesterday"], "'yesterday' is no time"),
        (source, [*dicom, "--when", "2026-01-31T14:05+02:00"], "has a zone"),
        (source, [*dicom, *like], "--like: for a NIfTI or MHA file only; .* says itself"),
        (cohort, [*dicom, *BY_HAND], "says itself whose it is"),
        (nifti, dicom, "give --like FOLDER.* or --patient-id and --study-uid and --frame"),
        (nifti, [*dicom, *BY_HAND[:2]], "or --study-uid and --frame-of-reference-uid"),
        (nifti, [*dicom, *like, *BY_HAND[:2]], "leave --patient-id away"),
        (nifti, [*dicom, *BY_HAND, "--patient-position", "LYING"], "'LYING'; known: HFS"),
        (nifti, [*dicom, *BY_HAND[:3], "abc", *BY_HAND[4:]], "the study 'abc' is no UID"),
        (nifti, [*dicom, "--like", str(tmp_path / "empty")], "neither a cohort.s manifest nor"),
        (nifti, [*dicom, "--series", "1.2"], "--series chooses from a DICOM folder"),
        (tmp_path / "nowhere", dicom, "There is no cohort, DICOM folder or image"),
        (tmp_path / "empty", dicom, "neither a cohort's manifest nor a DICOM image series"),
        (source / "IM0000.dcm", dicom, "of DICOM name the folder"),
        (source, [*dicom, "--series", "1.2"], "holds no MR series 1.2; it holds: MR"),
    ]
    for given, options, expected in cases:
        assert run(words(given, tmp_path / "out", *options)) == 2, options
        assert re.search(expected, said := one_sentence(capsys)), said
        assert not (tmp_path / "out").exists()
    assert run(words(source, tmp_path / "full", *dicom)) == 2
    assert str(tmp_path / "full") in one_sentence(capsys)
    assert model["seen"] == []  # nothing was translated in vain


def test_a_series_of_another_modality_is_refused(tmp_path, model, capsys):
    write_series(tmp_path / "ct", body_phantom() + 1024)
    assert run(words(tmp_path / "ct", tmp_path / "out", "--as", "dicom")) == 2
    assert re.search(r"\bMR\b.*\bCT\b", one_sentence(capsys))
    assert not (tmp_path / "out").exists() and model["seen"] == []


def test_a_source_with_a_gap_is_refused(tmp_path, model, capsys):
    write_mr(tmp_path / "mr", skip=(4,))
    assert run(words(tmp_path / "mr", tmp_path / "out", "--as", "dicom")) == 2
    assert "slice missing" in one_sentence(capsys)
    assert not (tmp_path / "out").exists() and model["seen"] == []


def test_a_file_of_another_place_than_its_series_is_refused(tmp_path, model, capsys):
    source = write_mr(tmp_path / "mr")
    mr = pair(1)[0]
    far = replace(mr, grid=replace(mr.grid, origin_mm=(900.0, 0.0, 0.0)))
    write_image(far, tmp_path / "x.nii.gz")
    options = ["--as", "dicom", "--like", str(source)]
    assert run(words(tmp_path / "x.nii.gz", tmp_path / "out", *options)) == 2
    assert re.search(r"40×32×12 .*20×16×10 ", one_sentence(capsys))
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------ a registered model


def test_a_registered_model_exports_a_series_with_its_hash(tmp_path, own_store, capsys):
    from translators.registry.train import train
    from translators.spec import load_spec

    make_tiny_cohort(tmp_path / "cohort", "ttvs")
    cohort = load_cohort(tmp_path / "cohort")
    trained = train(
        load_spec("intensity"),
        cohort,
        tmp_path / "cohort",
        workdir=tmp_path / "work",
        register_as="tiny",
    )
    mr, _, _ = pair(9)
    write_series(
        tmp_path / "mr",
        np.rint(mr.array).astype(np.int16),
        modality="MR",
        spacing_mm=mr.grid.spacing_mm,
        PatientPosition="HFS",
    )
    command = ["translate", trained.uri, str(tmp_path / "mr"), str(tmp_path / "out")]
    assert run([*command, "--as", "dicom"]) == 0
    back = read_series(scan_dicom(tmp_path / "out").series[0])
    assert back.array.min() < -900 and back.array.max() > 300  # air and bone
    header = headers_in(tmp_path / "out")[0]
    assert len(header.SoftwareVersions[1]) == 64
    assert header.SoftwareVersions[2] == "models:/tiny/1"
    assert "family intensity" in header.DerivationDescription
