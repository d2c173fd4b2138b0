"""RTPLAN and RT Ion Plan files: the clinic's beams, read and checked as a whole.

What is wrong is reported all at once. What is right but beyond the surrogate (wedges, blocks,
bolus, a moving isocentre) is listed in ``unsupported``, and :func:`require_supported` refuses it;
what casts doubt, and what is ignored, stands in ``remarks``. Nothing is ever written: a surrogate
has no plan to give to a treatment system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.tolerances import no_meterset
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.plan.account import ignored_sentence
from qa_suite.io.rt.plan.fractions import (
    Fractions,
    check_references,
    meterset_of,
    read_fractions,
    target_doses,
)
from qa_suite.io.rt.plan.ions import read_ion_beam
from qa_suite.io.rt.plan.photons import read_photon_beam
from qa_suite.io.rt.plan.reading import Findings, name_of
from qa_suite.io.rt.plan.trust import check_trust, patient_position, tell_copies
from qa_suite.io.rt.plan.types import ImportedPlan, IonBeam, PatientPosition, PhotonBeam

__all__ = ["ImportedPlan", "IonBeam", "PhotonBeam", "read_plan", "require_supported"]

RTPLAN_CLASS = "1.2.840.10008.5.1.4.1.1.481.5"
ION_PLAN_CLASS = "1.2.840.10008.5.1.4.1.1.481.8"
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
    fractions = read_fractions(header, found)
    mine, other = ("BeamSequence", "IonBeamSequence")[:: -1 if ions else 1]
    items = list(header.get(mine) or ())
    if header.get(other):
        found.problem(f"it has the {other} too, which its kind of plan does not have")
    treated = [item for item in items if _treats(item, found)]
    position = patient_position(header, treated, found)
    if fractions.item is not None:
        check_references(fractions, items, found)
    beams = [_beam(item, fractions, found, ions=ions) for item in treated]
    delivered = [beam for beam in beams if beam is not None]
    if not items:
        found.problem("it has no beams" + (" (brachytherapy)" if _brachy(header) else ""))
    elif not delivered and not found.problems:
        found.problem("it has no treatment beam with monitor units")
    if found.problems:
        return None
    tell_copies(delivered, found)
    check_trust(header, found)
    ignored = ignored_sentence(header)
    if ignored is not None:
        found.remark(ignored)
    sets = list(header.get("ReferencedStructureSetSequence") or ())
    return ImportedPlan(
        path=path,
        label=text_of(header, "RTPlanLabel"),
        modality="protons" if ions else "photons",
        beams=cast(Any, tuple(delivered)),
        target_doses=target_doses(header, fractions),
        fractions=fractions.count,
        patient_position=cast(PatientPosition, position),
        approval=text_of(header, "ApprovalStatus"),
        unsupported=tuple(found.unsupported),
        remarks=found.remarks,
        uid=text_of(header, "SOPInstanceUID"),
        sop_class=text_of(header, "SOPClassUID"),
        patient_id=text_of(header, "PatientID"),
        study_uid=text_of(header, "StudyInstanceUID"),
        frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
        structure_set_uid=text_of(sets[0], "ReferencedSOPInstanceUID") if sets else None,
    )


def _brachy(header: Any) -> bool:
    return bool(header.get("ApplicationSetupSequence"))


def _treats(item: Any, found: Findings) -> bool:
    """Whether a beam gives the patient his dose; told where it does not."""
    delivery = text_of(item, "TreatmentDeliveryType").upper()
    about = found.about(f"beam {name_of(item)}")
    if delivery in _NOT_TREATED:
        about.remark(f"for {delivery} and left out")
        return False
    if delivery not in ("", "TREATMENT"):
        about.remark(f"for {delivery} (TreatmentDeliveryType), and taken for treatment")
    return True


def _beam(
    item: Any, fractions: Fractions, found: Findings, *, ions: bool
) -> PhotonBeam | IonBeam | None:
    name = name_of(item)
    about = found.about(f"beam {name}")
    meterset = None if fractions.item is None else meterset_of(item, fractions, about)
    if meterset is not None and no_meterset(meterset):
        about.remark("0 monitor units (BeamMeterset), so it gives no dose and is left out")
        return None
    read = read_ion_beam if ions else read_photon_beam
    return read(item, name, meterset, about)
