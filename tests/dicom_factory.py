"""Tiny synthetic DICOM series and structure sets, for the import tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

PATIENT_ID = "MRN-4711-0815"
PATIENT_NAME = "Mustermann^Erika"
BIRTH_DATE = "19430217"
SCAN_DATE = "20110314"


def uid(*words: object) -> str:
    """A UID that depends on the words only."""
    return generate_uid(entropy_srcs=["qa-suite tests", *map(str, words)])


def new_file(modality: str, words: Sequence[object], **tags: Any) -> FileDataset:
    """A data set with what every file has; ``tags`` override, and None removes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CLASSES[modality]
    meta.MediaStorageSOPInstanceUID = uid(modality, *words)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = modality
    dataset.PatientID = tags.get("PatientID", PATIENT_ID)
    dataset.PatientName = PATIENT_NAME
    dataset.PatientBirthDate = BIRTH_DATE
    dataset.PatientSex = "F"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = SCAN_DATE
    dataset.StudyInstanceUID = uid("study", dataset.PatientID)
    dataset.FrameOfReferenceUID = uid("frame", dataset.PatientID)
    dataset.SeriesInstanceUID = uid("series", modality, dataset.PatientID)
    set_tags(dataset, tags)
    return dataset


def set_tags(dataset: Dataset, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)


def write_series(
    folder: Path,
    stored: np.ndarray,
    *,
    modality: str = "CT",
    spacing_mm: tuple[float, float, float] = (2.0, 3.0, 4.0),
    origin_mm: Sequence[float] = (-10.0, -20.0, -30.0),
    orientation: Sequence[float] = AXIAL,
    slopes: Sequence[float] | None = None,
    intercept: float | None = -1024.0,
    skip: Sequence[int] = (),
    order: Sequence[int] | None = None,
    change: Callable[[int, FileDataset], None] | None = None,
    **tags: Any,
) -> list[Path]:
    """Write stored values ``[i, j, k]`` as one file a slice; return the paths by k.

    ``order`` shuffles the file names and instance numbers; ``change`` may alter each slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.array(orientation, dtype=float)
    normal = np.cross(axes[:3], axes[3:])
    count = stored.shape[2]
    names = list(range(count)) if order is None else list(order)
    paths = []
    for k in range(count):
        position = np.asarray(origin_mm, dtype=float) + k * spacing_mm[2] * normal
        dataset = new_file(modality, (folder, k))
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.InstanceNumber = names[k]
        dataset.ImagePositionPatient = [round(float(v), 6) for v in position]
        dataset.ImageOrientationPatient = [round(float(v), 8) for v in axes]
        dataset.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        dataset.SliceThickness = spacing_mm[2]
        dataset.Rows, dataset.Columns = stored.shape[1], stored.shape[0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        if intercept is not None and modality != "MR":
            dataset.RescaleIntercept = intercept
            dataset.RescaleSlope = 1 if slopes is None else slopes[k]
        elif slopes is not None:
            dataset.RescaleIntercept, dataset.RescaleSlope = 0, slopes[k]
        dataset.PixelData = np.ascontiguousarray(stored[:, :, k].T.astype("<i2")).tobytes()
        set_tags(dataset, tags)
        if change is not None:
            change(k, dataset)
        path = folder / f"IM{names[k]:04d}.dcm"
        paths.append(path)
        if k not in skip:
            dataset.save_as(path, enforce_file_format=True)
    return paths


def write_structures(
    path: Path,
    structures: Mapping[str, Sequence[np.ndarray | tuple[str, np.ndarray]]],
    *,
    kinds: Mapping[str, str] | None = None,
    series: str | None = None,
    **tags: Any,
) -> Path:
    """Write an RTSTRUCT; a contour is an (n, 3) array, or its geometric type and the array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = new_file("RTSTRUCT", (path,), **tags)
    frame = Dataset()
    frame.FrameOfReferenceUID = dataset.FrameOfReferenceUID
    image = Dataset()
    image.SeriesInstanceUID = series or uid("series", "CT", dataset.PatientID)
    study = Dataset()
    study.RTReferencedSeriesSequence = DicomSequence([image])
    frame.RTReferencedStudySequence = DicomSequence([study])
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([frame])
    names, drawn, seen = [], [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName = number, name
        roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
        names.append(roi)
        items = []
        for contour in contours:
            kind, points = contour if isinstance(contour, tuple) else ("CLOSED_PLANAR", contour)
            item = Dataset()
            item.ContourGeometricType = kind
            item.NumberOfContourPoints = len(points)
            item.ContourData = [float(v) for v in np.round(points, 5).ravel()]
            reference = Dataset()  # to an image that does not exist, as in real exports
            reference.ReferencedSOPInstanceUID = uid("nowhere", number)
            item.ContourImageSequence = DicomSequence([reference])
            items.append(item)
        outline = Dataset()
        outline.ReferencedROINumber = number
        outline.ContourSequence = DicomSequence(items)
        drawn.append(outline)
        observation = Dataset()
        observation.ObservationNumber = observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = (kinds or {}).get(name, "")
        seen.append(observation)
    dataset.StructureSetROISequence = DicomSequence(names)
    dataset.ROIContourSequence = DicomSequence(drawn)
    dataset.RTROIObservationsSequence = DicomSequence(seen)
    dataset.save_as(path, enforce_file_format=True)
    return path


def rectangle(x: tuple[float, float], y: tuple[float, float], z: float) -> np.ndarray:
    """A rectangular contour in an axial plane, in mm."""
    return np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)])


def body_phantom(shape: tuple[int, int, int] = (20, 16, 10)) -> np.ndarray:
    """HU of an elliptic body of soft tissue with a bone and a pattern that differs by voxel."""
    i, j, k = np.indices(shape)
    centre = (np.array(shape) - 1) / 2
    radius = ((i - centre[0]) / (0.4 * shape[0])) ** 2 + ((j - centre[1]) / (0.4 * shape[1])) ** 2
    hu = np.where(radius < 1, 20 + (7 * i + 5 * j + 3 * k) % 40, -1000)
    return np.where(radius < 0.05, 700 + 10 * k, hu).astype(np.int16)


def write_patient(folder: Path, **tags: Any) -> None:
    """A patient with MR, CT and a structure set in one frame of reference."""
    hu = body_phantom()
    write_series(folder / "ct", hu + 1024, ConvolutionKernel="B30f", KVP=120, **tags)
    mr_tags = {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Avanto",
        "MagneticFieldStrength": 1.5,
        "SeriesDescription": "t1_tse_tra Mustermann",
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "RepetitionTime": 500,
        "EchoTime": 12,
        "AcquisitionDate": "20110302",
    }
    write_series(folder / "mr", np.maximum(hu + 400, 0), modality="MR", **(mr_tags | tags))
    contours = [rectangle((-2.0, 8.0), (-8.0, 4.0), z) for z in (-22.0, -18.0, -14.0)]
    write_structures(folder / "rs.dcm", {"PTV": contours}, **tags)


def read_tags(path: Path) -> Any:
    return pydicom.dcmread(path)
