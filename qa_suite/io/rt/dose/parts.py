"""The doses of the parts of one plan (beams, fraction groups, control points), added up."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.tolerances import no_meterset
from qa_suite.core.volume import require_same_grid
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.dose.read import DoseFile
from qa_suite.io.rt.dose.request import SUMMABLE

_PLAN_CLASSES = ("1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.5.1.4.1.1.481.8")
_NOT_TREATED = ("SETUP", "OPEN_PORTFILM", "TRMT_PORTFILM")


@dataclass(frozen=True, kw_only=True)
class PlannedParts:
    """Which parts a plan has, so that a sum of their doses can be held against it.

    Parameters
    ----------
    path
        The plan.
    uid, patient_id, frame_of_reference
        Identifiers; they never leave the machine.
    beams
        Fraction group to the numbers of its treatment beams.
    idle
        Beams of no monitor units, whose dose need not be there.
    """

    path: Path
    uid: str
    patient_id: str
    frame_of_reference: str | None
    beams: dict[int, tuple[int, ...]]
    idle: frozenset[int]


def read_planned_parts(path: Path) -> PlannedParts:
    """Read the fraction groups and beams of an RTPLAN or RT Ion Plan, of whatever technique.

    Raises
    ------
    InputError
        If there is no such file, or it is no plan or a damaged one.
    """
    if not path.is_file():
        raise InputError(f"There is no plan at {path}.")
    header = open_dicom(path, pixels=False, force=True)
    if text_of(header, "SOPClassUID") not in _PLAN_CLASSES:
        raise ReadProblem(path, "a file is no RTPLAN")
    try:
        return _planned(path, header)
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ReadProblem(path, f"a damaged RTPLAN ({type(error).__name__})") from None


def _planned(path: Path, header: Any) -> PlannedParts:
    items = [*(header.get("BeamSequence") or ()), *(header.get("IonBeamSequence") or ())]
    treated = {
        int(item.BeamNumber)
        for item in items
        if text_of(item, "TreatmentDeliveryType").upper() not in _NOT_TREATED
    }
    beams, idle = {}, set()
    for group in header.get("FractionGroupSequence") or ():
        listed = []
        for beam in group.get("ReferencedBeamSequence") or ():
            number = int(beam.ReferencedBeamNumber)
            if number in treated:
                listed.append(number)
                meterset = number_of(beam, "BeamMeterset")
                idle |= {number} if meterset is not None and no_meterset(meterset) else set()
        beams[int(group.FractionGroupNumber)] = tuple(listed)
    return PlannedParts(
        path=path,
        uid=text_of(header, "SOPInstanceUID"),
        patient_id=text_of(header, "PatientID"),
        frame_of_reference=text_of(header, "FrameOfReferenceUID") or None,
        beams=beams,
        idle=frozenset(idle),
    )


def sum_doses(
    doses: Sequence[DoseFile], *, plan: PlannedParts | None = None, same_plan: bool = True
) -> DoseFile:
    """Add the doses of the parts of one plan.

    Parameters
    ----------
    doses
        Of one summation, such as ``BEAM``; one alone is held against the plan just the same. A
        part without any dose adds nothing.
    plan
        The plan; then each of its beams and fraction groups must be there. Without it the sum
        cannot know of a beam whose dose is missing.
    same_plan
        Whether the doses must refer to ``plan`` itself, and not to a copy of it.

    Raises
    ------
    Problems
        If they are of several plans, fraction groups, patients or dose types, name no plan or
        part, or a part is there twice or missing: all at once.
    InputError
        If nothing gives any dose.
    GeometryError
        If they lie on different grids.
    """
    if not doses:
        raise InputError("There is no dose to sum.")
    problems = [*_problems(doses)] if len(doses) > 1 else []
    if plan is not None:
        problems += _against(doses, plan, same_plan=same_plan)
    raise_problems("The sum of the doses", problems)
    first = doses[0]
    if len(doses) == 1:
        total = first.volume.array.astype(np.float64)
        history = first.volume.history
    else:
        require_same_grid({str(dose.path): dose.volume for dose in doses})
        total = np.zeros(first.volume.grid.shape, dtype=np.float64)
        for dose in doses:
            total += dose.volume.array
        history = (*first.volume.history[:1], _said(doses))
    if total.max() <= 0 and first.dose_type != "ERROR":
        raise InputError(f"{', '.join(str(d.path) for d in doses)}: no dose in any voxel.")
    return replace(
        first,
        volume=replace(first.volume, array=total.astype(np.float32), history=history),
        beam_numbers=tuple(sorted({n for dose in doses for n in dose.beam_numbers})),
        fraction_groups=tuple(sorted({n for dose in doses for n in dose.fraction_groups})),
        parts=tuple(part for dose in doses for part in dose.parts),
    )


def _said(doses: Sequence[DoseFile]) -> str:
    what = doses[0].summation.lower().replace("_", " ")
    parts = [part for dose in doses for part in dose.parts]
    empty = [part for dose in doses for part in dose.parts if not dose.volume.array.any()]
    said = f"sum of {count_of(len(doses), f'{what} dose')} ({', '.join(parts)})"
    return said + (f", of {', '.join(empty)} no dose at all" if empty else "")


def _problems(doses: Sequence[DoseFile]) -> Iterator[str]:
    """Say what keeps several doses from being added."""
    for dose in doses:
        if dose.summation.lower() not in SUMMABLE:
            yield f"{dose.path} is the dose of a {dose.summation}, which is no part of a plan"
        if len(dose.plan_uids) != 1:
            yield f"{dose.path} does not name the one plan that it belongs to"
        if not dose.parts:
            yield f"{dose.path} does not name its part of the plan, such as its beam"
    alike: dict[str, Callable[[DoseFile], Hashable]] = {
        "belong to different plans": lambda d: d.plan_uids,
        "are sums of different kinds": lambda d: d.summation,
        "are of different dose types (PHYSICAL, EFFECTIVE)": lambda d: d.dose_type,
        "are of different patients": lambda d: d.patient_id.strip().upper(),
    }
    for what, of in alike.items():
        if len({of(one) for one in doses}) > 1:
            yield f"the doses {what}"
    groups = {dose.fraction_groups for dose in doses if dose.fraction_groups}
    if len(groups) > 1 and not doses[0].summation.startswith("FRACTION"):
        yield "the doses are of different fraction groups"
    yield from _twice(doses)


def _twice(doses: Sequence[DoseFile]) -> Iterator[str]:
    """Name every part, and every file, that is there more than once."""
    where: dict[str, list[str]] = {}
    for dose in doses:
        for part in dose.parts:
            where.setdefault(part, []).append(dose.path.name)
    for part, files in where.items():
        if len(files) > 1:
            yield f"{part} is there {len(files)} times ({', '.join(files)}); keep one"
    copies: dict[str, list[str]] = {}
    for dose in doses:
        copies.setdefault(dose.instance_uid, []).append(dose.path.name)
    for uid, files in copies.items():
        if uid and len(files) > 1:
            yield f"{' and '.join(files)} are copies of one file (one SOP instance); keep one"


def _against(doses: Sequence[DoseFile], plan: PlannedParts, *, same_plan: bool) -> Iterator[str]:
    """Hold doses against the plan that they are said to be parts of."""
    if same_plan and any(dose.plan_uids not in ((), (plan.uid,)) for dose in doses):
        yield f"the doses belong to another plan than {plan.path}"
        return
    groups = {number for dose in doses for number in dose.fraction_groups}
    beams = {number for dose in doses for number in dose.beam_numbers}
    for number in sorted(groups - set(plan.beams)):
        yield f"{plan.path} has no fraction group {number}"
    summation = doses[0].summation
    if summation.startswith("FRACTION"):
        for number in sorted(set(plan.beams) - groups):
            yield f"the dose of fraction group {number} of {plan.path} is missing"
    elif summation.startswith("BEAM") or summation == "CONTROL_POINT":
        within = groups & set(plan.beams) or set(plan.beams)
        planned = {beam for number in within for beam in plan.beams[number]}
        for number in sorted(planned - beams - plan.idle):
            yield f"the dose of beam {number} of {plan.path} is missing"
        for number in sorted(beams - planned):
            yield f"{plan.path} has no treatment beam {number}"
