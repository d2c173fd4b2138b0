"""One RTDOSE file to a dose in Gy, with what its header says of it.

A file that is no physical dose of a whole plan in Gy, over a volume, is taken when it was asked
for as what it is (:class:`qa_suite.io.rt.dose.request.DoseRequest`), and refused with that advice
otherwise. Doses of any format, and of several files, are read by
:func:`qa_suite.io.rt.dose.given.read_given_doses`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import decode_pixels, open_dicom, text_of
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.dose.grid import dose_grid, frames_of
from qa_suite.io.rt.dose.request import (
    MOST_PLANE_MM,
    OPTIONS,
    SUMMABLE,
    DoseRequest,
    Need,
    NotAsked,
    Summation,
    terms,
)
from qa_suite.io.rt.dose.scale import checked_dose

RTDOSE_CLASS = "1.2.840.10008.5.1.4.1.1.481.2"
SURROGATE_MODEL = "qa-suite surrogate dose"
"""Manufacturer's model name in the doses that this suite exports."""

_TYPES = ("PHYSICAL", "EFFECTIVE", "ERROR")
_MEANS = {
    "EFFECTIVE": "is an EFFECTIVE dose, weighted by biological effect",
    "ERROR": "is a dose ERROR, a difference of doses",
}


@dataclass(frozen=True, kw_only=True)
class DoseFile:
    """One RTDOSE: the dose, and what its header says of it.

    Parameters
    ----------
    path
        Where it was read.
    volume
        Dose in Gy; its grid carries a hash of the frame of reference.
    dose_units
        ``GY``, ``RELATIVE`` or ``none``, as the file says; the volume is in Gy.
    dose_type
        ``PHYSICAL``, ``EFFECTIVE`` or ``ERROR``.
    summation
        What was summed, a defined term of DoseSummationType (PLAN_OVERVIEW counts as ``PLAN`` or
        ``MULTI_PLAN``).
    plan_uids, beam_numbers, fraction_groups
        Which plans (their SOP instances), beams and fraction groups the dose belongs to, as far
        as the file says.
    parts
        What of the plan it is, in words that differ where the parts do: ``beam 2``.
    instance_uid, patient_id, study_uid, frame_of_reference
        Identifiers; they never leave the machine.
    """

    path: Path
    volume: Volume
    dose_units: str
    dose_type: str
    summation: str
    plan_uids: tuple[str, ...]
    beam_numbers: tuple[int, ...]
    fraction_groups: tuple[int, ...]
    parts: tuple[str, ...]
    instance_uid: str
    patient_id: str
    study_uid: str
    frame_of_reference: str | None


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
    path: Path, request: DoseRequest | None = None, *, spelling: str = OPTIONS
) -> DoseFile:
    """Read one RTDOSE file with what its header says.

    Parameters
    ----------
    path
        The file.
    request
        What it is said to be; by default a physical dose of a plan, in Gy, over a volume.
    spelling
        How the caller spells a request, for the advice of a refusal.

    Raises
    ------
    NotAsked
        If it is usable, and something else than was asked for.
    ReadProblem
        If the file is damaged, or no dose can be made of it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no dose at {path}.")
    header = open_dicom(path, pixels=True, force=True)
    if text_of(header, "SOPClassUID") != RTDOSE_CLASS:
        raise ReadProblem(path, "a file is no RTDOSE")
    try:
        return _dose_file(path, header, request or DoseRequest(), spelling)
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ReadProblem(path, f"a damaged RTDOSE ({type(error).__name__})") from None


def _dose_file(path: Path, header: Any, request: DoseRequest, spelling: str) -> DoseFile:
    kind, summed = text_of(header, "DoseType").upper(), summation_of(header)
    if kind not in _TYPES:
        raise ReadProblem(
            path, f"a DoseType {kind or 'none'}; {', '.join(_TYPES)} are known: export it again"
        )
    needs = [*_needs(path, header, kind, summed, request)]
    if needs:
        raise NotAsked(path, needs, spelling)
    grid, backwards = dose_grid(path, header, plane_mm=request.plane_mm)
    stored = decode_pixels(path, header)
    columns, rows, frames = grid.shape
    if stored.shape != (frames, rows, columns) and (frames, *stored.shape) != (1, rows, columns):
        raise ReadProblem(path, f"pixels of shape {stored.shape}, not as its header says")
    stored = stored.reshape(frames, rows, columns)
    if backwards:
        stored = stored[::-1]
    units = text_of(header, "DoseUnits").upper()
    unit = 1.0 if units == "GY" else float(request.relative_unit_gy or 1.0)
    part = summed.lower() in SUMMABLE
    scaling = unit * _scaling(path, header, nothing=part and not stored.any())
    array, done = checked_dose(
        stored.transpose(2, 1, 0) * scaling,
        path,
        signed=kind == "ERROR",
        may_be_zero=part,
        too_high="its DoseUnits or its DoseGridScaling is wrong, so export it again in Gy"
        if units == "GY"
        else f"it takes {unit:g} Gy for the value 1, so say fewer",
    )
    plans, beams, groups, parts = _references(header, summed)
    step = f"read {kind} dose of a {summed} from RTDOSE, {scaling:.3g} Gy a step"
    if units != "GY":
        step += f", the value 1 of its DoseUnits {units or 'none'} taken as {unit:g} Gy"
    if backwards:
        step += ", its frames stored from the last to the first"
    if frames == 1:
        step += f", a single plane taken as {grid.spacing_mm[2]:g} mm thick"
    if text_of(header, "ManufacturerModelName") == SURROGATE_MODEL:
        step += "; a surrogate dose exported by qa-suite"
    return DoseFile(
        path=path,
        volume=Volume(array=array, grid=grid, quantity="Gy", history=(step, *done)),
        dose_units=units or "none",
        dose_type=kind,
        summation=summed,
        plan_uids=plans,
        beam_numbers=beams,
        fraction_groups=groups,
        parts=parts,
        instance_uid=text_of(header, "SOPInstanceUID"),
        patient_id=text_of(header, "PatientID"),
        study_uid=text_of(header, "StudyInstanceUID"),
        frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
    )


def _needs(path: Path, header: Any, kind: str, summed: str, request: DoseRequest) -> Iterator[Need]:
    """Say what the file is and was not asked for as, or refuse what was asked and it is not."""
    if kind.lower() != request.dose_type:
        means = _MEANS.get(kind, "is a PHYSICAL dose")
        yield Need(option="dose_type", value=kind.lower(), what=means)
    if request.summation not in ("any", summed.lower()):
        known = summed.lower() in terms(Summation).split(", ")
        value = summed.lower() if known else "any"
        yield Need(option="summation", value=value, what=f"is the dose of a {summed}")
    units = text_of(header, "DoseUnits").upper()
    if units != "GY" and request.relative_unit_gy is None:
        what = f"has DoseUnits {units or 'none'}, so that the Gy of the value 1 must be said"
        yield Need(option="relative_unit_gy", value="GY", what=what)
    if frames_of(path, header) == 1 and request.plane_mm is None:
        what = "is a single plane of dose, whose thickness must be said (a DVH depends on it)"
        thickness = number_of(header, "SliceThickness") or 0.0
        value = f"{thickness:g}" if 0 < thickness <= MOST_PLANE_MM else "1"
        yield Need(option="plane_mm", value=value, what=what)


def summation_in(path: Path) -> str:
    """Return what the dose of a file is the sum of; see :func:`summation_of`."""
    return summation_of(open_dicom(path, pixels=False, force=True))


def summation_of(header: Any) -> str:
    """Return what a dose is the sum of; ``none`` where it does not say."""
    found = text_of(header, "DoseSummationType").upper()
    if found == "PLAN_OVERVIEW":  # described instead of referenced
        described = len(header.get("PlanOverviewSequence") or ())
        found = "PLAN" if described == 1 else "MULTI_PLAN"
    return found or "none"


def _scaling(path: Path, header: Any, *, nothing: bool) -> float:
    scaling = number_of(header, "DoseGridScaling")
    if scaling is None or scaling < 0 or (scaling == 0 and not nothing):
        raise ReadProblem(path, "a dose without a usable DoseGridScaling")
    return scaling


_References = tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], tuple[str, ...]]


def _references(header: Any, summed: str) -> _References:
    """Plans, beams, fraction groups, and the parts of the plan in words."""
    plans: list[str] = []
    beams: list[int] = []
    groups: list[int] = []
    parts: list[str] = []
    for plan in header.get("ReferencedRTPlanSequence") or ():
        plans.append(text_of(plan, "ReferencedSOPInstanceUID"))
        for group in plan.get("ReferencedFractionGroupSequence") or ():
            groups.append(int(group.ReferencedFractionGroupNumber))
            if summed.startswith("FRACTION"):
                parts.append(f"fraction group {groups[-1]}")
            for setup in group.get("ReferencedBrachyApplicationSetupSequence") or ():
                parts.append(
                    f"application setup {int(setup.ReferencedBrachyApplicationSetupNumber)}"
                )
            for beam in group.get("ReferencedBeamSequence") or ():
                beams.append(int(beam.ReferencedBeamNumber))
                if not summed.startswith("FRACTION"):
                    parts += _parts_of_beam(beam)
    return tuple(filter(None, plans)), tuple(beams), tuple(groups), tuple(parts)


def _parts_of_beam(beam: Any) -> list[str]:
    name = f"beam {int(beam.ReferencedBeamNumber)}"
    points = beam.get("ReferencedControlPointSequence") or ()
    return [
        f"{name}, control points {int(p.ReferencedStartControlPointIndex)} to "
        f"{int(p.ReferencedStopControlPointIndex)}"
        for p in points
    ] or [name]
