"""The plans that a profile judges: named by the variants of its criteria about dose."""

from __future__ import annotations

from qa_suite.core.errors import InputError
from qa_suite.core.records import Profile
from qa_suite.dose.engines import fitting_hluts
from qa_suite.dose.gamma import parse_criteria
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import load_template
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import METRICS


def dose_of(profile: Profile, settings: ExamSettings) -> DoseSettings:
    """Return the dose settings of a profile's criteria; without a criterion no plan at all.

    Raises
    ------
    InputError
        If no table of the settings fits a plan.
    """
    variants = [c.variant for c in profile.criteria if METRICS[c.metric].facts.family == "dose"]
    plans = tuple(dict.fromkeys(variant.split(":")[0] for variant in variants))
    wanted = {variant.split(":")[1] for variant in variants if "pct" in variant}
    tables = [load_hlut(name) for name in settings.hluts]
    choices = []
    for name in plans:
        template = load_template(name)
        fitting = fitting_hluts(template, tables)
        if not fitting:
            raise InputError(f"No HLUT of the exam fits the plan {name}; give one in its settings.")
        choices.append(PlanChoice(template=template, hlut=fitting[0]))
    defaults = DoseSettings()
    criteria = tuple(c for c in defaults.gamma if c.key in wanted) or parse_criteria("2/2")
    return defaults.model_copy(
        update={
            "plans": tuple(choices),
            "grid_mm": settings.dose_grid_mm,
            "gamma": criteria,
            "causes": False,
            "bulk": False,
            "scenarios": False,
        }
    )
