"""RTPLAN and RT Ion Plan files: the clinic's beams, read and checked as a whole.

What is wrong is reported all at once; what is right but beyond the surrogate (wedges, blocks,
bolus, a moving isocentre) is listed in ``unsupported``, and :func:`require_supported` refuses
it. Nothing is ever written: a surrogate has no plan to give to a treatment system.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from qa_suite.errors import InputError, raise_problems
from qa_suite.io.dicom import number_of, open_dicom, text_of
from qa_suite.io.problems import ReadProblem, count_of
from qa_suite.io.rtplan_ions import read_ion_beam
from qa_suite.io.rtplan_photons import read_photon_beam
from qa_suite.io.rtplan_reading import Findings
from qa_suite.io.rtplan_types import (
    ImportedPlan,
    IonBeam,
    PatientPosition,
    PhotonBeam,
    TargetDose,
)

__all__ = ["ImportedPlan", "IonBeam", "PhotonBeam", "read_plan", "require_supported"]

RTPLAN_CLASS = "1.2.840.10008.5.1.4.1.1.481.5"
ION_PLAN_CLASS = "1.2.840.10008.5.1.4.1.1.481.8"
POSITIONS = ("HFS", "HFP", "FFS", "FFP")
_POINTS = ("POINT", "COORDINATES")
_NOT_TREATED = ("SETUP", "OPEN_PORTFILM", "TRMT_PORTFILM", "CONTINUATION")


def read_plan(path: Path) -> ImportedPlan:
    """Read the beams and the prescription of an RTPLAN or RT Ion Plan file.

    Raises
    ------
    ReadProblem
        If the file is damaged or no plan.
    Problems
        With everything that keeps the plan from being used: no monitor units, a control point
        without an angle, leaves that overlap, an electron beam, ...
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no plan at {path}.")
    header = open_dicom(path, pixels=False, force=True)
    sop_class = text_of(header, "SOPClassUID")
    if sop_class not in (RTPLAN_CLASS, ION_PLAN_CLASS):
        raise ReadProblem(path, "a file is no RTPLAN")
    found = Findings()
    try:
        plan = _plan(path, header, sop_class == ION_PLAN_CLASS, found)
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ReadProblem(path, f"a damaged RTPLAN ({type(error).__name__})") from None
    raise_problems(f"The plan {path}", found.problems)
    assert plan is not None  # without a plan there is at least one problem
    return plan


def require_supported(plan: ImportedPlan) -> None:
    """Refuse a plan that the surrogate cannot represent.

    Raises
    ------
    Problems
        Every such thing, one sentence each.
    """
    raise_problems(f"The plan {plan.path}, for the surrogate,", plan.unsupported)


def _plan(path: Path, header: Any, ions: bool, found: Findings) -> ImportedPlan | None:
    metersets, fractions, group = _fraction_group(header, found)
    position = _position(header, found)
    beams: list[PhotonBeam | IonBeam] = []
    items = header.get("IonBeamSequence" if ions else "BeamSequence") or ()
    notes = []
    for item in items:
        name = text_of(item, "BeamName") or f"number {text_of(item, 'BeamNumber') or '?'}"
        delivery = text_of(item, "TreatmentDeliveryType").upper()
        if delivery in _NOT_TREATED:
            notes.append(f"beam {name} is for {delivery} and left out")
            continue
        about = found.about(f"beam {name}")
        meterset = _meterset(item, metersets, about)
        read = read_ion_beam if ions else read_photon_beam
        beam = read(item, name, meterset, about)
        if beam is not None:
            beams.append(beam)
    if not items:
        found.problem("it has no beams" + (" (brachytherapy)" if _brachy(header) else ""))
    elif not beams and not found.problems:
        found.problem("it has no treatment beam")
    numbers = [beam.number for beam in beams]
    if len(set(numbers)) != len(numbers):
        found.problem(f"two beams share a number: {', '.join(map(str, numbers))}")
    if found.problems:
        return None
    sets = list(header.get("ReferencedStructureSetSequence") or ())
    return ImportedPlan(
        path=path,
        label=text_of(header, "RTPlanLabel"),
        modality="protons" if ions else "photons",
        beams=cast(Any, tuple(beams)),
        target_doses=_target_doses(header, group),
        fractions=fractions,
        patient_position=cast(PatientPosition, position),
        approval=text_of(header, "ApprovalStatus"),
        unsupported=tuple(found.unsupported),
        notes=tuple(notes),
        uid=text_of(header, "SOPInstanceUID"),
        sop_class=text_of(header, "SOPClassUID"),
        patient_id=text_of(header, "PatientID"),
        study_uid=text_of(header, "StudyInstanceUID"),
        frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
        structure_set_uid=text_of(sets[0], "ReferencedSOPInstanceUID") if sets else None,
    )


def _brachy(header: Any) -> bool:
    return bool(header.get("ApplicationSetupSequence"))


def _fraction_group(header: Any, found: Findings) -> tuple[dict[int, float | None], int, Any]:
    """Return the meterset of each beam in one fraction, the fractions, and their sequence item."""
    groups = list(header.get("FractionGroupSequence") or ())
    if len(groups) != 1:
        found.problem(
            f"it has {count_of(len(groups), 'fraction group')}, and one is needed; export each "
            f"phase as a plan of its own"
        )
        return {}, 0, None
    group = groups[0]
    planned = number_of(group, "NumberOfFractionsPlanned")
    if planned is None or planned < 1:
        found.problem("it does not say its number of fractions")
        planned = 0
    metersets = {
        int(item.ReferencedBeamNumber): number_of(item, "BeamMeterset")
        for item in group.get("ReferencedBeamSequence") or ()
    }
    return metersets, int(planned), group


def _meterset(item: Any, metersets: Mapping[int, float | None], about: Findings) -> float | None:
    number = number_of(item, "BeamNumber")
    if number is None:
        about.problem("no beam number")
        return None
    if int(number) not in metersets:
        about.problem("not part of the fraction group, so its monitor units are unknown")
        return None
    meterset = metersets[int(number)]
    if meterset is None or meterset <= 0:
        about.problem("no monitor units (BeamMeterset); calculate the plan before its export")
        return None
    return meterset


def _position(header: Any, found: Findings) -> str:
    """Return the one patient position of the plan."""
    positions = {
        text_of(setup, "PatientPosition").upper()
        for setup in header.get("PatientSetupSequence") or ()
    } - {""}
    known = ", ".join(POSITIONS)
    if not positions:
        found.problem(f"it does not say how the patient lies (PatientPosition: {known})")
    elif len(positions) > 1:
        found.problem(f"its set-ups differ in patient position: {', '.join(sorted(positions))}")
    elif not positions <= set(POSITIONS):
        found.problem(f"the patient position {positions.pop()} is not one of {known}")
    else:
        return positions.pop()
    return ""


def _target_doses(header: Any, group: Any) -> tuple[TargetDose, ...]:
    """Return the dose prescribed to each target.

    The prescription module counts; where it names no dose, the fraction group's references to
    its targets do.
    """
    targets = {
        text_of(item, "DoseReferenceNumber"): item
        for item in header.get("DoseReferenceSequence") or ()
        if text_of(item, "DoseReferenceType").upper() == "TARGET"
    }
    asked = [(n, number_of(item, "TargetPrescriptionDose")) for n, item in targets.items()]
    if not any(dose for _, dose in asked):
        asked = [
            (number, number_of(item, "TargetPrescriptionDose"))
            for item in group.get("ReferencedDoseReferenceSequence") or ()
            if (number := text_of(item, "ReferencedDoseReferenceNumber")) in targets
        ]
    return tuple(
        _target_dose(targets[number], number, dose) for number, dose in asked if dose and dose > 0
    )


def _target_dose(item: Any, number: str, dose_gy: float) -> TargetDose:
    roi = number_of(item, "ReferencedROINumber")
    return TargetDose(
        name=text_of(item, "DoseReferenceDescription") or f"target {number}",
        dose_gy=dose_gy,
        roi_number=None if roi is None else int(roi),
        at_a_point=text_of(item, "DoseReferenceStructureType").upper() in _POINTS,
    )
