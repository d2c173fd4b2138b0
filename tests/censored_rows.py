"""Rows of which some are bounds, and what is found in them."""

from __future__ import annotations

import pandas as pd

from qa_suite.core.records import CaseRecord, Criterion, Measurement
from qa_suite.judging.collect import collect
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.patient_values import Measure

MEASURE = Measure(metric="gap", region="body")
RULES = Rules(max_refused_fraction=0.2, sites=("A",))


def row(case: str, value: float | str, site: str = "A") -> Measurement:
    """A value, or a bound of one: '>=10' and '<=3'."""
    what: dict = {"value": value}
    if isinstance(value, str):
        bound = {"at_least" if value.startswith(">=") else "at_most": float(value[2:])}
        what = {"value": None, "status": "censored", "why": "the search ended", **bound}
    patient = case.partition("-")[0]
    return Measurement(
        case=case,
        patient=patient,
        site=site,
        family="geometry",
        metric="gap",
        region="body",
        unit="mm",
        **what,
    )


def tables(rows: list[Measurement]) -> tuple[pd.DataFrame, list[CaseRecord]]:
    table = pd.DataFrame([r.model_dump() for r in rows])
    cases = [
        CaseRecord(case=r.case, patient=r.patient, site=r.site, split="test", status="evaluated")
        for r in rows
    ]
    return table, cases


def sample(*values: float | str):
    return collect(*tables([row(f"P{n:02d}", value) for n, value in enumerate(values)]), MEASURE)


def criterion(**more) -> Criterion:
    given = {
        "name": "gap",
        "metric": "gap",
        "region": "body",
        "bound": 5.0,
        "direction": "at_most",
        "unit": "mm",
        "min_patients": 1,
        "source": "made up",
    }
    return Criterion.model_validate(given | more)


def finding(criterion: Criterion, *values: float | str):
    (found,) = apply_criterion(criterion, sample(*values), RULES)
    return found
