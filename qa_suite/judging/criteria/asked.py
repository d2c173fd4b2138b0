"""What a profile asks about a treatment, and how many findings it makes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qa_suite.core.records import Criterion, Profile
from qa_suite.judging.power import patients_needed

QUESTIONS: Mapping[str, str] = {
    "target": "coverage of the target",
    "organs": "goals or doses of organs at risk",
    "dose or range": "dose in the body, or range of protons",
    "positioning": "set-up of the patient on the image",
}
"""What every clinical profile of radiotherapy has to bound."""
_DVH = ("d98_", "d95_", "d50_", "d2_", "dmean_", "coverage_dose_", "coverage_met_")
_ORGANS = ("goals_lost", "goals_gained", "goal_volume_difference")
_DOSE = ("gamma_pass_rate", "gamma_mean", "dose_difference_mean", "dose_difference_95")
_RANGE = ("wepl_", "range_")


def question_of(metric: str, region: str) -> str:
    """Return which of :data:`QUESTIONS` a bound on a measure answers; ``image`` for none."""
    if metric in _ORGANS or (metric.startswith(_DVH) and region.startswith("structure:")):
        return "organs"
    if metric.startswith(_DVH) and region == "target":
        return "target"
    if metric in _DOSE or metric.startswith(_RANGE):
        return "dose or range"
    return "positioning" if metric.startswith("positioning_") else "image"


def not_asked_of(criteria: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say which questions of radiotherapy none of the criteria bounds."""
    found = {question_of(str(c.get("metric")), str(c.get("region"))) for c in criteria}
    return [words for key, words in QUESTIONS.items() if key not in found]


def mean_findings(criteria: Iterable[Criterion], sites: int) -> int:
    """Count the findings that hold an interval of a mean or median against a bound.

    Worst patients have no interval, and shares of patients ask for more patients by themselves.
    """
    return sum(
        sites if criterion.scope == "each_site" else 1
        for criterion in criteria
        if has_power(criterion)
    )


def has_power(criterion: Criterion) -> bool:
    """Say whether a criterion's patients follow from the power of an interval of a mean."""
    return criterion.statistic in ("mean", "median") and criterion.scope in ("pooled", "each_site")


def planned_patients(profile: Profile) -> int | None:
    """Return the fewest ``min_patients`` that the planned power needs; None where none is said."""
    plan = profile.planned
    if plan is None:
        return None
    findings = mean_findings(profile.criteria, plan.sites)
    if findings == 0:
        return None
    confidence = max(c.confidence for c in profile.criteria if has_power(c))
    return patients_needed(
        findings, sd_inside=plan.sd_inside, power=plan.power, confidence=confidence
    )
