"""Images, places and sources that are not exported as DICOM series, and what is left then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError, Problems
from qa_suite.core.volume import Grid
from qa_suite.io.dicom.exporting import ExportIdentity
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series_marks import SyntheticFacts
from qa_suite.io.problems import ReadProblem
from tests import series_export_cases
from tests.dicom_factory import body_phantom, write_series
from tests.series_export_cases import ME, WHEN, export, synthetic, write_mr

# Fixtures, by the names that the tests ask for.
mr = series_export_cases.mr


def refused(tmp_path, kind, words, volume, like=ME, modality="CT", **more) -> None:
    with pytest.raises(kind, match=words) as caught:
        export(volume, tmp_path / "refused", like, modality, **more)
    assert str(caught.value).count("\n") == 0
    assert not (tmp_path / "refused").exists() and not list(tmp_path.glob(".refused*"))


def test_values_that_cannot_be_stored_are_refused_and_never_clipped(tmp_path):
    grid = Grid(shape=(4, 4, 3), spacing_mm=(1, 1, 1))
    volume = synthetic(None, grid=grid)
    for value, words in ((np.nan, "1 of 48 values"), (np.inf, "1 of 48"), (40000, "40000 HU")):
        wrong = volume.with_array(volume.array.copy())
        wrong.array[1, 1, 1] = value
        refused(tmp_path, InputError, words, wrong)
    refused(tmp_path, InputError, "holds HU values.*holds SUVbw", replace(volume, quantity="SUVbw"))
    refused(tmp_path, InputError, "holds SUVbw values.*holds HU", volume, modality="PT")
    refused(tmp_path, InputError, "'US' are not exported; known: CT, MR, PT", volume, modality="US")


def test_places_that_make_no_sense_are_refused(tmp_path, mr):
    volume = synthetic(mr)
    flat = Grid(shape=(4, 4, 1), spacing_mm=(1, 1, 1))
    refused(tmp_path, GeometryError, "single slice", synthetic(None, grid=flat))
    far = replace(volume, grid=replace(volume.grid, origin_mm=(900.0, 0.0, 0.0)))
    refused(tmp_path, GeometryError, "does not overlap", far, mr)
    foreign = replace(volume, grid=replace(volume.grid, frame_of_reference="for-1"))
    refused(tmp_path, GeometryError, "for-1", foreign, mr)
    refused(tmp_path, InputError, "has a zone", volume, mr, when=WHEN.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("skip", "shift", "words"),
    [((4,), 0.0, "slice missing between"), ((), 1.0, "irregular distances")],
)
def test_sources_with_gaps_are_refused(tmp_path, mr, skip, shift, words):
    def move(k, dataset):
        if k == 5:
            dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], -10 + shift]

    write_series(tmp_path / "gap", body_phantom(), modality="MR", skip=skip, change=move)
    (series,) = scan_dicom(tmp_path / "gap").series
    shutil.rmtree(tmp_path / "gap")
    volume = synthetic(mr)
    refused(tmp_path, ReadProblem, words, volume, series)


def test_a_source_without_a_frame_of_reference_is_refused(tmp_path):
    series = write_mr(tmp_path / "mr", FrameOfReferenceUID=None)
    refused(tmp_path, InputError, "no FrameOfReferenceUID", synthetic(series), series)


def test_a_folder_with_files_is_left_alone(tmp_path, mr):
    (tmp_path / "out").mkdir()
    export(synthetic(mr), tmp_path / "out", mr)  # an empty one is taken
    with pytest.raises(InputError, match="not empty"):
        export(synthetic(mr), tmp_path / "out", mr)
    with pytest.raises(InputError, match="not empty"):
        export(synthetic(mr), tmp_path / "out" / "CT_0001.dcm", mr)
    assert len(list((tmp_path / "out").iterdir())) == 10


def test_a_failure_on_the_way_leaves_nothing(tmp_path, mr, monkeypatch):
    def full(dataset, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qa_suite.io.dicom.series_export.save", full)
    with pytest.raises(OSError):
        export(synthetic(mr), tmp_path / "out", mr)
    assert not list(tmp_path.iterdir())


def test_facts_that_no_header_can_hold_are_refused_together():
    with pytest.raises(Problems) as caught:
        SyntheticFacts(
            model_uri="",
            weights_sha256="abc",
            family="a\\b",
            software_version="1",
            description="x" * 60,
        )
    for words in ("model_uri is empty", "'abc' is no SHA-256", "backslash", "60 characters"):
        assert words in str(caught.value)
    with pytest.raises(Problems) as caught:
        ExportIdentity(
            patient_id=" ", study_uid="1.02", frame_of_reference="", patient_position="ABC"
        )
    for words in ("identifier is empty", "'1.02' is no UID", "'' is no UID", "'ABC'; known: HFS"):
        assert words in str(caught.value)
