"""What every exported DICOM object shares: whose it is, where it lies, how numbers are written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from qa_suite.core.errors import GeometryError, InputError, raise_problems
from qa_suite.core.resampling import covered_by
from qa_suite.core.volume import Grid, Volume
from qa_suite.core.whole_files import replacing
from qa_suite.io.dicom.headers import Series
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.dicom.series import frame_hash, stack_grid

LONG_STRING = 64
"""Characters of a long string (value representation LO)."""

PATIENT_POSITIONS = ("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL")

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")

_REQUIRED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
"""Elements that must be there, though most of them may be empty (types 1 and 2)."""

_OPTIONAL = (
    "StudyDescription",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "SyntheticData",
)


@dataclass(frozen=True, kw_only=True)
class ExportIdentity:
    """Whose object it is, where there is no DICOM series to take it from.

    The identifiers are required; what else is not known stays empty.

    Parameters
    ----------
    patient_id, study_uid, frame_of_reference
        As the treatment system knows them.
    patient_name
        Family, given name and so on, separated by ``^``.
    patient_position
        How the patient lay in the scanner: one of :data:`PATIENT_POSITIONS`.
    deidentification
        By what method the identity was removed, if it was.
    """

    patient_id: str
    study_uid: str
    frame_of_reference: str
    patient_name: str = ""
    patient_position: str = ""
    deidentification: str = ""

    def __post_init__(self) -> None:
        raise_problems("The patient's identity", self._problems())

    def _problems(self) -> list[str]:
        problems = [] if self.patient_id.strip() else ["the patient's identifier is empty"]
        for name, value in (
            ("study", self.study_uid),
            ("frame of reference", self.frame_of_reference),
        ):
            if len(value) > LONG_STRING or not _UID.fullmatch(value):
                problems.append(f"the {name} {value!r} is no UID (digits and dots, at most 64)")
        for name in ("patient_id", "patient_name", "deidentification"):
            problems += text_problems(f"its {name}", getattr(self, name))
        if self.patient_position not in ("", *PATIENT_POSITIONS):
            known = ", ".join(PATIENT_POSITIONS)
            problems.append(f"there is no position {self.patient_position!r}; known: {known}")
        return problems


def text_problems(name: str, text: str, *, room: int = LONG_STRING) -> list[str]:
    """Say why a text cannot stand in a DICOM element: too long, or with signs of DICOM's own."""
    problems = []
    if len(text) > room:
        problems.append(f"{name} has {len(text)} characters and {room} fit")
    if re.search(r"[\\\x00-\x1f\x7f]", text):
        problems.append(f"{name} {text!r} holds a backslash or a control character")
    return problems


def identity_of(template: Series | ExportIdentity, grid: Grid, what: str) -> dict[str, Any]:
    """Return the header elements that say whose object it is, and check that it lies there.

    Parameters
    ----------
    template
        The series that it belongs to, or explicit identifiers.
    grid
        Where the object lies.
    what
        Its name for the error, such as ``dose``.

    Raises
    ------
    InputError
        If the series carries no study or no frame of reference.
    GeometryError
        If the grid is in another frame of reference, or does not overlap the series.
    """
    facts: dict[str, Any] = dict.fromkeys(_REQUIRED, "")
    if isinstance(template, ExportIdentity):
        facts |= {
            "PatientID": template.patient_id,
            "PatientName": template.patient_name,
            "StudyInstanceUID": template.study_uid,
            "FrameOfReferenceUID": template.frame_of_reference,
        }
        if template.deidentification:
            facts["PatientIdentityRemoved"] = "YES"
            facts["DeidentificationMethod"] = template.deidentification
    else:
        facts |= copied(template.header, (*_REQUIRED, *_OPTIONAL))
    lacking = [k for k in ("StudyInstanceUID", "FrameOfReferenceUID") if not facts[k]]
    if lacking:
        raise InputError(f"The images to export like carry no {' and no '.join(lacking)}.")
    frame = frame_hash(facts["FrameOfReferenceUID"])
    if grid.frame_of_reference not in (None, frame):
        raise GeometryError(
            f"The {what} lies in the frame of reference {grid.frame_of_reference} and the images "
            f"in {frame}; export it like the images that it was computed on."
        )
    if isinstance(template, Series):
        image, _ = stack_grid(template)
        if not covered_by(image, grid).any():
            raise GeometryError(
                f"The {what} ({grid.describe()}) does not overlap the images "
                f"({image.describe()}) that it should be exported like."
            )
    return facts


def copied(header: Any, keywords: tuple[str, ...]) -> dict[str, Any]:
    """Return what a header says under the keywords; elements that are absent or empty are not."""
    facts: dict[str, Any] = {}
    for keyword in keywords:
        value = header.get(keyword)
        if isinstance(value, DicomSequence):
            if len(value):
                facts[keyword] = value
        elif isinstance(value, MultiValue):
            facts[keyword] = [str(one) for one in value]
        elif text_of(header, keyword):
            facts[keyword] = text_of(header, keyword)
    return facts


def new_file(sop_class: str, instance_uid: str, facts: Mapping[str, Any]) -> FileDataset:
    """Start a file of a SOP class, in UTF-8 and explicit little endian, with the given elements."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, instance_uid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a source says in too many characters stays as it is
        for keyword, value in facts.items():
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: FileDataset, path: Path) -> None:
    """Write a file, all at once or not at all."""
    with replacing(path) as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(draft, enforce_file_format=True)


def coded(value: str, meaning: str, scheme: str = "DCM") -> DicomSequence:
    """Return a code sequence of one code."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.CodingSchemeDesignator = value, meaning, scheme
    return DicomSequence([item])


def right_handed(volume: Volume) -> Volume:
    """Return the same volume with k along the normal (row × column), as DICOM counts slices."""
    grid = volume.grid
    if np.linalg.det(grid.axes) > 0:
        return volume
    last = grid.to_world((0, 0, grid.shape[2] - 1))
    flipped = Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=(last[0], last[1], last[2]),
        direction=tuple((grid.axes * np.array([1.0, 1.0, -1.0])).ravel()),
        frame_of_reference=grid.frame_of_reference,
    )
    array: NDArray[Any] = volume.array[:, :, ::-1]
    return Volume(array=array, grid=flipped, quantity=volume.quantity, history=volume.history)


def decimal(value: float) -> str:
    """Write a number as a decimal string of at most 16 characters, to about 1e-8 of itself."""
    text = f"{float(value):.8f}".rstrip("0").rstrip(".")
    if text in ("-0", "0"):
        return "0"
    return text if len(text) <= 16 else f"{float(value):.9g}"
