"""DICOM folders: which series are there, found by their headers and never by file name.

A series may hold several stacks (three orientations, several echoes); each becomes a
:class:`Series` of its own. :func:`qa_suite.io.dicom.series.read_series` turns one into a volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.problems import ReadProblem

_STORAGE = "1.2.840.10008.5.1.4.1.1"
IMAGE_CLASSES = {
    f"{_STORAGE}.2": "CT",
    f"{_STORAGE}.2.1": "CT",  # enhanced
    f"{_STORAGE}.2.2": "CT",  # legacy converted enhanced
    f"{_STORAGE}.4": "MR",
    f"{_STORAGE}.4.1": "MR",
    f"{_STORAGE}.4.4": "MR",
    f"{_STORAGE}.128": "PT",
    f"{_STORAGE}.128.1": "PT",
    f"{_STORAGE}.130": "PT",
}
"""SOP classes that are read as images, to their modality (DICOM PS3.4, table B.5-1)."""

RTSTRUCT_CLASS = f"{_STORAGE}.481.3"
_ALIKE = 1e-3  # direction cosines and mm of pixel spacing that count as equal within a stack
_MIN_STACK = 3  # fewer slices have no spacing to check: strays beside a stack, or scouts

Vector = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One image plane: where it lies and how its stored numbers become values.

    ``position_mm`` is the LPS centre of the first voxel; ``orientation`` the six direction
    cosines; ``pixel_spacing_mm`` the distance of rows, then of columns. ``slope`` and
    ``intercept`` are None where the file has none. Slices of one series with different
    ``split_by`` (patient, frame of reference; in MR echo time and kind of image) are
    separate stacks.
    """

    path: Path
    frame: int
    series_uid: str
    position_mm: Vector
    orientation: Vector
    pixel_spacing_mm: Vector
    rows: int
    columns: int
    slope: float | None
    intercept: float | None
    split_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One stack of parallel slices of one DICOM series.

    Parameters
    ----------
    modality
        ``CT``, ``MR`` or ``PT``.
    series_uid, frame_of_reference
        As in the headers; identifiers, so they never leave the machine.
    slices
        In the order of the file names; reading sorts them by position.
    header
        The first file's data set without its pixels.
    problems
        What already speaks against reading it, one sentence each, without paths.
    """

    modality: str
    series_uid: str
    frame_of_reference: str | None
    slices: tuple[Slice, ...]
    header: Any
    problems: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its first file lies."""
        return self.slices[0].path.parent

    @property
    def description(self) -> str:
        """The series description, or an empty text."""
        return text_of(self.header, "SeriesDescription")

    @property
    def synthetic(self) -> bool:
        """Whether it says itself that it was made and not acquired (PS3.3, C.12.1)."""
        return text_of(self.header, "SyntheticData") == "YES"


@dataclass(frozen=True, kw_only=True)
class DicomFolder:
    """What a folder tree holds: image series, structure sets, and files that failed."""

    series: tuple[Series, ...]
    structure_sets: tuple[Path, ...]
    unreadable: dict[Path, str] = field(default_factory=dict)
    others: int = 0


def texts_of(dataset: Any, keyword: str) -> list[str]:
    """Return all values of a header element as text; none where it is absent."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, (str, int, float)) else list(value)
    return [str(one).strip() for one in values]


def number_of(dataset: Any, keyword: str) -> float | None:
    """Return a header value as a finite number, or None where it is absent, empty or no number."""
    value = dataset.get(keyword)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    try:
        number = float(value) if value not in (None, "") else None
    except (TypeError, ValueError):
        return None
    return number if number is not None and np.isfinite(number) else None


def scan_dicom(
    folder: Path, *, progress: Callable[[int, int, str], None] | None = None
) -> DicomFolder:
    """Read the header of every file below a folder and sort them into series.

    Files that are no DICOM are counted and left alone. A DICOM file that cannot be read
    spoils the series that lie in its folder, because it may be one of their slices.

    Parameters
    ----------
    folder
        Where to look; all its subfolders too.
    progress
        Called with files done, files in all and what is being done.

    Raises
    ------
    InputError
        If the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    slices: dict[str, list[Slice]] = {}
    headers: dict[tuple[str, ...], Any] = {}
    structure_sets: list[Path] = []
    unreadable: dict[Path, str] = {}
    others = 0
    for done, path in enumerate(files, start=1):
        if progress is not None:
            progress(done, len(files), "reading headers")
        if not _may_be_dicom(path):
            others += 1
            continue
        try:
            header = open_dicom(path, pixels=False, force=True)
            sop_class = text_of(header, "SOPClassUID")
            meant = text_of(header.file_meta, "MediaStorageSOPClassUID") or sop_class
            if not sop_class or sop_class != meant:
                raise ReadProblem(path, "a file is no whole DICOM file (SOP class missing or cut)")
            if sop_class == RTSTRUCT_CLASS:
                structure_sets.append(path)
            elif sop_class in IMAGE_CLASSES and not _is_localiser(header):
                for one in _slices_of(path, header):
                    slices.setdefault(one.series_uid, []).append(one)
                    headers.setdefault((one.series_uid, *one.split_by), header)
            else:
                others += 1
        except ReadProblem as problem:
            unreadable[path] = problem.public
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            unreadable[path] = f"a file with a damaged header ({type(error).__name__})"
    series = [s for uid in sorted(slices) for s in _stacks(slices[uid], headers, unreadable)]
    return DicomFolder(
        series=tuple(series),
        structure_sets=tuple(structure_sets),
        unreadable=unreadable,
        others=others,
    )


def _may_be_dicom(path: Path) -> bool:
    if path.name.startswith(".") or path.name == "DICOMDIR":
        return False
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _is_localiser(header: Any) -> bool:
    return "LOCALIZER" in [part.upper() for part in texts_of(header, "ImageType")]


def _slices_of(path: Path, header: Any) -> Iterator[Slice]:
    if "PerFrameFunctionalGroupsSequence" in header:
        shared = (header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
        for frame, own in enumerate(header.PerFrameFunctionalGroupsSequence):
            yield _slice(path, frame, header, _Groups(own, shared))
        return
    if (number_of(header, "NumberOfFrames") or 1) > 1:
        raise ReadProblem(path, "a multi-frame file without positions of its frames")
    yield _slice(path, 0, header, header)


class _Groups:
    """A frame of a multi-frame file, read as if it were a file of its own."""

    def __init__(self, own: Any, shared: Any) -> None:
        self._groups = [
            sequence.value[0]
            for dataset in (own, shared)
            for sequence in dataset
            if sequence.VR == "SQ" and len(sequence.value)
        ]

    def get(self, keyword: str) -> Any:
        for group in self._groups:
            if keyword in group:
                return group.get(keyword)
        return None


def _slice(path: Path, frame: int, header: Any, facts: Any) -> Slice:
    """Collect one plane's facts; every one that is missing is named."""
    wanted = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
    vectors: dict[str, Vector] = {}
    missing = [k for k in ("SeriesInstanceUID", "Rows", "Columns") if header.get(k) in (None, "")]
    for keyword, size in wanted.items():
        values = _numbers(facts.get(keyword))
        if len(values) == size and np.isfinite(values).all():
            vectors[keyword] = values
        else:
            missing.append(keyword)
    if missing:
        raise ReadProblem(path, f"a slice without a usable {', '.join(missing)}")
    split_by: tuple[str, ...] = (
        text_of(header, "PatientID"),
        text_of(header, "FrameOfReferenceUID"),
    )
    if IMAGE_CLASSES[text_of(header, "SOPClassUID")] == "MR":
        echo = facts.get("EchoTime") or facts.get("EffectiveEchoTime") or ""
        kind = texts_of(facts, "FrameType") or texts_of(header, "ImageType")
        split_by += (str(echo), "/".join(kind[2:]))
    return Slice(
        path=path,
        frame=frame,
        series_uid=text_of(header, "SeriesInstanceUID"),
        position_mm=vectors["ImagePositionPatient"],
        orientation=vectors["ImageOrientationPatient"],
        pixel_spacing_mm=vectors["PixelSpacing"],
        rows=int(header.Rows),
        columns=int(header.Columns),
        slope=number_of(facts, "RescaleSlope"),
        intercept=number_of(facts, "RescaleIntercept"),
        split_by=split_by,
    )


def _numbers(values: Any) -> Vector:
    try:
        return tuple(float(value) for value in values or ())
    except (TypeError, ValueError):
        return ()


def _stacks(
    members: list[Slice], headers: dict[tuple[str, ...], Any], unreadable: dict[Path, str]
) -> Iterator[Series]:
    """Split the slices of one series into stacks of like planes."""
    stacks: list[list[Slice]] = []
    for member in members:
        home = next((stack for stack in stacks if _alike(stack[0], member)), None)
        if home is None:
            stacks.append([member])
        else:
            home.append(member)
    whole = [stack for stack in stacks if len(stack) >= _MIN_STACK] or stacks
    strays = len(members) - sum(len(stack) for stack in whole)
    for stack in whole:
        first = stack[0]
        header = headers[(first.series_uid, *first.split_by)]
        problems = []
        if strays:
            problems.append(
                f"{count_of(strays, 'slice')} of the series with another orientation, size or "
                f"pixel spacing than the rest"
            )
        folders = {one.path.parent for one in stack}
        problems += sorted({what for path, what in unreadable.items() if path.parent in folders})
        yield Series(
            modality=IMAGE_CLASSES[text_of(header, "SOPClassUID")],
            series_uid=first.series_uid,
            frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
            slices=tuple(stack),
            header=header,
            problems=tuple(problems),
        )


def _alike(first: Slice, second: Slice) -> bool:
    return (
        (first.rows, first.columns, first.split_by)
        == (second.rows, second.columns, second.split_by)
        and _close(first.orientation, second.orientation)
        and _close(first.pixel_spacing_mm, second.pixel_spacing_mm)
    )


def _close(first: Vector, second: Vector) -> bool:
    return bool(np.abs(np.subtract(first, second)).max() <= _ALIKE)
