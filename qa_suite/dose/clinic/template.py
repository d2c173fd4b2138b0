"""A template for plans of the clinic: engine, target and goals; beams and doses are the plan's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.goals import Goal, load_goals
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
