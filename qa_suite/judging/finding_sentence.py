"""What a finding says: the numbers, how they stand to the bound, and who is not among them."""

from __future__ import annotations

import numpy as np

from qa_suite.core.records import Criterion, Outcome, Reason
from qa_suite.core.wording import (
    bound_text,
    count,
    known,
    listing,
    measure_name,
    named_cases,
    number,
    percent,
    quantity,
    some,
    stated,
)
from qa_suite.judging.estimates import NO_MEAN, Estimate, outcome_of
from qa_suite.judging.patient_values import Examined, PatientValues


def interval_text(
    criterion: Criterion,
    values: PatientValues,
    found: Estimate,
    where: str,
    *,
    worst: Reason | None = None,
    best: Reason | None = None,
) -> str:
    """Say an estimate, its interval and how they stand to the bound.

    ``worst`` says that all values are alike at the worst end, which fails without an interval,
    and ``best`` that all are near the best end, which passes without one.
    """
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    n, limit = len(values.measured), criterion.per_patient_bound
    if found.method == NO_MEAN and worst:
        return f"{what} {where}: {worst.words}, {stand(criterion, 'fail')}"
    if found.method == NO_MEAN:
        asked = bound_text(criterion.direction, stated(criterion.bound, criterion.unit))
        return f"{what} {where}: {NO_MEAN} (n = {n}), so the bound of {asked} is undecided"
    outcome = None if found.low is None else outcome_of(criterion, found)
    if limit is not None:
        asked = bound_text(criterion.direction, stated(limit, criterion.unit))
        head = f"{what} of {asked} {where}: share of patients"
    else:
        statistic = {"median": "Median "}.get(criterion.statistic, "")
        head = f"{statistic}{what} {where}:"
    hospitals = found.speaks_of in ("hospitals like these", "a hospital never seen")
    sites = f"{count(len(values.at_sites), 'site')}, " if hospitals else ""
    averaged = averaging(criterion, values)
    spread = f"{_spread_text(criterion, found)}, {sites}n = {n}{averaged and f', {averaged}'}"
    text = f"{head} {_estimate_text(criterion, found)} ({spread}) "
    if worst and outcome != "fail":
        text += f"{stand(criterion, 'fail')}: {worst.words}"
    elif best:
        text += f"{stand(criterion, 'pass')}: {best.words}"
    else:
        text += stand(criterion, outcome, why=found.why)
    return text + _whom(criterion, values, found)


def _whom(criterion: Criterion, values: PatientValues, found: Estimate) -> str:
    """Say that a finding speaks of these hospitals alone, where a reader would think of more."""
    if criterion.scope != "pooled" or found.low is None:
        return ""
    if found.speaks_of != "these hospitals":
        return ""
    return f"; it speaks of these {count(len(values.at_sites), 'site')} only"


def averaging(criterion: Criterion, values: PatientValues) -> str:
    """Say that a mean or median takes the mean of a patient's examinations; else nothing."""
    counts = values.examinations.values()
    most = max(counts, default=0)
    if most < 2 or criterion.statistic not in ("mean", "median"):
        return ""
    up_to = "" if min(counts) == most else "up to "
    return f"mean over {up_to}{count(most, 'examination')} a patient"


def _estimate_text(criterion: Criterion, found: Estimate) -> str:
    if criterion.per_patient_bound is not None:
        ends = (found.at_least, found.at_most) if found.value is None else (found.value,)
        return " to ".join(percent(end) for end in ends if end is not None)
    if found.value is None:
        return known(found.at_least, found.at_most, criterion.unit)
    return quantity(found.value, criterion.unit, apart_from=criterion.bound)


def _spread_text(criterion: Criterion, found: Estimate) -> str:
    if found.low is None or found.high is None:
        return "no interval"
    level = f"{100 * found.confidence:.4g} %"
    if criterion.per_patient_bound is not None:
        return f"{level} CI {percent(found.low)} to {percent(found.high)}"
    kind = "prediction interval" if criterion.scope == "new_site" else "CI"
    low, high = (
        number(end, apart_from=criterion.bound) if np.isfinite(end) else "unknown"
        for end in (found.low, found.high)
    )
    return f"{level} {kind} {low} to {high}"


def stand(
    criterion: Criterion, outcome: Outcome | None, *, interval: bool = True, why: str = ""
) -> str:
    """Say how the numbers stand to the bound, before any doubt; ``why`` there is no interval."""
    bound = stated(criterion.bound, criterion.unit)
    direction = criterion.direction
    if criterion.statistic == "fraction_within":
        bound, direction = stated(100 * criterion.bound, "%"), "at_least"
    asked = bound_text(direction, bound)
    if outcome == "pass":
        return f"meets the bound of {asked}"
    if outcome == "fail":
        verb = {"at_most": "is above", "at_least": "is below", "within": "lies outside"}[direction]
        return f"{verb} the bound of {'±' if direction == 'within' else ''}{bound}"
    if outcome is None:
        return f"cannot be held against the bound of {asked}: {why or 'no interval'}"
    open_ = "the interval includes it" if interval else "what is censored may lie beyond it"
    return f"leaves the bound of {asked} undecided: {open_}"


def finding_sentence(
    text: str, doubts: list[Reason], values: PatientValues, *, turned: bool
) -> str:
    """Say a whole finding: ``text``, the doubts, penalties and who has no value.

    ``turned`` says whether the doubts took a pass away.
    """
    if doubts:
        joint = ", but " if turned else "; moreover "
        text += joint + "; ".join(doubt.words for doubt in doubts)
    text += _penalties(values) + _censored_text(values)
    refused, absent = values.reasons("refused"), values.reasons("absent")
    if refused:
        text += f"; refused by preflight: {listing(some(sorted(refused)))}"
    if absent:
        text += f"; nothing to measure in {named_cases(absent)}"
    return f"{text}."


def _penalties(values: PatientValues) -> str:
    """Say which examinations count with a penalty, and with which."""
    rows = [row for row in values.rows if row.missed and row.fate == "value"]
    if not rows:
        return ""
    verbs = ("misses", "counts") if len(rows) == 1 else ("miss", "count")
    penalty = stated(rows[0].low, values.unit or "")
    return (
        f"; {count(len(rows), 'case')} {verbs[0]} the structure and {verbs[1]} with the penalty of "
        f"{penalty} ({listing(some([row.case for row in rows]))})"
    )


def _censored_text(values: PatientValues) -> str:
    """Name the examinations of which only a bound is known, with it."""
    rows = [row for row in values.rows if row.fate == "censored"]
    if not rows:
        return ""
    bounds = {row.case: told(row, values.unit or "") for row in rows}
    verb = "is" if len(rows) == 1 else "are"
    return f"; {count(len(rows), 'case')} {verb} censored ({named_cases(bounds)})"


def told(row: Examined, unit: str, *, apart_from: float | None = None) -> str:
    """Say the value of one examination, or what is known of it."""
    if row.value is None:
        return known(row.at_least, row.at_most, unit)
    return quantity(row.value, unit, apart_from=apart_from)
