"""One criterion applied to one scope: estimate, interval, outcome and sentence. Pure.

The interval is two-sided at the criterion's confidence. Wholly on the good side of the bound
it passes, wholly on the bad side it fails, and in between it is undecided. What is missing
can take a pass away; it never gives one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from qa_suite.records import Criterion, Finding, Outcome
from qa_suite.samples import NOT_MEASURED, Examined, Sample
from qa_suite.statistics import (
    Interval,
    mean_interval,
    median_interval,
    new_site_interval,
    proportion_interval,
)
from qa_suite.wording import (
    bound_text,
    count,
    listing,
    measure_name,
    named_cases,
    number,
    percent,
    quantity,
    some,
    stated,
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a profile and an evaluation say beside the criteria."""

    max_refused_fraction: float
    sites: tuple[str, ...] = ()
    training_sites: tuple[str, ...] = ()
    seen_in_training: frozenset[str] = field(default=frozenset())


def meets(criterion: Criterion, value: float, bound: float) -> bool:
    """Say whether one number is on the good side of a bound (the bound itself is good)."""
    if criterion.direction == "at_most":
        return value <= bound
    if criterion.direction == "at_least":
        return value >= bound
    return abs(value) <= bound


def interval_outcome(criterion: Criterion, low: float, high: float) -> Outcome:
    """Hold an interval against the criterion's bound."""
    bound, direction = criterion.bound, criterion.direction
    if criterion.statistic == "fraction_within":
        direction = "at_least"
    good = (-float("inf"), bound)
    if direction == "at_least":
        good = (bound, float("inf"))
    elif direction == "within":
        good = (-bound, bound)
    if good[0] <= low and high <= good[1]:
        return "pass"
    return "fail" if high < good[0] or low > good[1] else "inconclusive"


def apply_criterion(criterion: Criterion, sample: Sample, rules: Rules) -> tuple[Finding, ...]:
    """Apply a criterion to its scope; one finding, or one a site for ``each_site``."""
    if criterion.missed_penalty is not None:
        sample = sample.with_misses_as(criterion.missed_penalty)
    if criterion.scope == "each_site":
        return tuple(
            _finding(criterion, sample.at(site), rules, name=site)
            for site in sorted({*rules.sites, *sample.sites})
        )
    if criterion.scope == "new_site":
        return (_new_site(criterion, sample, rules),)
    return (_finding(criterion, sample, rules, name="pooled"),)


# ---------------------------------------------------------------------------------------
# Estimating


def _finding(criterion: Criterion, sample: Sample, rules: Rules, *, name: str) -> Finding:
    where = "pooled over all sites" if name == "pooled" else f"at {name}"
    if not sample.measured:
        return _nothing(criterion, sample, name, where)
    if criterion.scope == "worst_patient" or criterion.statistic in ("max", "min"):
        return _worst(criterion, sample, rules, name=name)
    interval = _interval(criterion, sample.patient_values())
    return _settle(criterion, sample, rules, interval, name=name, where=where)


def _interval(criterion: Criterion, values: pd.Series) -> Interval:
    if criterion.statistic == "median":
        return median_interval(values, confidence=criterion.confidence)
    if criterion.per_patient_bound is not None:
        limit = criterion.per_patient_bound
        met = sum(meets(criterion, value, limit) for value in values)
        return proportion_interval(met, len(values), confidence=criterion.confidence)
    return mean_interval(values, confidence=criterion.confidence)


def _new_site(criterion: Criterion, sample: Sample, rules: Rules) -> Finding:
    abroad = sample.where(lambda row: row.site not in rules.training_sites)
    where = "at a site yet to come"
    if not abroad.measured:
        return _nothing(criterion, abroad, "new site", where)
    measured = [site for site in abroad.sites if abroad.at(site).measured]
    values = {site: abroad.at(site).patient_values().to_numpy() for site in measured}
    interval = new_site_interval(values, confidence=criterion.confidence)
    return _settle(criterion, abroad, rules, interval, name="new site", where=where)


def _settle(
    criterion: Criterion,
    sample: Sample,
    rules: Rules,
    interval: Interval,
    *,
    name: str,
    where: str,
) -> Finding:
    plain = _plain_outcome(criterion, interval)
    doubts = _doubts(criterion, sample, rules)
    too_few = len(sample.measured) < criterion.min_patients
    outcome: Outcome = "inconclusive" if too_few or (plain == "pass" and doubts) else plain
    text = _interval_text(criterion, sample, interval, where)
    return _record(
        criterion,
        sample,
        outcome,
        interval,
        name=name,
        sentence=_sentence(text, doubts, sample, turned=outcome != plain),
    )


def _plain_outcome(criterion: Criterion, interval: Interval) -> Outcome:
    if interval.low is None or interval.high is None:
        return "inconclusive"
    return interval_outcome(criterion, interval.low, interval.high)


def _worst(criterion: Criterion, sample: Sample, rules: Rules, *, name: str) -> Finding:
    """Hold the worst examination against the bound: a fact about patients, no interval."""
    rows = [row for row in sample.rows if row.fate == "value"]
    worst = max(rows, key=_badness(criterion))
    value = _value(worst)
    beyond = [row for row in rows if not meets(criterion, _value(row), criterion.bound)]
    doubts = _doubts(criterion, sample, rules)
    outcome: Outcome = "fail" if beyond else ("inconclusive" if doubts else "pass")
    n = len(sample.measured)
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    text = (
        f"{what} in the worst patient, {worst.case} at {worst.site}: "
        f"{quantity(value, criterion.unit, apart_from=criterion.bound)} (worst of n = {n}) "
        f"{_stand(criterion, 'fail' if beyond else 'pass')}"
    )
    patients = {row.patient for row in beyond}
    if len(patients) > 1:
        text += f"; {len(patients)} of {n} patients miss it"
    return _record(
        criterion,
        sample,
        outcome,
        Interval(
            estimate=value, low=None, high=None, n=n, confidence=criterion.confidence,
            method=f"worst examination of {n} patients, no interval",
        ),
        name=worst.patient if name == "pooled" else name,
        sites=tuple(sorted({row.site for row in beyond or [worst]})),
        sentence=_sentence(text, doubts, sample, turned=outcome == "inconclusive"),
    )  # fmt: skip


def _badness(criterion: Criterion) -> Callable[[Examined], float]:
    if criterion.direction == "at_most":
        return _value
    if criterion.direction == "at_least":
        return lambda row: -_value(row)
    return lambda row: abs(_value(row))


def _value(row: Examined) -> float:
    if row.value is None:
        raise ValueError(f"{row.case} has no value")
    return row.value


# ---------------------------------------------------------------------------------------
# What takes a pass away


def _doubts(criterion: Criterion, sample: Sample, rules: Rules) -> list[str]:
    """Say why this sample cannot pass, whatever its values; empty if it can."""
    doubts = []
    n = len(sample.measured)
    if n < criterion.min_patients:
        doubts.append(
            f"{count(n, 'patient')} {'is' if n == 1 else 'are'} fewer than the "
            f"{criterion.min_patients} required"
        )
    lost = sample.reasons("lost")
    if lost:
        verb = "has" if len(lost) == 1 else "have"
        doubts.append(f"{count(len(lost), 'case')} {verb} no value ({named_cases(lost)})")
    share = len(sample.refused) / len(sample.patients)
    if share > rules.max_refused_fraction:
        doubts.append(
            f"preflight refused {len(sample.refused)} of {count(len(sample.patients), 'patient')}, "
            f"more than {stated(100 * rules.max_refused_fraction, '%')}"
        )
    seen = sorted({row.case for row in sample.rows if row.patient in rules.seen_in_training})
    if seen:
        doubts.append(f"the model was trained on {listing(some(seen))}")
    return doubts


# ---------------------------------------------------------------------------------------
# Saying it


def _interval_text(criterion: Criterion, sample: Sample, interval: Interval, where: str) -> str:
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    unit, n = criterion.unit, len(sample.measured)
    level = f"{100 * interval.confidence:.4g} %"
    outcome = None if interval.low is None else _plain_outcome(criterion, interval)
    if criterion.per_patient_bound is not None:
        asked = bound_text(criterion.direction, stated(criterion.per_patient_bound, unit))
        head = f"{what} of {asked} {where}: share of patients {percent(interval.estimate)}"
        spread = f"{level} CI {percent(interval.low or 0)} to {percent(interval.high or 0)}"
    else:
        bound = criterion.bound
        statistic = {"median": "Median "}.get(criterion.statistic, "")
        head = f"{statistic}{what} {where}: {quantity(interval.estimate, unit, apart_from=bound)}"
        kind = "prediction interval" if criterion.scope == "new_site" else "CI"
        spread = "no interval"
        if interval.low is not None and interval.high is not None:
            low = number(interval.low, apart_from=bound)
            spread = f"{level} {kind} {low} to {number(interval.high, apart_from=bound)}"
    sites = f"{count(interval.n, 'site')}, " if criterion.scope == "new_site" else ""
    return f"{head} ({spread}, {sites}n = {n}) {_stand(criterion, outcome)}"


def _stand(criterion: Criterion, outcome: Outcome | None) -> str:
    """Say how the numbers stand to the bound, before any doubt."""
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
        return f"cannot be held against the bound of {asked}: too few for an interval"
    return f"leaves the bound of {asked} undecided: the interval includes it"


def _sentence(text: str, doubts: list[str], sample: Sample, *, turned: bool) -> str:
    if doubts:
        joint = ", but " if turned else "; moreover "
        text += joint + "; ".join(doubts)
    text += _penalties(sample)
    refused, absent = sample.reasons("refused"), sample.reasons("absent")
    if refused:
        text += f"; refused by preflight: {listing(some(sorted(refused)))}"
    if absent:
        text += f"; nothing to measure in {named_cases(absent)}"
    return f"{text}."


def _penalties(sample: Sample) -> str:
    """Say which examinations count with a penalty, and with which."""
    rows = [row for row in sample.rows if row.missed and row.fate == "value"]
    if not rows:
        return ""
    verbs = ("misses", "counts") if len(rows) == 1 else ("miss", "count")
    penalty = stated(_value(rows[0]), sample.unit or "")
    return (
        f"; {count(len(rows), 'case')} {verbs[0]} the structure and {verbs[1]} with the penalty of "
        f"{penalty} ({listing(some([row.case for row in rows]))})"
    )


def _nothing(criterion: Criterion, sample: Sample, name: str, where: str) -> Finding:
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    reasons = sample.reasons("refused", "lost", "absent")
    if not reasons:
        why = "every case is excluded by the profile"
    elif all(why == NOT_MEASURED for why in reasons.values()):
        why = "it was not measured; evaluate again with its family of measures"
    else:
        why = named_cases(reasons)
    return _record(
        criterion, sample, "inconclusive", None, name=name,
        sentence=f"{what} {where}: no patient has a value ({why}).",
    )  # fmt: skip


def _record(
    criterion: Criterion,
    sample: Sample,
    outcome: Outcome,
    interval: Interval | None,
    *,
    name: str,
    sentence: str,
    sites: tuple[str, ...] | None = None,
) -> Finding:
    return Finding(
        criterion=criterion,
        scope_name=name,
        outcome=outcome,
        estimate=interval.estimate if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        patients=len(sample.measured),
        missing=len(sample.missing),
        missing_cases=sample.reasons("refused", "lost"),
        sites=sites if sites is not None else sample.sites or (name,),
        method=interval.method if interval else "no patient with a value",
        sentence=sentence,
    )
