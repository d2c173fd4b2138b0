"""A synthetic image as a DICOM series that no reader can take for an acquired one.

The series belongs to the patient, the study and the frame of reference of its source, has UIDs
of its own, and says in every place that is read that a model made it (see
:mod:`qa_suite.io.dicom.series_marks`). Its UIDs depend on what it holds and on nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.exporting import (
    ExportIdentity,
    copied,
    decimal,
    identity_of,
    new_file,
    right_handed,
    save,
)
from qa_suite.io.dicom.headers import Series, number_of
from qa_suite.io.dicom.series import stack_grid
from qa_suite.io.dicom.series_marks import SyntheticFacts, add_marks, source_images, title_of
from qa_suite.io.dicom.series_values import Kind, StoredValues, add_pixels, kind_of, stored_values
from qa_suite.io.problems import ReadProblem

_NAMESPACE = uuid.UUID("6f1c1c6e-3d0b-5a55-9b1e-2f7f0a4a7d21")
_FROM_THE_SERIES = (
    "PatientPosition",
    "BodyPartExamined",
    "Laterality",
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "LongitudinalTemporalInformationModified",
)
_NUMBER_AFTER_SOURCE = 1000  # added to the source's series number, so that it sorts behind it


@dataclass(frozen=True, kw_only=True)
class ExportedSeries:
    """What was written.

    ``title`` is the series description, ``patient_position`` that of the source or empty.
    ``step`` is the distance of two stored values, in ``unit``; no value is further than half
    of it from the one that was given.
    """

    folder: Path
    files: tuple[Path, ...]
    series_uid: str
    title: str
    patient_position: str
    step: float
    unit: str


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """One slice: the position of its first voxel, and the source images that it was made from."""

    position_mm: tuple[float, float, float]
    sources: list[Dataset]


def export_series(
    volume: Volume,
    *,
    like: Series | ExportIdentity,
    modality: str,
    synthetic: SyntheticFacts,
    out_dir: Path,
    when: datetime,
) -> ExportedSeries:
    """Write a synthetic image as a DICOM series, all at once or not at all.

    Parameters
    ----------
    volume
        HU for CT, SUVbw for PT, arbitrary for MR. On the grid of ``like`` each slice keeps the
        position of its source slice and refers to it; on another grid of the same frame of
        reference it keeps its own, and refers to every slice of the source.
    like
        The source series, or explicit identifiers where there is none.
    modality
        ``CT``, ``MR`` or ``PT``: the storage class.
    synthetic
        Which model made it.
    out_dir
        The new folder; it may exist if it is empty.
    when
        Date and time of the series, in the study's local time (without time zone).

    Returns
    -------
    ExportedSeries
        Its files in the order along the slice normal.

    Raises
    ------
    InputError
        If the values cannot be stored as they are, ``like`` lacks an identifier, ``out_dir``
        holds files, or ``when`` has a time zone.
    GeometryError
        If the volume is a single slice, in another frame of reference than ``like``, or does
        not overlap it.
    ReadProblem
        If the slices of ``like`` cannot be read or make no regular grid.
    """
    out_dir = Path(out_dir)
    kind = kind_of(modality)
    require_new_folder(out_dir)
    require_local_time(when)
    if volume.grid.shape[2] < 2:
        raise GeometryError(f"The synthetic {kind.title} is a single slice, which is no volume.")
    volume = right_handed(volume)
    identity = identity_of(like, volume.grid, f"synthetic {kind.title}")
    stored = stored_values(volume, modality)
    planes = _planes(volume.grid, like)
    series_uid = _series_uid(volume.grid, like, kind, synthetic, stored)
    facts = identity | _series_facts(like) | _moment(when)
    source = like.header if isinstance(like, Series) else None
    files = {}
    for number, plane in enumerate(planes, start=1):
        dataset = new_file(kind.sop_class, uid_of("instance", series_uid, number), facts)
        dataset.Modality, dataset.SeriesInstanceUID = modality, series_uid
        dataset.InstanceNumber = number
        add_marks(dataset, kind, synthetic, source, when)
        if plane.sources:
            dataset.SourceImageSequence = DicomSequence(plane.sources)
        _add_plane(dataset, volume.grid, plane)
        kind.add(dataset, number, len(planes))
        add_pixels(dataset, stored.planes[number - 1], stored)
        files[f"{modality}_{number:04d}.dcm"] = dataset
    _write(files, out_dir)
    return ExportedSeries(
        folder=out_dir,
        files=tuple(out_dir / name for name in files),
        series_uid=series_uid,
        title=title_of(kind, synthetic),
        patient_position=facts["PatientPosition"],
        step=float(stored.slope),
        unit=kind.unit,
    )


def _write(files: dict[str, FileDataset], folder: Path) -> None:
    """Write all files beside the folder and put them in its place at the end."""
    temporary = folder.resolve().with_name(f".{folder.resolve().name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    try:
        for name, dataset in files.items():
            save(dataset, temporary / name)
        if folder.is_dir():
            folder.rmdir()
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def require_local_time(when: datetime) -> None:
    """Refuse a time with a zone: the study's own dates and times are read without one.

    Raises
    ------
    InputError
        If it has one.
    """
    if when.tzinfo is not None:
        raise InputError(f"The time {when.isoformat()} has a zone; give the study's local time.")


def require_new_folder(folder: Path) -> None:
    """Refuse a folder that holds files: two series in one folder are taken for one study part.

    Raises
    ------
    InputError
        If it is a file, or not empty.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; name a new folder for the series.")


def uid_of(*words: object) -> str:
    """Return a UID that depends on the words only.

    It is a UUID of version 5 (RFC 9562, by name and SHA-1) below the root 2.25, which needs no
    registration (PS3.5, B.2).
    """
    name = "\x1f".join(str(word) for word in words)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def _series_uid(
    grid: Grid,
    like: Series | ExportIdentity,
    kind: Kind,
    synthetic: SyntheticFacts,
    stored: StoredValues,
) -> str:
    """Return the series' UID: equal where source, model and every stored value are equal."""
    if isinstance(like, Series):
        origin = [like.series_uid]
    else:
        origin = [like.patient_id, like.study_uid, like.frame_of_reference]
    place = [decimal(value) for value in grid.affine.ravel()]
    digest = hashlib.sha256(stored.planes.astype("<i2").tobytes()).hexdigest()
    facts = [
        getattr(synthetic, name)
        for name in ("model_uri", "weights_sha256", "family", "software_version", "description")
    ]
    return uid_of("series", kind.sop_class, *origin, *facts, stored.slope, *place, digest)


def _series_facts(like: Series | ExportIdentity) -> dict[str, Any]:
    """Return what the series takes over. Laterality is empty where no body part is known."""
    if isinstance(like, ExportIdentity):
        position = like.patient_position
        return {"PatientPosition": position, "Laterality": "", "SeriesNumber": _NUMBER_AFTER_SOURCE}
    facts: dict[str, Any] = {"PatientPosition": ""}
    facts |= copied(like.header, _FROM_THE_SERIES)
    if "Laterality" in like.header or "BodyPartExamined" not in facts:
        facts.setdefault("Laterality", "")
    number = int(number_of(like.header, "SeriesNumber") or 0)
    return facts | {"SeriesNumber": number + _NUMBER_AFTER_SOURCE}


def _moment(when: datetime) -> dict[str, str]:
    """Return the date and time of the series, of its content and of the file: one moment."""
    day, clock = f"{when:%Y%m%d}", f"{when:%H%M%S}"
    kinds = ("Series", "Content", "InstanceCreation")
    return {f"{what}Date": day for what in kinds} | {f"{what}Time": clock for what in kinds}


def _planes(grid: Grid, like: Series | ExportIdentity) -> list[_Plane]:
    """Return every slice's place and sources, in the order along the normal."""
    places = grid.to_world([(0, 0, k) for k in range(grid.shape[2])])
    own = [(float(x), float(y), float(z)) for x, y, z in places]
    if isinstance(like, ExportIdentity):
        return [_Plane(position_mm=place, sources=[]) for place in own]
    if like.problems:
        raise ReadProblem(like.folder, "; ".join(like.problems))
    source, slices = stack_grid(like)
    images = source_images(like, slices)
    if not grid.same_as(source):
        return [_Plane(position_mm=place, sources=images) for place in own]
    planes = []
    for one, image in zip(slices, images, strict=True):
        image.SpatialLocationsPreserved = "YES"
        x, y, z = one.position_mm
        planes.append(_Plane(position_mm=(x, y, z), sources=[image]))
    return planes


def _add_plane(dataset: Dataset, grid: Grid, plane: _Plane) -> None:
    axes: np.ndarray[Any, Any] = grid.axes
    dataset.ImagePositionPatient = [decimal(v) for v in plane.position_mm]
    dataset.ImageOrientationPatient = [decimal(v) for v in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [decimal(grid.spacing_mm[1]), decimal(grid.spacing_mm[0])]
    dataset.SliceThickness = decimal(grid.spacing_mm[2])
