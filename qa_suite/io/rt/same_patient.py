"""Whether files belong to one patient and one frame of reference: image, structures, plan, dose."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.io.dicom.headers import Series
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.identity import patient_hash
from qa_suite.io.rt.dose.read import DoseFile
from qa_suite.io.rt.plan.types import ImportedPlan
from qa_suite.io.rt.structures import StructureSet

_NOUNS = {"RTDOSE": "dose", "RTPLAN": "plan", "RTSTRUCT": "structure set"}

Identified = Path | Series | DoseFile | ImportedPlan | StructureSet


@dataclass(frozen=True, kw_only=True)
class _Subject:
    where: Path
    noun: str
    patient: str | None  # hashed
    frames: frozenset[str] = field(default=frozenset())


def check_same_patient(files: Sequence[Identified]) -> None:
    """Refuse files of different patients.

    Two files are of one patient if they carry the same patient identifier (white space around
    it and the case of its letters do not matter). A file without one is taken for the patient
    of those that it shares its frame of reference with, since no two patients share one; it is
    refused where it shares none. Identifiers are compared as keyed hashes and never told.

    Parameters
    ----------
    files
        Paths of DICOM files, or what was read from them.

    Raises
    ------
    InputError
        With the two files that do not belong together.
    """
    key = secrets.token_bytes(32)  # compared within this call only
    subjects = [_subject(file, key) for file in files]
    known = [one for one in subjects if one.patient is not None]
    for one in known[1:]:
        if one.patient != known[0].patient:
            raise InputError(
                f"{one.where} is {_a(one.noun)} of another patient than the {known[0].noun} "
                f"{known[0].where}; use files of one patient."
            )
    shared = frozenset[str]().union(*(one.frames for one in known or subjects[:1]))
    for one in subjects:
        if one.patient is None and len(subjects) > 1 and not one.frames & shared:
            other = next(s for s in [*known, *subjects] if s is not one)
            raise InputError(
                f"{one.where} carries no patient identifier and shares no frame of reference "
                f"with the {other.noun} {other.where}, so it may be {_a(one.noun)} of another "
                f"patient; export it with its identifier."
            )


def check_same_frame(files: Sequence[Identified]) -> None:
    """Refuse files whose positions mean different places.

    A file that names no frame of reference is let through; a structure set may name several.

    Parameters
    ----------
    files
        Paths of DICOM files, or what was read from them.

    Raises
    ------
    GeometryError
        With the first two files in different frames of reference.
    """
    key = secrets.token_bytes(32)
    framed = [one for one in (_subject(file, key) for file in files) if one.frames]
    for one in framed[1:]:
        if not one.frames & framed[0].frames:
            raise GeometryError(
                f"{one.where} is {_a(one.noun)} in another frame of reference than the "
                f"{framed[0].noun} {framed[0].where}; register them first."
            )


def _subject(file: Identified, key: bytes) -> _Subject:
    if isinstance(file, Path):
        header = open_dicom(file, pixels=False, force=True)
        modality = text_of(header, "Modality").upper()
        frames = [text_of(header, "FrameOfReferenceUID")]
        for item in header.get("ReferencedFrameOfReferenceSequence") or ():
            frames.append(text_of(item, "FrameOfReferenceUID"))
        identifier = text_of(header, "PatientID")
        return _made(file, _NOUNS.get(modality, "image"), identifier, frames, key)
    if isinstance(file, Series):
        identifier = text_of(file.header, "PatientID")
        return _made(file.folder, "image", identifier, [file.frame_of_reference or ""], key)
    if isinstance(file, StructureSet):
        return _made(file.path, "structure set", file.patient_id, file.frames_of_reference, key)
    noun = "dose" if isinstance(file, DoseFile) else "plan"
    return _made(file.path, noun, file.patient_id, [file.frame_of_reference or ""], key)


def _made(where: Path, noun: str, identifier: str, frames: Iterable[str], key: bytes) -> _Subject:
    return _Subject(
        where=where,
        noun=noun,
        patient=patient_hash(identifier, key) if identifier.strip() else None,
        frames=frozenset(frames) - {""},
    )


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
