"""Surrogate doses as RTDOSE: read back, accepted by a validator, and marked as what they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from qa_suite.cli import run
from qa_suite.core.errors import GeometryError, InputError, QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.exporting import ExportIdentity
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.images import write_image
from qa_suite.io.rt.dose.export import write_dose
from qa_suite.io.rt.dose.given import read_given_doses
from qa_suite.io.rt.dose.read import read_rtdose
from qa_suite.io.rt.dose.request import parse_requests
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.same_patient import check_same_patient
from qa_suite.io.rt.structures import read_structure_set
from tests.dicom_factory import body_phantom, rectangle, uid, write_series, write_structures
from tests.dicom_validator import errors_of
from tests.plan_factory import write_plan
from tests.rt_factory import read_dose
from tests.rt_factory import write_dose as write_clinical_dose

SHAPE = (9, 8, 7)
ME = ExportIdentity(patient_id="X1", study_uid="1.2.3", frame_of_reference="1.2.4")


def a_dose(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), **facts) -> Volume:
    rng = np.random.default_rng(2)
    grid = Grid(
        shape=SHAPE,
        spacing_mm=(2.5, 3.0, 2.0),
        origin_mm=(-8.125, -18.5, -28.0),
        direction=direction,
        **facts,
    )
    return Volume(array=rng.uniform(0, 70, SHAPE).astype(np.float32), grid=grid, quantity="Gy")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    write_series(folder, body_phantom() + 1024)
    return scan_dicom(folder).series[0]


@pytest.mark.parametrize("bits", [16, 32])
def test_a_dose_comes_back_within_half_a_step(tmp_path, series, bits):
    dose = a_dose()
    path = write_dose(dose, tmp_path / "d.dcm", template=series, bits=bits)
    back = read_dose(path)
    step = float(pydicom.dcmread(path).DoseGridScaling)
    assert np.abs(back.array.astype(float) - dose.array).max() <= step / 2 + 4e-6
    assert back.grid.distance_mm(dose.grid) < 1e-6
    assert back.grid.frame_of_reference == read_series(series).grid.frame_of_reference
    assert "surrogate dose exported by qa-suite" in back.history[0]


@pytest.mark.parametrize(
    "direction",
    [
        (1, 0, 0, 0, 1, 0, 0, 0, -1),  # left-handed: stored the other way round
        (-1, 0, 0, 0, -1, 0, 0, 0, 1),
        (0, 0, 1, 1, 0, 0, 0, 1, 0),
        (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1),
    ],
)
def test_every_voxel_stays_in_its_place(tmp_path, direction):
    dose = a_dose(direction)
    back = read_dose(write_dose(dose, tmp_path / "d.dcm", template=ME))
    for index in ((0, 0, 0), (3, 5, 6), (8, 7, 0)):
        there = np.rint(back.grid.to_index(dose.grid.to_world(index))).astype(int)
        assert back.grid.to_world(there) == pytest.approx(dose.grid.to_world(index), abs=1e-5)
        assert back.array[tuple(there)] == pytest.approx(dose.array[index], abs=6e-4)


def test_the_validator_accepts_it_without_a_plan(tmp_path, series):
    path = write_dose(a_dose(), tmp_path / "d.dcm", template=series, description="pelvis, sCT")
    assert errors_of(path, "RTDose") == []
    assert (
        errors_of(write_dose(a_dose(), tmp_path / "e.dcm", template=ME, fractions=30), "RTDose")
        == []
    )


def test_the_validator_accepts_it_with_an_imported_plan(tmp_path, series):
    plan = read_plan(write_plan(tmp_path / "p.dcm"))
    path = write_dose(a_dose(), tmp_path / "d.dcm", template=series, plan=plan)
    assert errors_of(path, "RTDose") == []
    back = read_rtdose(path)
    assert (back.summation, back.plan_uids) == ("PLAN", (plan.uid,))


def test_it_says_what_it_is(tmp_path, series):
    path = write_dose(a_dose(), tmp_path / "d.dcm", template=series, description="pelvis")
    header = pydicom.dcmread(path)
    assert "NOT FOR TREATMENT" in header.DoseComment
    assert header.SeriesDescription == "SURROGATE DOSE: pelvis"
    assert header.ManufacturerModelName == "qa-suite surrogate dose"
    assert header.DoseSummationType == "PLAN_OVERVIEW"
    assert "ReferencedRTPlanSequence" not in header
    assert header.PatientID == series.header.PatientID
    assert header.StudyInstanceUID == series.header.StudyInstanceUID
    assert header.SeriesInstanceUID != series.series_uid


def test_the_same_dose_gives_the_same_bytes(tmp_path):
    first, second = (write_dose(a_dose(), tmp_path / f"{n}.dcm", template=ME) for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = replace(a_dose(), array=a_dose().array + 1)
    third = write_dose(other, tmp_path / "c.dcm", template=ME)
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in (first, third)]
    assert uids[0] != uids[1]


def test_what_is_not_exported(tmp_path, series):
    path = tmp_path / "d.dcm"
    refused = [
        (replace(a_dose(), quantity="HU"), {}, InputError, "not HU"),
        (a_dose(frame_of_reference="for-1"), {}, GeometryError, "for-1"),
        (a_dose(), {"description": "x" * 60}, InputError, "48 fit"),
        (
            replace(a_dose(), grid=replace(a_dose().grid, origin_mm=(900, 0, 0))),
            {},
            GeometryError,
            "does not overlap",
        ),
        (replace(a_dose(), array=-a_dose().array), {}, InputError, "no dose"),
    ]
    for volume, options, kind, words in refused:
        with pytest.raises(kind, match=words):
            write_dose(volume, path, template=series, **options)
    flat = Grid(shape=(4, 4, 1), spacing_mm=(1, 1, 1))
    with pytest.raises(GeometryError, match="single plane"):
        write_dose(
            Volume(array=np.ones((4, 4, 1)), grid=flat, quantity="Gy"), path, template=series
        )
    assert not list(tmp_path.iterdir())


def test_a_plan_of_another_patient_is_refused(tmp_path, series):
    other = read_plan(write_plan(tmp_path / "p.dcm", PatientID="SOMEONE-ELSE"))
    with pytest.raises(InputError, match="a plan of another patient") as caught:
        write_dose(a_dose(), tmp_path / "d.dcm", template=series, plan=other)
    assert "SOMEONE" not in str(caught.value)


def test_files_of_one_patient_pass_and_strangers_are_named(tmp_path, series):
    write_clinical_dose(tmp_path / "dose.dcm", np.ones((3, 3, 3)))
    write_plan(tmp_path / "plan.dcm", PatientID=" mrn-4711-0815 ")
    write_structures(tmp_path / "rs.dcm", {"PTV": [rectangle((0, 1), (0, 1), 0.0)]})
    files = [tmp_path / name for name in ("dose.dcm", "plan.dcm", "rs.dcm")]
    check_same_patient(files)
    check_same_patient([series, read_rtdose(files[0]), read_plan(files[1])])
    check_same_patient([read_structure_set(files[2]), *files])
    check_same_patient([])
    write_clinical_dose(tmp_path / "other.dcm", np.ones((3, 3, 3)), PatientID="B-2")
    with pytest.raises(InputError, match=r"other\.dcm is a dose of another patient than the dose"):
        check_same_patient([files[0], tmp_path / "other.dcm"])


def test_a_file_without_identifier_is_known_by_its_frame_of_reference(tmp_path):
    blank = {"PatientID": ""}
    write_clinical_dose(tmp_path / "a.dcm", np.ones((3, 3, 3)))
    frame = {"FrameOfReferenceUID": uid("frame", "MRN-4711-0815")}
    write_clinical_dose(tmp_path / "b.dcm", np.ones((3, 3, 3)), **blank, **frame)
    check_same_patient([tmp_path / "a.dcm", tmp_path / "b.dcm"])
    write_clinical_dose(
        tmp_path / "c.dcm", np.ones((3, 3, 3)), **blank, FrameOfReferenceUID=uid("elsewhere")
    )
    for first in ("a.dcm", "b.dcm"):
        with pytest.raises(InputError, match="no patient identifier"):
            check_same_patient([tmp_path / first, tmp_path / "c.dcm"])


def test_the_verb_exports_and_tells(tmp_path, capsys):
    write_series(tmp_path / "ct", body_phantom() + 1024)
    dose = a_dose()
    write_image(replace(dose, array=dose.array * 100), tmp_path / "dose.nii.gz")
    words = [
        "export-dose",
        str(tmp_path / "dose.nii.gz"),
        "--like",
        str(tmp_path / "ct"),
        "--out",
        str(tmp_path / "out" / "dose.dcm"),
        "--dose-unit",
        "cGy",
        "--json",
    ]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["maximum_gy"] == pytest.approx(dose.array.max(), abs=1e-3)
    assert 0 < told["largest_change_gy"] < 1e-3 and told["refers_to_a_plan"] is False
    back = read_dose(tmp_path / "out" / "dose.dcm")
    assert np.abs(np.sort(back.array.ravel()) - np.sort(dose.array.ravel())).max() < 1e-3
    assert errors_of(tmp_path / "out" / "dose.dcm", "RTDose") == []
    assert run(words[:-3]) == 2
    assert "--dose-unit cGy" in capsys.readouterr().err


def loaded(folder: Path, names: tuple[str, ...], unit: str) -> list[Volume]:
    requests = parse_requests({"dose-unit": unit}, len(names))
    return [one.volume for one in read_given_doses([folder / n for n in names], requests)]


def test_doses_to_compare_are_read_by_one_rule(tmp_path):
    dose = a_dose()
    write_image(dose, tmp_path / "gy.nii.gz")
    write_image(replace(dose, array=dose.array * 100), tmp_path / "cgy.mha")
    write_image(replace(dose, array=dose.array / 100), tmp_path / "small.mha")
    write_clinical_dose(tmp_path / "a.dcm", dose.array)
    write_clinical_dose(tmp_path / "b.dcm", dose.array, PatientID="B-2")
    dicom, silent = loaded(tmp_path, ("a.dcm", "cgy.mha"), "cGy")
    assert dicom.array.max() == pytest.approx(silent.array.max(), rel=1e-5)
    silent, other = loaded(tmp_path, ("gy.nii.gz", "cgy.mha"), "Gy,cGy")
    assert other.array.max() == pytest.approx(silent.array.max(), rel=1e-5)
    refused = [
        (("a.dcm", "b.dcm"), "Gy", "another patient"),
        (("a.dcm", "a.dcm"), "cGy", "says its own unit"),
        (("gy.nii.gz", "small.mha"), "Gy", "factor of 100"),
        (("gy.nii.gz", "cgy.mha"), "Gy", "no external beam dose.*--dose-unit Gy,cGy"),
        (("gy.nii.gz",), "mGy", "dose-unit.*'mGy'"),
    ]
    for names, unit, words in refused:
        with pytest.raises(QAError, match=words):
            loaded(tmp_path, names, unit)
