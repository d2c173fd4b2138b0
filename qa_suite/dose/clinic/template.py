"""A template for plans of the clinic: engine, target and goals; beams and doses are the plan's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.goals import Goal, load_goals
from qa_suite.dose.plan.prescription import coverage_goal
from qa_suite.dose.plan.template import (
    Modality,
    PlanTemplate,
    TargetRule,
    load_template,
    shipped_templates,
)

IMPORTED = "rtplan"
"""Name of the template, and variant of its rows."""
_ENGINES: dict[Modality, tuple[str, str]] = {
    "photons": ("photons-pydosert", "varian_10MV"),
    "protons": ("protons-range", "proton-generic"),
}


def imported_template(
    modality: Modality, *, targets: Sequence[str], goals: Sequence[Goal] = ()
) -> PlanTemplate:
    """Return the template that plans of the clinic are computed by.

    Parameters
    ----------
    modality
        Of the plans.
    targets
        Structures that may be the target, in order of preference, as drawn: without a margin.
    goals
        Clinical goals; none are needed.
    """
    engine, machine = _ENGINES[modality]
    return PlanTemplate(
        name=IMPORTED,
        modality=modality,
        anatomy="as planned",
        engine=engine,
        machine=machine,
        technique="imported",
        targets=tuple(TargetRule(structures=(name,)) for name in targets),
        goals=tuple(goals),
        source="the clinic's plan of each case",
    )


def prescribed_goal(
    name: str, structures: Collection[str], prescription_gy: float | None
) -> Goal | None:
    """Return what a template prescribes as a goal of the target that was drawn, if one was.

    Parameters
    ----------
    name
        Of a shipped template; anything else prescribes nothing.
    structures
        Names of what was drawn. A target that is another structure grown by a margin is not.
    prescription_gy
        Dose of the course where the user states it instead of the template.
    """
    if name not in shipped_templates():
        return None
    template = load_template(name)
    drawn = [one for rule in template.targets if not rule.margin_mm for one in rule.structures]
    target = next((one for one in drawn if one in structures), None)
    if target is None:
        return None
    source = f"template {name}" if prescription_gy is None else "as stated"
    dose_gy = prescription_gy or template.prescribed.dose_gy
    return coverage_goal(template.prescribed, target, source, dose_gy=dose_gy)


def goals_of(name: str) -> tuple[Goal, ...]:
    """Read goals: those of a plan template, or a YAML list of goals.

    Raises
    ------
    InputError
        If there is neither.
    Problems
        With everything that is wrong in the file.
    """
    if name in shipped_templates():
        return load_template(name).goals
    if not Path(name).is_file():
        raise InputError(
            f"There are no goals at {name}: neither a YAML file nor one of the templates "
            f"{', '.join(shipped_templates())}."
        )
    return load_goals(Path(name))
