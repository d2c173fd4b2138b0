"""Which findings decide, and each finding with its texts."""

from __future__ import annotations

import math

from qa_suite.core.records import Finding, Verdict
from reports.facts import wording
from reports.facts.short.records import ShortFinding, ShortGap
from reports.facts.worst import used_up

MOST_DECIDING = 5
_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2}


def deciding(verdict: Verdict) -> list[Finding]:
    """Return the findings that decide, at most five: each criterion once, the worst first.

    Missed bounds come before undecided ones, and these before what is met; among the same, what
    uses up most of its bound. Where there are fewer criteria, their further scopes follow.
    """
    ranked = worst_first(verdict)
    first = {one.criterion.name: one for one in reversed(ranked)}
    chosen = [one for one in ranked if first[one.criterion.name] is one]
    more = [one for one in ranked if first[one.criterion.name] is not one]
    return sorted([*chosen, *more][:MOST_DECIDING], key=_rank)


def worst_first(verdict: Verdict) -> list[Finding]:
    """Return all findings: missed bounds, undecided ones, then by how much is used up."""
    return sorted(verdict.findings, key=_rank)


def _rank(finding: Finding) -> tuple[int, float, str, str]:
    used = used_up(finding)
    return (
        _ORDER[finding.outcome],
        -math.inf if used is None else -used,
        finding.criterion.name,
        finding.scope_name,
    )


def short_finding(one: Finding, finds: tuple[str, ...], examined: bool) -> ShortFinding:
    """Return a finding with its texts, and the planted faults that it is known to find."""
    c = one.criterion
    return ShortFinding(
        criterion=c.name,
        asks=wording.criterion_text(c),
        scope=wording.scope_text(one),
        outcome=one.outcome,
        estimate=one.estimate,
        low=one.low,
        high=one.high,
        bound=c.bound,
        unit=c.unit,
        patients=one.patients,
        missing=one.missing,
        estimate_text=wording.estimate_text(one),
        interval_text=wording.finding_interval(one),
        because=one.because,
        sentence=one.sentence,
        source=c.source,
        confirmed=c.confirmed,
        known_to_find=finds,
        known_text=wording.finds_text(finds, examined),
    )


def short_gaps(verdict: Verdict) -> tuple[ShortGap, ...]:
    """Return every site's gap with its text."""
    return tuple(
        ShortGap(
            measure=wording.measure_title(one.metric, one.region, one.variant),
            site=one.site,
            in_training=one.in_training,
            patients=one.patients,
            gap=one.gap,
            low=one.gap_low,
            high=one.gap_high,
            gap_text="no gap" if one.gap is None else wording.signed(one.gap, one.unit),
            worse=one.shifted,
        )
        for one in verdict.site_gaps
    )
