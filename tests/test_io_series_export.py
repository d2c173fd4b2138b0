"""Synthetic images as DICOM series: read back, accepted by a validator, marked as what they are."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import GeometryError, InputError, Problems
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.exporting import ExportIdentity
from qa_suite.io.dicom.headers import Series, scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.dicom.series_export import ExportedSeries, export_series, uid_of
from qa_suite.io.dicom.series_marks import SyntheticFacts
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.dose.export import write_dose
from tests.dicom_factory import body_phantom, new_file, write_series
from tests.dicom_validator import SYNTHETIC_DATA, errors_of

WHEN = datetime(2026, 1, 31, 14, 5, 9)
FACTS = SyntheticFacts(
    model_uri="models:/pelvis-mr-to-ct/7",
    weights_sha256="0a" * 32,
    family="regression",
    software_version="0.1.0",
    description="pelvis-mr-to-ct/7",
)
ME = ExportIdentity(
    patient_id="X1", study_uid="1.2.3", frame_of_reference="1.2.4", patient_position="HFS"
)
KINDS = {"CT": ("HU", 1.0), "MR": ("arbitrary", 3.7), "PT": ("SUVbw", 0.01)}
OF_KIND = {"CT": "CTImage", "MR": "MRImage", "PT": "PETImage"}

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
OBLIQUE = (0.936293364, -0.275095847, 0.218350663, 0.289629478, 0.956425086, -0.036957013)
PRONE = (-1, 0, 0, 0, -1, 0)


def write_mr(folder: Path, *, orientation=AXIAL, **tags) -> Series:
    signal = np.maximum(body_phantom() + 400, 0)
    tags = {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Avanto",
        "PatientPosition": "HFS",
        "SeriesNumber": 4,
        "StudyTime": "101500",
        "StudyID": "S1",
        "BodyPartExamined": "PELVIS",
    } | tags
    write_series(
        folder, signal, modality="MR", orientation=orientation, order=range(9, -1, -1), **tags
    )
    return scan_dicom(folder).series[0]


@pytest.fixture(scope="module")
def mr(tmp_path_factory) -> Series:
    return write_mr(tmp_path_factory.mktemp("mr"))


def synthetic(series: Series | None, modality: str = "CT", grid: Grid | None = None) -> Volume:
    """A different value in every voxel, negative ones too, on the grid of a series."""
    quantity, scale = KINDS[modality]
    grid = grid or read_series(series).grid
    rng = np.random.default_rng(3)
    array = rng.uniform(-900, 1500, grid.shape) * scale
    return Volume(array=array.astype(np.float32), grid=grid, quantity=quantity)


def export(volume: Volume, out: Path, like=ME, modality: str = "CT", **more) -> ExportedSeries:
    settings = {"synthetic": FACTS, "when": WHEN} | more
    return export_series(volume, like=like, modality=modality, out_dir=out, **settings)


def read_back(done: ExportedSeries) -> Volume:
    (series,) = scan_dicom(done.folder).series
    return read_series(series)


def within_half_a_step(back: np.ndarray, given: np.ndarray, step: float) -> bool:
    """Half a step, and the rounding of two float32 numbers."""
    slack = 4e-7 * float(np.abs(given).max())
    return float(np.abs(back.astype(float) - given).max()) <= step / 2 + slack


# ------------------------------------------------------------------------ values and geometry


@pytest.mark.parametrize("modality", list(KINDS))
def test_values_come_back_within_half_a_step(tmp_path, mr, modality):
    volume = synthetic(mr, modality)
    done = export(volume, tmp_path / "out", mr, modality)
    back = read_back(done)
    assert back.quantity == KINDS[modality][0]
    assert within_half_a_step(back.array, volume.array, done.step)
    assert not within_half_a_step(back.array + 1.1 * done.step, volume.array, done.step)
    assert back.grid.distance_mm(volume.grid) < 1e-6
    assert back.grid.frame_of_reference == volume.grid.frame_of_reference


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, OBLIQUE, PRONE])
def test_each_slice_lies_where_its_source_lies(tmp_path, orientation):
    series = write_mr(tmp_path / "mr", orientation=orientation)
    volume = synthetic(series)
    done = export(volume, tmp_path / "out", series)
    assert read_back(done).grid.distance_mm(volume.grid) < 1e-6
    sources = {header.SOPInstanceUID: header for header in headers_in(tmp_path / "mr")}
    for header in headers_in(done.folder):
        (reference,) = header.SourceImageSequence
        source = sources.pop(reference.ReferencedSOPInstanceUID)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert header[keyword].value == pytest.approx(source[keyword].value, abs=1e-7)
    assert not sources  # each source slice has its synthetic one


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
def test_simpleitk_reads_the_same(tmp_path, orientation):
    series = write_mr(tmp_path / "mr", orientation=orientation)
    volume = synthetic(series)
    done = export(volume, tmp_path / "out", series)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(done.folder), done.series_uid))
    image = reader.Execute()
    for index in ((0, 0, 0), (7, 3, 9), (19, 15, 4)):
        place = volume.grid.to_world(index)
        assert image.TransformIndexToPhysicalPoint(index) == pytest.approx(place, abs=1e-3)
        assert image[index] == pytest.approx(volume.array[index], abs=0.5)


@pytest.mark.parametrize(
    "direction",
    [
        (1, 0, 0, 0, 1, 0, 0, 0, -1),  # left-handed: slices are written in the other order
        (-1, 0, 0, 0, -1, 0, 0, 0, 1),
        (0, 0, 1, 1, 0, 0, 0, 1, 0),
        (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1),
    ],
)
def test_every_voxel_stays_in_its_place_without_a_source_series(tmp_path, direction):
    place = {"spacing_mm": (2.5, 3, 2), "origin_mm": (-8.125, -18.5, 3), "direction": direction}
    grid = Grid(shape=(9, 8, 7), **place)
    volume = synthetic(None, grid=grid)
    back = read_back(export(volume, tmp_path / "out"))
    for index in ((0, 0, 0), (3, 5, 6), (8, 7, 0)):
        there = np.rint(back.grid.to_index(grid.to_world(index))).astype(int)
        assert back.grid.to_world(there) == pytest.approx(grid.to_world(index), abs=1e-5)
        assert back.array[tuple(there)] == pytest.approx(volume.array[index], abs=0.5001)


def test_on_another_grid_of_the_frame_every_source_slice_is_referred_to(tmp_path, mr):
    grid = read_series(mr).grid
    other = replace(grid, shape=(12, 12, 3), spacing_mm=(3.0, 3.0, 5.0))
    done = export(synthetic(None, grid=other), tmp_path / "out", mr)
    assert read_back(done).grid.distance_mm(other) < 1e-6
    for header in headers_in(done.folder):
        assert len(header.SourceImageSequence) == grid.shape[2]
        assert "SpatialLocationsPreserved" not in header.SourceImageSequence[0]


def test_jittered_source_slices_are_matched_exactly(tmp_path):
    def nudge(k, dataset):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(z) + 0.04 * (-1) ** k]

    write_series(tmp_path / "mr", body_phantom(), modality="MR", change=nudge)
    (series,) = scan_dicom(tmp_path / "mr").series
    done = export(synthetic(series), tmp_path / "out", series)
    positions = [
        sorted(float(h.ImagePositionPatient[2]) for h in headers_in(folder))
        for folder in (tmp_path / "mr", done.folder)
    ]
    assert positions[0] == pytest.approx(positions[1], abs=1e-7)


def test_a_zero_image_and_a_flat_one_can_be_stored(tmp_path):
    grid = Grid(shape=(4, 4, 3), spacing_mm=(1, 1, 1))
    for number, value in enumerate((0.0, 0.25)):
        volume = Volume(array=np.full((4, 4, 3), value), grid=grid, quantity="SUVbw")
        back = read_back(export(volume, tmp_path / str(number), modality="PT"))
        assert np.allclose(back.array, value, rtol=1e-6)


# ------------------------------------------------------------------------ what it says


def headers_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("modality", list(KINDS))
@pytest.mark.parametrize("like", ["series", "identity"])
def test_the_validator_accepts_it(tmp_path, mr, modality, like):
    owner = mr if like == "series" else ME
    volume = synthetic(mr, modality)
    if like == "identity":
        volume = replace(volume, grid=replace(volume.grid, frame_of_reference=None))
    done = export(volume, tmp_path / "out", owner, modality)
    for path in (done.files[0], done.files[-1]):
        assert errors_of(path, OF_KIND[modality], unknown=SYNTHETIC_DATA) == []


@pytest.mark.parametrize("modality", list(KINDS))
def test_it_says_everywhere_that_it_is_synthetic(tmp_path, mr, modality):
    name = {"PT": "PET"}.get(modality, modality)
    done = export(synthetic(mr, modality), tmp_path / "out", mr, modality)
    for header in headers_in(done.folder):
        assert header.SyntheticData == "YES"
        assert header.ImageType[0] == "DERIVED" and header.ImageType[-1] == "SYNTHETIC"
        assert header.SeriesDescription == f"SYNTHETIC {name}: pelvis-mr-to-ct/7"
        assert header.ImageComments.startswith(f"SYNTHETIC {name}")
        assert header.Manufacturer == "qa-suite"
        assert header.ManufacturerModelName == f"qa-suite synthetic {name}"
        assert header.BurnedInAnnotation == "NO" and header.LossyImageCompression == "00"
        scanner, software = header.ContributingEquipmentSequence
        assert scanner.Manufacturer == "SIEMENS"
        assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
        assert software.Manufacturer == "qa-suite"
        assert software.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert software.ContributionDateTime == "20260131140509"
        for texts in (
            [header.DerivationDescription],
            [software.ContributionDescription],
            header.SoftwareVersions,
            software.SoftwareVersions,
        ):
            told = " ".join(texts)
            assert FACTS.model_uri in told and FACTS.weights_sha256 in told and "0.1.0" in told
        assert header.SourceImageSequence[0].SpatialLocationsPreserved == "YES"
        purpose = header.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121322", "DCM")


def test_patient_study_and_frame_are_the_sources_and_the_series_is_its_own(tmp_path, mr):
    done = export(synthetic(mr), tmp_path / "out", mr)
    source = mr.header
    uids = set()
    for header in headers_in(done.folder):
        for keyword in (
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "StudyDate",
            "StudyTime",
            "StudyID",
            "FrameOfReferenceUID",
            "PatientPosition",
            "BodyPartExamined",
        ):
            assert header[keyword].value == source[keyword].value, keyword
        assert (header.SeriesDate, header.SeriesTime) == ("20260131", "140509")
        assert header.SeriesInstanceUID == done.series_uid != mr.series_uid
        assert "AcquisitionDate" not in header  # nothing was acquired
        assert header.SeriesNumber == 1004
        uids |= {header.SOPInstanceUID, header.file_meta.MediaStorageSOPInstanceUID}
    assert len(uids) == len(done.files)
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    assert [h.InstanceNumber for h in headers_in(done.folder)] == list(range(1, 11))


def test_names_in_any_alphabet_and_overlong_study_ids_are_kept(tmp_path):
    tags = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg", "StudyID": "X" * 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = write_mr(tmp_path / "mr", **tags)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of pydicom's on the user's screen
        done = export(synthetic(series), tmp_path / "out", series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = headers_in(done.folder)[0]
        assert (str(header.PatientName), header.StudyID) == ("Müller^Jörg", "X" * 20)


def test_explicit_identifiers_are_used_and_the_rest_stays_empty(tmp_path):
    grid = Grid(shape=(5, 4, 3), spacing_mm=(1, 2, 3))
    owner = replace(ME, patient_name="A^B", deidentification="pseudonym")
    for header in headers_in(export(synthetic(None, grid=grid), tmp_path / "out", owner).folder):
        assert (header.PatientID, header.PatientName) == ("X1", "A^B")
        assert (header.StudyInstanceUID, header.FrameOfReferenceUID) == ("1.2.3", "1.2.4")
        assert header.PatientPosition == "HFS" and header.PatientIdentityRemoved == "YES"
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            assert keyword in header and not header[keyword].value
        assert "SourceImageSequence" not in header
        (software,) = header.ContributingEquipmentSequence
        assert software.Manufacturer == "qa-suite"


def test_a_pet_says_the_unit_and_how_the_patient_lay_and_nothing_of_a_tracer(tmp_path, mr):
    for header in headers_in(export(synthetic(mr, "PT"), tmp_path / "out", mr, "PT").folder):
        assert (header.Units, header.SUVType, header.RescaleIntercept) == ("GML", "BW", 0)
        assert len(header.RadiopharmaceuticalInformationSequence) == 0
        assert header.AcquisitionDate is None or header.AcquisitionDate == ""
        assert header.NumberOfSlices == 10
        lying = header.PatientOrientationCodeSequence[0]
        assert lying.CodeMeaning == "recumbent"
        assert lying.PatientOrientationModifierCodeSequence[0].CodeMeaning == "supine"
        assert header.PatientGantryRelationshipCodeSequence[0].CodeMeaning == "headfirst"


def test_what_a_source_has_gone_through_goes_on(tmp_path):
    older = Dataset()
    older.Manufacturer = "archive"
    series = write_mr(
        tmp_path / "mr",
        LossyImageCompression="01",
        LossyImageCompressionRatio="8",
        BurnedInAnnotation="YES",
        PatientIdentityRemoved="YES",
        DeidentificationMethod=["basic", "dates"],
        ContributingEquipmentSequence=DicomSequence([older]),
    )
    header = headers_in(export(synthetic(series), tmp_path / "out", series).folder)[0]
    assert (header.LossyImageCompression, header.BurnedInAnnotation) == ("01", "YES")
    assert list(header.DeidentificationMethod) == ["basic", "dates"]
    makers = [item.Manufacturer for item in header.ContributingEquipmentSequence]
    assert makers == ["archive", "SIEMENS", "qa-suite"]


def test_a_dose_exported_like_it_carries_the_mark_on(tmp_path, mr):
    done = export(synthetic(mr), tmp_path / "out", mr)
    (series,) = scan_dicom(done.folder).series
    assert series.synthetic and not mr.synthetic
    grid = Grid(shape=(4, 4, 3), spacing_mm=(2, 2, 2), origin_mm=(-5, -10, -20))
    dose = Volume(array=np.ones((4, 4, 3)), grid=grid, quantity="Gy")
    for template, expected in ((series, "YES"), (mr, None)):
        header = pydicom.dcmread(write_dose(dose, tmp_path / "d.dcm", template=template))
        assert header.get("SyntheticData") == expected


# ------------------------------------------------------------------------ UIDs


def test_the_same_translation_gives_the_same_bytes_whatever_the_folder(tmp_path, mr):
    first = export(synthetic(mr), tmp_path / "a", mr)
    second = export(synthetic(mr), tmp_path / "b", mr)
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    later = export(synthetic(mr), tmp_path / "c", mr, when=WHEN.replace(year=2027))
    assert later.series_uid == first.series_uid  # an archive recognises it


def test_whatever_differs_gets_another_uid(tmp_path, mr):
    volume = synthetic(mr)
    touched = volume.with_array(volume.array.copy())
    touched.array[3, 4, 5] += 1
    cases = [
        (volume, mr, {}),
        (touched, mr, {}),
        (volume, mr, {"synthetic": replace(FACTS, weights_sha256="0b" * 32)}),
        (volume, mr, {"synthetic": replace(FACTS, model_uri="models:/pelvis-mr-to-ct/8")}),
        (volume, mr, {"synthetic": replace(FACTS, software_version="0.2.0")}),
        (volume, replace(mr, series_uid="1.2.77"), {}),
        (replace(volume, grid=replace(volume.grid, origin_mm=(-9.9, -20.0, -30.0))), mr, {}),
    ]
    uids = [
        export(one, tmp_path / str(n), like, **more).series_uid
        for n, (one, like, more) in enumerate(cases)
    ]
    assert len(set(uids)) == len(cases)


def test_uids_of_words_do_not_run_into_each_other():
    assert uid_of("ab", "c") != uid_of("a", "bc")
    assert uid_of("a", 1) == uid_of("a", 1) == "2.25.203764347839940718586539182678721359648"


# ------------------------------------------------------------------------ refused


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


# ------------------------------------------------------------------------ multi-frame sources


def write_enhanced(path: Path, stored: np.ndarray) -> Path:
    """An enhanced MR: all slices in one file, from the last to the first."""
    dataset = new_file("MR", (path,))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = stored.shape[1], stored.shape[0], 6
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    frames = []
    for k in reversed(range(6)):
        place, plane, measures, item = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 3 * k]
        plane.ImageOrientationPatient = list(AXIAL)
        measures.PixelSpacing, measures.SliceThickness = [2, 2], 3
        item.PlanePositionSequence = DicomSequence([place])
        item.PlaneOrientationSequence = DicomSequence([plane])
        item.PixelMeasuresSequence = DicomSequence([measures])
        frames.append(item)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    planes = stored[:, :, ::-1].transpose(2, 1, 0).astype("<i2")
    dataset.PixelData = np.ascontiguousarray(planes).tobytes()
    path.parent.mkdir(parents=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_an_enhanced_source_is_referred_to_frame_by_frame(tmp_path):
    write_enhanced(tmp_path / "mr" / "one.dcm", body_phantom((8, 7, 6)))
    (series,) = scan_dicom(tmp_path / "mr").series
    done = export(synthetic(series), tmp_path / "out", series)
    frames = [h.SourceImageSequence[0].ReferencedFrameNumber for h in headers_in(done.folder)]
    assert frames == [6, 5, 4, 3, 2, 1]
    assert read_back(done).grid.distance_mm(read_series(series).grid) < 1e-6
    assert errors_of(done.files[0], "CTImage", unknown=SYNTHETIC_DATA) == []


# ------------------------------------------------------------------------ real patients


@pytest.mark.parametrize(
    ("patient", "source", "modality"),
    [("STS_035", "MR_T1", "CT"), ("STS_051", "MR_T1", "PT"), ("STS_048", "CT", "MR")],
)
def test_a_real_image_carries_a_synthetic_one(tmp_path, shared_data, patient, source, modality):
    folder = shared_data / "sts" / "dicom" / patient / source / "image"
    (series,) = scan_dicom(folder).series
    image = read_series(series)
    share = image.array / float(np.abs(image.array).max())
    factor = {"CT": 1300, "MR": 800, "PT": 12}[modality]
    volume = Volume(array=factor * share, grid=image.grid, quantity=KINDS[modality][0])
    done = export(volume, tmp_path / "out", series, modality)
    back = read_back(done)
    assert within_half_a_step(back.array, volume.array, done.step)
    assert back.grid.distance_mm(image.grid) < 1e-3
    assert back.grid.frame_of_reference == image.grid.frame_of_reference
    header = headers_in(done.folder)[0]
    assert header.StudyInstanceUID == series.header.StudyInstanceUID
    errors = errors_of(done.files[0], OF_KIND[modality], unknown=SYNTHETIC_DATA)
    inherited = errors_of(series.slices[0].path, OF_KIND[series.modality])
    # such as a Study ID that is too long: it is the study's, and is kept as it is
    assert set(errors) <= set(inherited)
