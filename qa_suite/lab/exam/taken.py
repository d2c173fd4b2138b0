"""What is measured for a verdict: the families, settings, plans and rows that a profile judges."""

from __future__ import annotations

from collections.abc import Iterable

from qa_suite.core.errors import InputError
from qa_suite.core.records import Measurement, Profile
from qa_suite.dose.engines import fitting_hluts
from qa_suite.dose.gamma import parse_criteria
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import load_template
from qa_suite.judging.collect import FAMILY_METRIC
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import METRICS
from qa_suite.metrics.settings import MeasureSettings

ALONE = "reference_free"
"""The family that looks without a reference."""
ALONE_TOO = ("source_shift", "source_rotation")
"""Measures of other families that need no reference either."""


def families_of(profile: Profile, *, alone: bool) -> list[str]:
    """Return the families that a profile's criteria need, in alphabetical order."""
    found = {METRICS[criterion.metric].facts.family for criterion in profile.criteria}
    if alone:
        found |= {ALONE} | {METRICS[metric].facts.family for metric in ALONE_TOO}
    return sorted(found)


def settings_for(
    profile: Profile, *, alone: bool, dose: DoseSettings | None = None
) -> MeasureSettings:
    """Return the default settings without what the profile does not judge.

    What is measured has the default settings of an evaluation; the parts that are left out
    only save time.
    """
    defaults = MeasureSettings()
    regions = [criterion.region for criterion in profile.criteria]
    metrics = {criterion.metric for criterion in profile.criteria}
    judged = metrics | {criterion.metric for criterion in TOO_GOOD}
    positioning = {c.variant for c in profile.criteria if c.metric.startswith("positioning")}
    source = alone or any(m.startswith(("source_", "excess_")) for m in metrics)
    variants = {c.variant for c in profile.criteria}
    image = defaults.image.model_copy(
        update={
            "only": tuple(m for m in sorted(judged) if METRICS[m].facts.family == "image"),
            "synthrad_modes": tuple(m for m in defaults.image.synthrad_modes if m in variants),
            "structures": any(region.startswith("structure:") for region in regions),
            "shells_mm": defaults.image.shells_mm
            if any(region.startswith("shell:") for region in regions)
            else (),
        }
    )
    geometry = defaults.geometry.model_copy(
        update={
            "source_alignment": defaults.geometry.source_alignment if source else "off",
            "local_shift": any(m.startswith("local_shift") for m in metrics),
            "structure_shift": "structure_shift" in metrics,
            "positioning": defaults.geometry.positioning.model_copy(
                update={"cbct": "cbct" in positioning, "drr": "drr" in positioning}
            ),
        }
    )
    checks = tuple(sorted(m for m in metrics if METRICS[m].facts.family == ALONE))
    reference_free = defaults.reference_free.model_copy(update={"only": None if alone else checks})
    return defaults.model_copy(
        update={
            "image": image,
            "geometry": geometry,
            "dose": dose or defaults.dose,
            "reference_free": reference_free,
        }
    )


def is_alone(row: Measurement) -> bool:
    """Whether a measurement needed no reference."""
    return row.family == ALONE or row.metric in ALONE_TOO


def wanted(rows: Iterable[Measurement], profile: Profile, *, alone: bool) -> list[Measurement]:
    """Keep what a verdict needs: the measured criteria, what tells a miss, and failures."""
    judged = (*profile.criteria, *TOO_GOOD)
    keys = {(c.metric, c.region, c.variant) for c in judged}
    missable = {region for _, region, _ in keys}
    return [
        row
        for row in rows
        if (row.metric, row.region, row.variant) in keys
        or row.metric == FAMILY_METRIC
        or (row.metric in ("missed", "dice") and row.region in missable)
        or (alone and is_alone(row))
    ]


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
