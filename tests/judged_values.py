"""Values of patients under one measure, written as short as the tables that hold them."""

from __future__ import annotations

import math
from typing import Any

from qa_suite.core.records import Criterion, Finding
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.patient_values import Examined, Measure, PatientValues

INF = math.inf
MEASURE = Measure(metric="gap", region="seg:Bone")
RULES = Rules(max_refused_fraction=0.25)
DIRECTIONS = {"at_most": "max", "at_least": "min", "within": "mean"}


def criterion(direction: str = "at_most", **more: Any) -> Criterion:
    facts = {
        "name": "gap",
        "metric": "gap",
        "region": "seg:Bone",
        "bound": 5.0,
        "direction": direction,
        "unit": "mm",
        "min_patients": 1,
        "source": "made up",
    }
    return Criterion.model_validate(facts | more)


def examined(case: str, what: float | str | tuple[float | None, float | None]) -> Examined:
    """A value, what is known of a censored one (at least, at most), or another fate."""
    patient, site = case.partition("-")[0], "AB"[case.startswith("b")]
    told: dict[str, Any] = {"fate": "value", "value": what}
    if isinstance(what, tuple):
        told = {"fate": "censored", "at_least": what[0], "at_most": what[1]}
    elif isinstance(what, str):
        told = {"fate": what, "why": "a reason"}
    return Examined(case=case, patient=patient, site=site, **told)


def values(**cases: float | str | tuple[float | None, float | None]) -> PatientValues:
    rows = [examined(case.replace("_", "-"), what) for case, what in cases.items()]
    return PatientValues(measure=MEASURE, unit="mm", rows=tuple(rows))


def numbered(*found: float | tuple[float | None, float | None]) -> PatientValues:
    return values(**{f"p{n:02d}": what for n, what in enumerate(found)})


def found_in(asked: Criterion, sample: PatientValues, rules: Rules = RULES) -> Finding:
    (found,) = apply_criterion(asked, sample, rules)
    return found
