"""By which dose a target is judged: what the user states, what the clinic's plan says, or no one.

A plan of the clinic may prescribe several targets. Only the prescription of the target that is
judged counts, never the highest of them, and a template's never stands in for the clinic's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count
from qa_suite.dose.dvh.goals import OF_PRESCRIPTION, Goal
from qa_suite.dose.plan.template import PlanTemplate, Prescription
from qa_suite.io.rt.plan.types import ImportedPlan, TargetDose

_SAME_GY = 0.005


def prescription_of(
    template: PlanTemplate,
    plan: ImportedPlan | None,
    target: Sequence[str],
    *,
    stated_gy: float | None = None,
    stated_fractions: int | None = None,
) -> tuple[Prescription, str]:
    """Return the prescription that a target is judged by.

    What the user states comes first. Then, of a plan of the clinic, what it prescribes to this
    target: by the number of its contours, by its name, or because it prescribes one dose only.
    Where there is no plan of the clinic, the template's.

    Parameters
    ----------
    template
        Gives the coverage, beside its own dose and fractions.
    plan
        Of the clinic; None where there is none.
    target
        Structures that make the target up.
    stated_gy, stated_fractions
        Dose of the course in Gy, and its fractions, where the user states them.

    Returns
    -------
    prescription
        Dose and fractions of the course.
    str
        Where the dose comes from, as people say it.

    Raises
    ------
    InputError
        If the plan prescribes no dose, or several and none to this target; or neither template,
        plan nor user says one.
    """
    dose, fractions, why = stated_gy, stated_fractions, "as stated"
    if plan is None:
        own = template.prescribed
        dose, fractions = dose or own.dose_gy, fractions or own.fractions
        why = why if stated_gy else f"template {template.name}"
    else:
        _require_fractions(plan, dose, fractions)
        if dose is None:
            dose, why = _of_plan(plan, target)
        elif others := _other_doses(plan, dose):
            why += f"; {plan.path.name} prescribes {others}"
        if plan.fractions is not None and fractions not in (None, plan.fractions):
            why += f"; {plan.path.name} plans {count(plan.fractions, 'fraction')}"
        fractions = fractions or plan.fractions
    found = {"dose_gy": dose, "fractions": fractions}
    if template.prescription is not None:
        return template.prescription.model_copy(update=found), why
    return Prescription.model_validate(found), why


def coverage_goal(
    prescription: Prescription, structure: str, source: str, *, dose_gy: float | None = None
) -> Goal:
    """Return what is prescribed as a goal: by default that D95 is at least 95 % of the dose.

    Parameters
    ----------
    prescription
        Says which share of the target is to get which share of the dose.
    structure
        Name of the target among the structures.
    source
        Who prescribes it.
    dose_gy
        Of a target with a dose of its own; the bound is then in Gy. None is the prescription's.
    """
    share = prescription.coverage_dose_pct
    return Goal(
        structure=structure,
        metric=f"D{prescription.coverage_pct:g}",
        direction="at_least",
        bound=share if dose_gy is None else share * dose_gy / 100,
        unit=OF_PRESCRIPTION if dose_gy is None else "Gy",
        source=f"prescribed ({source})",
    )


def other_targets(
    plan: ImportedPlan, target: Sequence[str], structures: Iterable[str]
) -> dict[str, tuple[float, str]]:
    """Return the further targets of a plan that a case has: their dose in Gy, and who says so.

    Parameters
    ----------
    plan
        Of the clinic.
    target
        Structures that make up the target that is judged; they are left out.
    structures
        Names of the case's structures.
    """
    volumes = [one for one in plan.target_doses if not one.at_a_point]
    found = {}
    for name in sorted(set(structures) - set(target)):
        mine = [one for one in volumes if _means(one, [name]) and not _means(one, target)]
        if mine and _one_dose(mine):
            found[name] = mine[0].dose_gy, f"{plan.path.name}: {mine[0].name}"
    return found


def _require_fractions(plan: ImportedPlan, dose_gy: float | None, stated: int | None) -> None:
    """Refuse a course whose number of fractions no one says, or whose dose then is another."""
    if stated is None and plan.fractions is None:
        raise InputError(
            f"{plan.path} does not say its number of fractions; state it with --fractions."
        )
    if dose_gy is None and stated and plan.fractions and stated != plan.fractions:
        raise InputError(
            f"{plan.path} plans {count(plan.fractions, 'fraction')}, not {stated}; state the dose "
            f"of these {stated} with --prescription-gy."
        )


def _of_plan(plan: ImportedPlan, target: Sequence[str]) -> tuple[float, str]:
    volumes = [one for one in plan.target_doses if not one.at_a_point]
    doses = volumes or list(plan.target_doses)
    if not doses:
        raise InputError(
            f"{plan.path} prescribes no dose to a target; state it with --prescription-gy (Gy of "
            f"the whole course)."
        )
    mine = [one for one in doses if _means(one, target)]
    if mine and _one_dose(mine):
        return mine[0].dose_gy, f"{plan.path.name}: {mine[0].name}"
    if not mine and _one_dose(doses):
        return doses[0].dose_gy, f"{plan.path.name}: {doses[0].name}, its only prescription"
    raise InputError(
        f"{plan.path} prescribes {_named(doses)}, and which of it is meant for the target "
        f"{' + '.join(target)} cannot be told; state it with --prescription-gy."
    )


def _means(one: TargetDose, target: Sequence[str]) -> bool:
    """Whether a prescription is for one of the target's structures."""
    called = {_plain(name) for name in (one.name, one.structure or "") if name}
    return any(_plain(name) in called for name in target)


def _plain(name: str) -> str:
    """Write a structure's name without what differs between systems: case, spaces, dashes."""
    return re.sub(r"[\s_\-+.^~]", "", name).casefold()


def _one_dose(doses: Sequence[TargetDose]) -> bool:
    values = [one.dose_gy for one in doses]
    return max(values) - min(values) <= _SAME_GY


def _named(doses: Sequence[TargetDose]) -> str:
    return ", ".join(f"{one.dose_gy:g} Gy to {one.name}" for one in doses)


def _other_doses(plan: ImportedPlan, stated_gy: float) -> str:
    """Name what the plan prescribes, where it is not what was stated."""
    if any(abs(one.dose_gy - stated_gy) <= _SAME_GY for one in plan.target_doses):
        return ""
    return _named(plan.target_doses) if plan.target_doses else ""
