"""RTDOSE files to doses in Gy; and doses of any format by one call, :func:`read_dose_file`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qa_suite.errors import InputError
from qa_suite.io.dicom import number_of, open_dicom, text_of
from qa_suite.io.dose_grid import dose_grid
from qa_suite.io.dose_values import DoseUnit, checked_dose, require_same_scale, require_unit
from qa_suite.io.images import is_image_file, read_image
from qa_suite.io.problems import ReadProblem, count_of
from qa_suite.io.series import decode_pixels
from qa_suite.volume import Volume

__all__ = [
    "DoseFile",
    "Summation",
    "read_dose",
    "read_dose_file",
    "read_rtdose",
    "require_same_scale",
]

RTDOSE_CLASS = "1.2.840.10008.5.1.4.1.1.481.2"
SURROGATE_MODEL = "qa-suite surrogate dose"
"""Manufacturer's model name in the doses that this suite exports."""

Summation = Literal["PLAN", "MULTI_PLAN", "FRACTION", "BEAM"]
SUMMATIONS: tuple[Summation, ...] = ("PLAN", "MULTI_PLAN", "FRACTION", "BEAM")


@dataclass(frozen=True, kw_only=True)
class DoseFile:
    """One RTDOSE: the dose, and what its header says of it.

    Parameters
    ----------
    path
        Where it was read.
    volume
        Dose in Gy; its grid carries a hash of the frame of reference.
    dose_type
        ``PHYSICAL`` or ``EFFECTIVE``.
    summation
        What was summed: the whole plan, a fraction group, one or more beams.
    plan_uids, beam_numbers, fraction_group
        Which plan (its SOP instance), beams and fraction group the dose belongs to, as far as
        the file says.
    patient_id, study_uid, frame_of_reference
        Identifiers; they never leave the machine.
    """

    path: Path
    volume: Volume
    dose_type: str
    summation: str
    plan_uids: tuple[str, ...]
    beam_numbers: tuple[int, ...]
    fraction_group: int | None
    patient_id: str
    study_uid: str
    frame_of_reference: str | None


def read_dose_file(
    path: Path,
    unit: DoseUnit = "Gy",
    *,
    summation: Summation = "PLAN",
    effective: bool = False,
) -> Volume:
    """Read a dose: NIfTI, MHA, NRRD, an RTDOSE file, or a folder that holds one.

    Parameters
    ----------
    path
        The file or folder.
    unit
        Unit of the values of a NIfTI, MHA or NRRD file, which does not say it itself.
    summation, effective
        For DICOM, see :func:`read_dose`.

    Returns
    -------
    Volume
        ``float32``, in Gy, finite and not negative.

    Raises
    ------
    InputError
        If there is no such dose, or its values cannot be Gy.
    GeometryError
        If its geometry is impossible.
    """
    path = Path(path)
    factor = require_unit(unit)
    if path.is_dir() or not is_image_file(path):
        if factor != 1.0:
            raise InputError(
                f"{path} is DICOM and says its own unit; leave the dose unit {unit} away."
            )
        return read_dose(path, summation=summation, effective=effective)
    volume = read_image(path, "Gy")
    history = [] if factor == 1.0 else [f"multiplied by {factor:g}, from {unit} to Gy"]
    array, done = checked_dose(volume.array * np.float32(factor), path)
    return replace(volume, array=array, history=(*volume.history, *history, *done))


def read_dose(path: Path, *, summation: Summation = "PLAN", effective: bool = False) -> Volume:
    """Read the dose of an RTDOSE file, or of a folder with one.

    Parameters
    ----------
    path
        A file, or a folder that is searched with all its subfolders.
    summation
        What the dose must be the sum of. ``PLAN`` is the dose of the whole plan, also of one
        that is only described (PLAN_OVERVIEW). With ``BEAM``, all beam doses of a folder are
        summed if they belong to one plan.
    effective
        Whether a dose weighted by biological effect (``EFFECTIVE``) is wanted; then a physical
        one is refused.

    Raises
    ------
    ReadProblem
        If a file is damaged, its unit is not Gy, it is a dose error, or another sum or kind
        than asked for.
    InputError
        If the folder holds no RTDOSE or several that do not belong together.
    """
    if summation not in SUMMATIONS:
        raise InputError(f"Dose sums are {', '.join(SUMMATIONS)}; got {summation!r}.")
    path = Path(path)
    if not path.is_dir():
        return read_rtdose(path, summation=summation, effective=effective).volume
    files = rtdose_files(path)
    if len(files) == 1:
        return read_rtdose(files[0], summation=summation, effective=effective).volume
    if summation != "BEAM":
        raise InputError(
            f"{path} holds {len(files)} RTDOSE files; name the one that is meant, for example "
            f"{files[0]}."
        )
    from qa_suite.io.beam_doses import sum_beam_doses

    doses = [read_rtdose(file, summation="BEAM", effective=effective) for file in files]
    return sum_beam_doses(doses).volume


def rtdose_files(folder: Path) -> list[Path]:
    """Find the RTDOSE files of a folder and all its subfolders; there is at least one."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.suffix.lower() not in (".dcm", ".dicom"):
            with path.open("rb") as stream:
                if stream.read(132)[128:] != b"DICM":
                    continue
        if text_of(open_dicom(path, pixels=False, force=True), "SOPClassUID") == RTDOSE_CLASS:
            found.append(path)
    if not found:
        raise InputError(f"{folder} holds no RTDOSE file.")
    return found


def read_rtdose(
    path: Path, *, summation: Summation | None = "PLAN", effective: bool = False
) -> DoseFile:
    """Read one RTDOSE file with what its header says; see :func:`read_dose`.

    ``summation=None`` takes any of the known sums.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no dose at {path}.")
    header = open_dicom(path, pixels=True, force=True)
    if text_of(header, "SOPClassUID") != RTDOSE_CLASS:
        raise ReadProblem(path, "a file is no RTDOSE")
    try:
        return _dose_file(path, header, summation, effective)
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ReadProblem(path, f"a damaged RTDOSE ({type(error).__name__})") from None


def _dose_file(path: Path, header: Any, summation: Summation | None, effective: bool) -> DoseFile:
    kind, summed = _kind(path, header, effective), _summation(path, header, summation)
    scaling = _scaling(path, header)
    grid, backwards = dose_grid(path, header)
    stored = decode_pixels(path, header)
    columns, rows, frames = grid.shape
    if stored.shape != (frames, rows, columns):
        raise ReadProblem(path, f"pixels of shape {stored.shape}, not as its header says")
    if backwards:
        stored = stored[::-1]
    array, done = checked_dose(stored.transpose(2, 1, 0) * scaling, path)
    plans, beams, group = _references(header)
    step = f"read {kind} dose of a {summed} from RTDOSE, {scaling:.3g} Gy a step"
    if backwards:
        step += ", its frames stored from the last to the first"
    if text_of(header, "ManufacturerModelName") == SURROGATE_MODEL:
        step += "; a surrogate dose exported by qa-suite"
    return DoseFile(
        path=path,
        volume=Volume(array=array, grid=grid, quantity="Gy", history=(step, *done)),
        dose_type=kind,
        summation=summed,
        plan_uids=plans,
        beam_numbers=beams,
        fraction_group=group,
        patient_id=text_of(header, "PatientID"),
        study_uid=text_of(header, "StudyInstanceUID"),
        frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
    )


def _kind(path: Path, header: Any, effective: bool) -> str:
    units = text_of(header, "DoseUnits").upper()
    if units != "GY":
        raise ReadProblem(
            path,
            f"a dose in DoseUnits {units or 'none'}, whose Gy are not known; export it as an "
            f"absolute dose (GY)",
        )
    kind = text_of(header, "DoseType").upper()
    if kind not in ("PHYSICAL", "EFFECTIVE"):
        raise ReadProblem(path, f"a DoseType {kind or 'none'}; PHYSICAL or EFFECTIVE is needed")
    if kind == "EFFECTIVE" and not effective:
        raise ReadProblem(
            path,
            "an EFFECTIVE dose, weighted by biological effect, where a physical one is needed; "
            "ask for effective dose if both doses are weighted alike",
        )
    if kind == "PHYSICAL" and effective:
        raise ReadProblem(path, "a PHYSICAL dose where an effective one was asked for")
    return kind


def _summation(path: Path, header: Any, wanted: Summation | None) -> str:
    found = text_of(header, "DoseSummationType").upper()
    if found == "PLAN_OVERVIEW":  # described instead of referenced
        described = len(header.get("PlanOverviewSequence") or ())
        found = "PLAN" if described == 1 else "MULTI_PLAN"
    if found not in SUMMATIONS:
        raise ReadProblem(
            path,
            f"a DoseSummationType {found or 'none'}; known: {', '.join(SUMMATIONS)}",
        )
    if wanted is not None and found != wanted:
        raise ReadProblem(
            path, f"the dose of a {found} where that of a {wanted} is needed; ask for {found}"
        )
    return found


def _scaling(path: Path, header: Any) -> float:
    scaling = number_of(header, "DoseGridScaling")
    if scaling is None or scaling <= 0:
        raise ReadProblem(path, "a dose without a usable DoseGridScaling")
    return scaling


def _references(header: Any) -> tuple[tuple[str, ...], tuple[int, ...], int | None]:
    plans: list[str] = []
    beams: list[int] = []
    groups: list[int] = []
    for plan in header.get("ReferencedRTPlanSequence") or ():
        plans.append(text_of(plan, "ReferencedSOPInstanceUID"))
        for group in plan.get("ReferencedFractionGroupSequence") or ():
            groups.append(int(group.ReferencedFractionGroupNumber))
            beams += [
                int(beam.ReferencedBeamNumber) for beam in group.get("ReferencedBeamSequence") or ()
            ]
    return tuple(filter(None, plans)), tuple(beams), groups[0] if len(groups) == 1 else None


def describe_sum(doses: Sequence[DoseFile]) -> str:
    """Say which beam doses were summed, for the history."""
    numbers = [str(number) for dose in doses for number in dose.beam_numbers]
    which = f" ({', '.join(numbers)})" if numbers else ""
    return f"sum of {count_of(len(doses), 'beam dose')}{which}"
