"""How much a plan delivers: fractions, the meterset of each beam, the dose to each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qa_suite.core.tolerances import no_meterset
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.rt.plan.reading import Findings, name_of
from qa_suite.io.rt.plan.types import TargetDose

_POINTS = ("POINT", "COORDINATES")


@dataclass(frozen=True, kw_only=True)
class Fractions:
    """The one fraction group of a plan.

    Parameters
    ----------
    count
        Number of fractions; None where the plan does not say it.
    metersets
        Of one fraction, by beam number; None where the plan gives none.
    item
        The sequence item; None where there is not exactly one.
    """

    count: int | None = None
    metersets: Mapping[int, float | None] = field(default_factory=dict)
    item: Any = None


def read_fractions(header: Any, found: Findings) -> Fractions:
    """Read the fraction group; ``found`` gets what is wrong with it."""
    groups = list(header.get("FractionGroupSequence") or ())
    if len(groups) != 1:
        found.problem(
            f"it has {count_of(len(groups), 'fraction group')}, and one is needed; export each "
            f"phase as a plan of its own"
        )
        return Fractions()
    (group,) = groups
    planned = number_of(group, "NumberOfFractionsPlanned")
    if planned is None:
        found.remark("it does not say its number of fractions")
    elif planned < 1:
        found.problem(f"its number of fractions is {planned:g}")
    referring = list(group.get("ReferencedBeamSequence") or ())
    references = [one for one in referring if number_of(one, "ReferencedBeamNumber") is not None]
    if len(references) < len(referring):
        found.problem("its fraction group refers to a beam without its number")
    numbers = [int(item.ReferencedBeamNumber) for item in references]
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        found.problem(f"its fraction group refers to beam {number} {numbers.count(number)} times")
    said = number_of(group, "NumberOfBeams")
    if said is not None and int(said) != len(references):
        found.remark(
            f"its fraction group speaks of {count_of(int(said), 'beam')} and refers to "
            f"{len(references)}"
        )
    if (number_of(group, "NumberOfBrachyApplicationSetups") or 0) > 0 or group.get(
        "ReferencedBrachyApplicationSetupSequence"
    ):
        found.cannot("brachytherapy beside the beams")
    metersets = {
        number: number_of(item, "BeamMeterset")
        for number, item in zip(numbers, references, strict=True)
    }
    return Fractions(
        count=None if planned is None else int(planned), metersets=metersets, item=group
    )


def check_references(fractions: Fractions, beams: Sequence[Any], found: Findings) -> None:
    """Say which beams are numbered alike, and which of the fraction group are not there."""
    names: dict[int, list[str]] = {}
    for item in beams:
        number = number_of(item, "BeamNumber")
        if number is not None:
            names.setdefault(int(number), []).append(name_of(item))
    for number, alike in names.items():
        if len(alike) > 1:
            found.problem(f"beams {', '.join(alike)} share the number {number}")
    for number in sorted(fractions.metersets.keys() - names.keys()):
        told = found.remark if no_meterset(fractions.metersets[number] or 0.0) else found.problem
        told(f"its fraction group refers to beam {number}, which is not there")
    called = [name for alike in names.values() for name in alike]
    for name in sorted({n for n in called if called.count(n) > 1}):
        found.remark(f"{called.count(name)} beams are called {name}")


def meterset_of(item: Any, fractions: Fractions, about: Findings) -> float | None:
    """Return the meterset of a treatment beam in one fraction: 0 where it delivers nothing.

    None, and a problem, where it is unknown.
    """
    number = number_of(item, "BeamNumber")
    if number is None:
        about.problem("no beam number")
        return None
    if int(number) not in fractions.metersets:
        about.problem("not part of the fraction group, so its monitor units are unknown")
        return None
    meterset = fractions.metersets[int(number)]
    if meterset is None:
        about.problem("no monitor units (BeamMeterset); calculate the plan before its export")
        return None
    if meterset < 0:
        about.problem(f"{meterset:g} monitor units")
        return None
    return 0.0 if no_meterset(meterset) else meterset


def target_doses(header: Any, fractions: Fractions) -> tuple[TargetDose, ...]:
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
            for item in fractions.item.get("ReferencedDoseReferenceSequence") or ()
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
