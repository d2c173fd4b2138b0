"""One criterion applied to one scope: estimate, interval, outcome and sentence. Pure.

The interval is two-sided at the criterion's confidence. Wholly on the good side of the bound
it passes, wholly on the bad side it fails, and in between it is undecided. What is missing
can take a pass away; it never gives one. What is censored counts by what is proven of it: see
:mod:`qa_suite.judging.estimates`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qa_suite.core.records import Criterion, Finding, Outcome
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
from qa_suite.judging.estimates import (
    NO_MEAN,
    Estimate,
    estimate,
    gravest,
    measured,
    meets,
    mildest,
    no_mean,
)
from qa_suite.judging.samples import NOT_MEASURED, Examined, Sample
from qa_suite.judging.statistics import new_site_interval


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a profile and an evaluation say beside the criteria."""

    max_refused_fraction: float
    sites: tuple[str, ...] = ()
    training_sites: tuple[str, ...] = ()
    seen_in_training: frozenset[str] = field(default=frozenset())


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
    return _settle(criterion, sample, rules, estimate(criterion, sample), name=name, where=where)


def _new_site(criterion: Criterion, sample: Sample, rules: Rules) -> Finding:
    abroad = sample.where(lambda row: row.site not in rules.training_sites)
    where = "at a site yet to come"
    if not abroad.measured:
        return _nothing(criterion, abroad, "new site", where)
    sites = [site for site in abroad.sites if abroad.at(site).measured]
    if abroad.censored:
        found = no_mean(criterion, len(sites))
    else:
        values = {site: abroad.at(site).patient_values().to_numpy() for site in sites}
        found = measured(new_site_interval(values, confidence=criterion.confidence))
    return _settle(criterion, abroad, rules, found, name="new site", where=where)


def _settle(
    criterion: Criterion, sample: Sample, rules: Rules, found: Estimate, *, name: str, where: str
) -> Finding:
    plain = _plain_outcome(criterion, found)
    doubts = _doubts(criterion, sample, rules)
    too_few = len(sample.measured) < criterion.min_patients
    outcome: Outcome = "inconclusive" if too_few or (plain == "pass" and doubts) else plain
    text = _interval_text(criterion, sample, found, where)
    return _record(
        criterion,
        sample,
        outcome,
        found,
        name=name,
        sentence=_sentence(text, doubts, sample, turned=outcome != plain),
    )


def _plain_outcome(criterion: Criterion, found: Estimate) -> Outcome:
    if found.low is None or found.high is None:
        return "inconclusive"
    return interval_outcome(criterion, found.low, found.high)


def _worst(criterion: Criterion, sample: Sample, rules: Rules, *, name: str) -> Finding:
    """Hold the worst examination against the bound: a fact about patients, no interval."""
    rows = [row for row in sample.rows if row.fate in ("value", "censored")]
    worst = max(rows, key=lambda row: (_badness(criterion, row), row.fate == "censored"))
    beyond = [row for row in rows if not meets(criterion, mildest(criterion, row), criterion.bound)]
    opened = [row for row in rows if not meets(criterion, gravest(criterion, row), criterion.bound)]
    doubts = _doubts(criterion, sample, rules)
    plain: Outcome = "fail" if beyond else ("inconclusive" if opened else "pass")
    outcome: Outcome = "inconclusive" if plain == "pass" and doubts else plain
    n = len(sample.measured)
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    text = (
        f"{what} in the worst patient, {worst.case} at {worst.site}: "
        f"{_told(worst, criterion.unit, apart_from=criterion.bound)} (worst of n = {n}) "
        f"{_stand(criterion, plain, interval=False)}"
    )
    patients = {row.patient for row in beyond}
    if len(patients) > 1:
        text += f"; {len(patients)} of {n} patients miss it"
    return _record(
        criterion,
        sample,
        outcome,
        Estimate(
            value=worst.value,
            at_least=worst.at_least,
            at_most=worst.at_most,
            low=None,
            high=None,
            n=n,
            confidence=criterion.confidence,
            method=f"worst examination of {n} patients, no interval",
        ),
        name=worst.patient if name == "pooled" else name,
        sites=tuple(sorted({row.site for row in beyond or [worst]})),
        sentence=_sentence(text, doubts, sample, turned=outcome != plain),
    )


def _badness(criterion: Criterion, row: Examined) -> float:
    """Say how bad an examination is proven to be, so that the worst comes last."""
    value = mildest(criterion, row)
    return {"at_most": value, "at_least": -value, "within": abs(value)}[criterion.direction]


def _told(row: Examined, unit: str, *, apart_from: float | None = None) -> str:
    if row.value is None:
        return known(row.at_least, row.at_most, unit)
    return quantity(row.value, unit, apart_from=apart_from)


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


def _interval_text(criterion: Criterion, sample: Sample, found: Estimate, where: str) -> str:
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    n, limit = len(sample.measured), criterion.per_patient_bound
    if found.method == NO_MEAN:
        asked = bound_text(criterion.direction, stated(criterion.bound, criterion.unit))
        return f"{what} {where}: {NO_MEAN} (n = {n}), so the bound of {asked} is undecided"
    outcome = None if found.low is None else _plain_outcome(criterion, found)
    if limit is not None:
        asked = bound_text(criterion.direction, stated(limit, criterion.unit))
        head = f"{what} of {asked} {where}: share of patients"
    else:
        statistic = {"median": "Median "}.get(criterion.statistic, "")
        head = f"{statistic}{what} {where}:"
    sites = f"{count(found.n, 'site')}, " if criterion.scope == "new_site" else ""
    spread = f"{_spread_text(criterion, found)}, {sites}n = {n}"
    return f"{head} {_estimate_text(criterion, found)} ({spread}) {_stand(criterion, outcome)}"


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


def _stand(criterion: Criterion, outcome: Outcome | None, *, interval: bool = True) -> str:
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
    why = "the interval includes it" if interval else "what is censored may lie beyond it"
    return f"leaves the bound of {asked} undecided: {why}"


def _sentence(text: str, doubts: list[str], sample: Sample, *, turned: bool) -> str:
    if doubts:
        joint = ", but " if turned else "; moreover "
        text += joint + "; ".join(doubts)
    text += _penalties(sample) + _censored_text(sample)
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
    penalty = stated(rows[0].low, sample.unit or "")
    return (
        f"; {count(len(rows), 'case')} {verbs[0]} the structure and {verbs[1]} with the penalty of "
        f"{penalty} ({listing(some([row.case for row in rows]))})"
    )


def _censored_text(sample: Sample) -> str:
    """Name the examinations of which only a bound is known, with it."""
    rows = [row for row in sample.rows if row.fate == "censored"]
    if not rows:
        return ""
    bounds = {row.case: _told(row, sample.unit or "") for row in rows}
    verb = "is" if len(rows) == 1 else "are"
    return f"; {count(len(rows), 'case')} {verb} censored ({named_cases(bounds)})"


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
        criterion,
        sample,
        "inconclusive",
        None,
        name=name,
        sentence=f"{what} {where}: no patient has a value ({why}).",
    )


def _record(
    criterion: Criterion,
    sample: Sample,
    outcome: Outcome,
    found: Estimate | None,
    *,
    name: str,
    sentence: str,
    sites: tuple[str, ...] | None = None,
) -> Finding:
    return Finding(
        criterion=criterion,
        scope_name=name,
        outcome=outcome,
        estimate=found.value if found else None,
        at_least=found.at_least if found else None,
        at_most=found.at_most if found else None,
        low=_finite(found.low) if found else None,
        high=_finite(found.high) if found else None,
        patients=len(sample.measured),
        censored=len(sample.censored),
        missing=len(sample.missing),
        missing_cases=sample.reasons("refused", "lost"),
        sites=sites if sites is not None else sample.sites or (name,),
        method=found.method if found else "no patient with a value",
        sentence=sentence,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
