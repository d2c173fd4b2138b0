"""One criterion applied to one scope: estimate, interval, outcome and sentence. Pure.

The interval is two-sided at the criterion's confidence. Wholly on the good side of the bound
it passes, wholly on the bad side it fails, and in between it is undecided. What is missing
can take a pass away; it never gives one. What is censored counts by what is proven of it: see
:mod:`qa_suite.judging.estimates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from qa_suite.core.records import Criterion, Finding, Outcome, Reason, ReasonCode
from qa_suite.core.wording import count, listing, measure_name, named_cases, some, stated
from qa_suite.judging.best_end import near_best_end
from qa_suite.judging.collect import NOT_MEASURED
from qa_suite.judging.estimates import (
    NO_MEAN,
    Estimate,
    estimate,
    gravest,
    mean_of_censored,
    measured,
    mildest,
    outcome_of,
)
from qa_suite.judging.finding_sentence import (
    averaging,
    finding_sentence,
    interval_text,
    stand,
    told,
)
from qa_suite.judging.hospitals import new_site_interval
from qa_suite.judging.outcomes import meets
from qa_suite.judging.patient_values import Examined, Fate, PatientValues
from qa_suite.judging.statistics import Interval
from qa_suite.judging.worst_end import alike_at_worst_end


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a profile and an evaluation say beside the criteria.

    ``missing_sites`` are the sites that must be judged and have no case, each with why.
    """

    max_refused_fraction: float
    max_excluded_fraction: float = 1.0
    max_absent_fraction: float = 1.0
    sites: tuple[str, ...] = ()
    missing_sites: Mapping[str, str] = field(default_factory=dict)
    training_sites: tuple[str, ...] = ()
    seen_in_training: frozenset[str] = field(default=frozenset())


def apply_criterion(
    criterion: Criterion, values: PatientValues, rules: Rules
) -> tuple[Finding, ...]:
    """Apply a criterion to its scope; one finding, or one a site for ``each_site``."""
    if criterion.missed_penalty is not None:
        values = values.with_misses_as(criterion.missed_penalty)
    if criterion.scope == "each_site":
        here = {*rules.sites, *values.sites}
        local = replace(rules, missing_sites={})  # each of them has a finding of its own
        return tuple(
            _finding(criterion, values.at(site), local, name=site)
            if site in here
            else _missing(criterion, values.at(site), name=site, why=rules.missing_sites[site])
            for site in sorted({*here, *rules.missing_sites})
        )
    if criterion.scope == "new_site":
        return (_new_site(criterion, values, rules),)
    return (_finding(criterion, values, rules, name="pooled"),)


# ---------------------------------------------------------------------------------------
# Estimating


def _finding(criterion: Criterion, values: PatientValues, rules: Rules, *, name: str) -> Finding:
    where = "pooled over all sites" if name == "pooled" else f"at {name}"
    if not values.measured:
        return _nothing(criterion, values, name, where)
    if criterion.scope == "worst_patient" or criterion.statistic in ("max", "min"):
        return _worst(criterion, values, rules, name=name)
    return _settle(criterion, values, rules, estimate(criterion, values), name=name, where=where)


def _new_site(criterion: Criterion, values: PatientValues, rules: Rules) -> Finding:
    abroad = values.where(lambda row: row.site not in rules.training_sites)
    where = "at a site yet to come"
    if not abroad.measured:
        nobody = _TRAINED_ON if values.rows else _NO_CASE
        return _nothing(criterion, abroad, "new site", where, nobody=nobody)
    sites = [site for site in abroad.sites if abroad.at(site).measured]
    lost = {site: len(abroad.at(site).lost) for site in abroad.sites}

    def predicted(by_site: Mapping[str, pd.Series]) -> Interval:
        return new_site_interval(
            by_site, kind=values.kind, confidence=criterion.confidence, lost=lost
        )

    def at_end(end: str) -> Interval:
        return predicted({site: abroad.at(site).patient_bounds()[end] for site in sites})

    if abroad.censored:
        found = mean_of_censored(criterion, abroad, at_end, len(sites))
    else:
        found = measured(predicted({site: abroad.at(site).patient_values() for site in sites}))
    if found.method != NO_MEAN:
        found = replace(found, speaks_of="a hospital never seen")
    return _settle(criterion, abroad, rules, found, name="new site", where=where)


def _settle(
    criterion: Criterion,
    values: PatientValues,
    rules: Rules,
    found: Estimate,
    *,
    name: str,
    where: str,
) -> Finding:
    worst = alike_at_worst_end(criterion, values, share=found.value)
    plain = "fail" if worst else outcome_of(criterion, found)
    best = None
    if found.low is None and not worst:
        of_hospitals = found.speaks_of in ("hospitals like these", "a hospital never seen")
        units = len(values.at_sites if of_hospitals else values.measured)
        best = near_best_end(criterion, values, units)
        plain = "pass" if best else plain
    found = _averaged(criterion, values, found)
    doubts = _doubts(criterion, values, rules)
    # What was lost took a patient from those who were asked: it heals no failure of the others.
    too_few = len(values.measured | values.lost) < criterion.min_patients
    outcome: Outcome = "inconclusive" if too_few or (plain == "pass" and doubts) else plain
    reasons = _reasons(outcome, plain, doubts, _why_open(found))
    if outcome == "fail" and worst:
        reasons = (worst,)
    if outcome == "pass" and best:
        reasons = (best,)
    text = interval_text(criterion, values, found, where, worst=worst, best=best)
    return _record(
        criterion,
        values,
        outcome,
        found,
        name=name,
        reasons=reasons,
        sentence=finding_sentence(text, doubts, values, turned=outcome != plain),
    )


def _averaged(criterion: Criterion, values: PatientValues, found: Estimate) -> Estimate:
    """Let an estimate of a mean or median say that it averages a patient's examinations."""
    said = averaging(criterion, values)
    if not said or found.method == NO_MEAN:
        return found
    return replace(found, method=f"{found.method}, {said}")


def _worst(criterion: Criterion, values: PatientValues, rules: Rules, *, name: str) -> Finding:
    """Hold the worst examination against the bound: a fact about patients, no interval."""
    rows = [row for row in values.rows if row.fate in ("value", "censored")]
    worst = max(rows, key=lambda row: (_badness(criterion, row), row.fate == "censored"))
    beyond = [row for row in rows if not meets(criterion, mildest(criterion, row), criterion.bound)]
    opened = [row for row in rows if not meets(criterion, gravest(criterion, row), criterion.bound)]
    doubts = _doubts(criterion, values, rules)
    plain: Outcome = "fail" if beyond else ("inconclusive" if opened else "pass")
    outcome: Outcome = "inconclusive" if plain == "pass" and doubts else plain
    n = len(values.measured)
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    text = (
        f"{what} in the worst patient, {worst.case} at {worst.site}: "
        f"{told(worst, criterion.unit, apart_from=criterion.bound)} (worst of n = {n}) "
        f"{stand(criterion, plain, interval=False)}"
    )
    patients = {row.patient for row in beyond}
    if len(patients) > 1:
        text += f"; {len(patients)} of {count(n, 'patient')} miss it"
    return _record(
        criterion,
        values,
        outcome,
        Estimate(
            value=worst.value,
            at_least=worst.at_least,
            at_most=worst.at_most,
            low=None,
            high=None,
            n=n,
            confidence=criterion.confidence,
            method=f"worst examination of {count(n, 'patient')}, no interval",
            speaks_of="these patients",
        ),
        name=worst.patient if name == "pooled" else name,
        sites=tuple(sorted({row.site for row in beyond or [worst]})),
        reasons=_reasons(outcome, plain, doubts, _reason("censored", "values censored")),
        sentence=finding_sentence(text, doubts, values, turned=outcome != plain),
    )


def _badness(criterion: Criterion, row: Examined) -> float:
    """Say how bad an examination is proven to be, so that the worst comes last."""
    value = mildest(criterion, row)
    return {"at_most": value, "at_least": -value, "within": abs(value)}[criterion.direction]


# ---------------------------------------------------------------------------------------
# What takes a pass away


def _doubts(criterion: Criterion, values: PatientValues, rules: Rules) -> list[Reason]:
    """Say why this scope cannot pass, whatever its values; empty if it can."""
    doubts = []
    n = len(values.measured)
    if n < criterion.min_patients:
        verb = "is" if n == 1 else "are"
        text = f"{count(n, 'patient')} {verb} fewer than the {criterion.min_patients} required"
        doubts.append(_reason("too_few_patients", text))
    lost = values.reasons("lost")
    if lost:
        verb = "has" if len(lost) == 1 else "have"
        text = f"{count(len(lost), 'case')} {verb} no value ({named_cases(lost)})"
        doubts.append(_reason("lost", text))
    limit = criterion.max_absent_fraction
    absent_limit = rules.max_absent_fraction if limit is None else limit
    everyone, asked = values.patients, values.asked
    not_excluded = asked | values.refused
    shares: tuple[tuple[ReasonCode, str, frozenset[str], frozenset[str], float], ...] = (
        ("refused", "preflight refused", values.refused, not_excluded, rules.max_refused_fraction),
        ("excluded", "excluded are", values.excluded, everyone, rules.max_excluded_fraction),
        ("absent", "the reference lacks it in", values.absent, asked, absent_limit),
    )
    for code, verb, some_of, all_of, most in shares:
        if len(some_of) > most * len(all_of) + _ROUNDING:
            text = (
                f"{verb} {len(some_of)} of {count(len(all_of), 'patient')}, "
                f"more than {stated(100 * most, '%')}"
            )
            doubts.append(_reason(code, text))
    for site, why in sorted(rules.missing_sites.items()):
        doubts.append(_reason("site_missing", f"no patient of {site} was judged ({why})"))
    seen = sorted({row.case for row in values.rows if row.patient in rules.seen_in_training})
    if seen:
        text = f"the model was trained on {listing(some(seen))}"
        doubts.append(_reason("seen_in_training", text))
    return doubts


def _why_open(found: Estimate) -> Reason:
    """Say why an estimate, by itself, neither meets nor misses its bound."""
    if found.method == NO_MEAN:
        return _reason("censored", NO_MEAN)
    if found.low is None or found.high is None:
        return _reason("no_interval", found.why or "there is no interval")
    return _reason("interval_includes_bound", "interval includes the bound")


def _reasons(
    outcome: Outcome, plain: Outcome, doubts: list[Reason], why_open: Reason
) -> tuple[Reason, ...]:
    """Return why a finding is undecided, the reason that decided first.

    Parameters
    ----------
    outcome, plain
        Of the finding, and of its values alone.
    doubts
        What takes a pass away.
    why_open
        The reason if the values alone decide nothing.
    """
    if outcome != "inconclusive":
        return ()
    few = [doubt for doubt in doubts if doubt.code == "too_few_patients"]
    rest = [doubt for doubt in doubts if doubt.code != "too_few_patients"]
    return (*few, *([why_open] if plain == "inconclusive" else []), *rest)


def _reason(code: ReasonCode, words: str) -> Reason:
    return Reason(code=code, words=words)


# ---------------------------------------------------------------------------------------
# Writing it down


_ROUNDING = 1e-9
_EXCLUDED = "every case is excluded by the profile"
_TRAINED_ON = "the model was trained at every site"
_NO_CASE = "no held-out case is left to judge"
_LEFT: tuple[tuple[Fate, str], ...] = (
    ("refused", "refused"),
    ("lost", "lost"),
    ("absent", "without it in the reference"),
    ("excluded", "excluded"),
)


def _nothing(
    criterion: Criterion, values: PatientValues, name: str, where: str, *, nobody: str = _NO_CASE
) -> Finding:
    """Return the finding of a scope without a value; ``nobody`` says why it has no case either."""
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    reason, named = _why_nobody(values, nobody)
    return _record(
        criterion,
        values,
        "inconclusive",
        None,
        name=name,
        reasons=(reason,),
        sentence=f"{what} {where}: no patient has a value ({named}).",
    )


def _why_nobody(values: PatientValues, nobody: str) -> tuple[Reason, str]:
    """Return why nobody has a value: as a reason, and with the cases named."""
    reasons = values.reasons("refused", "lost", "absent")
    if not values.rows:
        return _reason("nothing_measured", nobody), nobody
    if not reasons:
        return _reason("excluded", _EXCLUDED), _EXCLUDED
    if all(why == NOT_MEASURED for why in reasons.values()):
        way_out = values.held_instead or "evaluate again with its family of measures"
        return _reason("nothing_measured", NOT_MEASURED), f"it was not measured; {way_out}"
    of = [f"{n} {word}" for fate, word in _LEFT if (n := len(values.reasons(fate)))]
    return _reason("nothing_measured", f"no patient with a value, {listing(of)}"), named_cases(
        reasons
    )


def _missing(criterion: Criterion, values: PatientValues, *, name: str, why: str) -> Finding:
    """Return the finding of a site that must be judged and has nobody: it fails."""
    what = measure_name(criterion.metric, criterion.region, criterion.variant)
    return _record(
        criterion,
        values,
        "fail",
        None,
        name=name,
        reasons=(_reason("site_missing", f"no patient of it was judged: {why}"),),
        sentence=f"{what} at {name}: no patient of this site was judged ({why}), so that nothing "
        f"is shown of it.",
    )


def _record(
    criterion: Criterion,
    values: PatientValues,
    outcome: Outcome,
    found: Estimate | None,
    *,
    name: str,
    sentence: str,
    reasons: tuple[Reason, ...],
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
        patients=len(values.measured),
        censored=len(values.censored),
        missing=len(values.missing),
        missing_cases=values.reasons("refused", "lost"),
        sites=sites if sites is not None else values.sites or (name,),
        method=found.method if found else "no patient with a value",
        speaks_of=found.speaks_of if found else None,
        reasons=reasons,
        sentence=sentence,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
