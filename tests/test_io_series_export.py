"""Synthetic images as DICOM series: values and places read back, UIDs, and sources of any kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.dicom.series_export import ExportedSeries, uid_of
from tests import series_export_cases
from tests.dicom_factory import body_phantom, new_file, write_series
from tests.dicom_validator import SYNTHETIC_DATA, errors_of
from tests.series_export_cases import (
    AXIAL,
    FACTS,
    KINDS,
    OF_KIND,
    WHEN,
    export,
    headers_in,
    synthetic,
    write_mr,
)

# Fixtures, by the names that the tests ask for.
mr = series_export_cases.mr

SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
OBLIQUE = (0.936293364, -0.275095847, 0.218350663, 0.289629478, 0.956425086, -0.036957013)
PRONE = (-1, 0, 0, 0, -1, 0)


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
