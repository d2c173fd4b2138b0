"""Tiny RTDOSE and RTPLAN files, for the tests of the dose room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.volume import Volume
from qa_suite.io.rt.dose.given import read_given_doses
from qa_suite.io.rt.dose.request import DoseRequest
from tests.dicom_factory import AXIAL, CLASSES, new_file, set_tags, uid

CLASSES |= {
    "RTDOSE": "1.2.840.10008.5.1.4.1.1.481.2",
    "RTPLAN": "1.2.840.10008.5.1.4.1.1.481.5",
    "RTIONPLAN": "1.2.840.10008.5.1.4.1.1.481.8",
}


def item(**tags: Any) -> Dataset:
    """A sequence item; a list of data sets becomes a sequence."""
    dataset = Dataset()
    for keyword, value in tags.items():
        of_items = isinstance(value, (list, tuple)) and all(isinstance(v, Dataset) for v in value)
        setattr(dataset, keyword, DicomSequence(value) if of_items and value else value)
    return dataset


def write_dose(
    path: Path,
    dose: np.ndarray,
    *,
    spacing_mm: Sequence[float] = (2.0, 3.0, 4.0),
    origin_mm: Sequence[float] = (-10.0, -20.0, -30.0),
    orientation: Sequence[float] = AXIAL,
    offsets: str = "relative",
    backwards: bool = False,
    bits: int = 32,
    beams: Sequence[int] = (),
    **tags: Any,
) -> float:
    """Write dose ``[i, j, k]`` in Gy, k along the normal; return the Gy of one stored step.

    ``offsets`` is ``relative`` or ``absolute``; ``backwards`` stores the frames from the last
    k to the first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = dose.shape[2]
    axes = np.array(orientation, dtype=float)
    normal = np.cross(axes[:3], axes[3:])
    places = np.arange(count) * spacing_mm[2]
    frames = dose.astype(float).transpose(2, 1, 0)
    if backwards:
        places, frames = places[::-1], frames[::-1]
    first = np.asarray(origin_mm, dtype=float) + places[0] * normal
    vector = places - places[0]
    if offsets == "absolute":
        vector = first[2] + vector * np.sign(normal[2])
    scaling = float(f"{dose.max() / (2**bits - 1):.10e}")
    dataset = new_file("RTDOSE", (path,))
    dataset.ImagePositionPatient = [round(float(v), 6) for v in first]
    dataset.ImageOrientationPatient = [round(float(v), 8) for v in axes]
    dataset.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
    dataset.GridFrameOffsetVector = [round(float(v), 6) for v in vector]
    dataset.FrameIncrementPointer = 0x3004000C
    dataset.NumberOfFrames = count
    dataset.Rows, dataset.Columns = dose.shape[1], dose.shape[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = f"{scaling:.10e}"
    stored = np.rint(frames / scaling).clip(0, 2**bits - 1)
    dataset.PixelData = stored.astype(f"<u{bits // 8}").tobytes()
    plan = item(
        ReferencedSOPClassUID=CLASSES["RTPLAN"],
        ReferencedSOPInstanceUID=tags.pop("plan", uid("plan")),
    )
    if beams:
        numbers = [item(ReferencedBeamNumber=number) for number in beams]
        group = item(ReferencedFractionGroupNumber=1, ReferencedBeamSequence=numbers)
        plan.ReferencedFractionGroupSequence = DicomSequence([group])
        dataset.DoseSummationType = "BEAM"
    dataset.ReferencedRTPlanSequence = DicomSequence([plan])
    set_tags(dataset, tags)
    dataset.save_as(path, enforce_file_format=True)
    return scaling


def read_dose(path: Path, request: DoseRequest | None = None) -> Volume:
    """One dose by itself."""
    return read_given_doses([path], [request or DoseRequest()])[0].volume
