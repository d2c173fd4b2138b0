"""Which findings decide, which site is worst, and each finding with its texts."""

from __future__ import annotations

import math

from qa_suite.core.records import Finding, Verdict
from qa_suite.core.wording import count, listing, some
from reports.facts import wording
from reports.facts.short.records import ShortFinding, ShortGap

MOST_DECIDING = 5
_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2}


def deciding(verdict: Verdict) -> list[Finding]:
    """Return the findings that decide, at most five: each criterion once, the worst first.

    Missed bounds come before undecided ones, and these before what is met; among the same, what
    uses up most of its bound. Where there are fewer criteria, their further scopes follow.
    """
    ranked = sorted(verdict.findings, key=_rank)
    first = {one.criterion.name: one for one in reversed(ranked)}
    chosen = [one for one in ranked if first[one.criterion.name] is one]
    more = [one for one in ranked if first[one.criterion.name] is not one]
    return sorted([*chosen, *more][:MOST_DECIDING], key=_rank)


def _rank(finding: Finding) -> tuple[int, float, str, str]:
    used = used_up(finding)
    return (
        _ORDER[finding.outcome],
        -math.inf if used is None else -used,
        finding.criterion.name,
        finding.scope_name,
    )


def used_up(finding: Finding) -> float | None:
    """Return how much of its bound an estimate uses up: above 1 it is missed.

    None where there is no estimate, or the bound is no scale to measure by.
    """
    c, estimate = finding.criterion, finding.estimate
    if estimate is None:
        return None
    if wording.is_share(c) or c.direction == "at_least":
        room = 1 - c.bound if c.unit in ("1", "") and c.bound < 1 else abs(c.bound)
        return 1 + (c.bound - estimate) / room if room > 0 else None
    value = abs(estimate) if c.direction == "within" else estimate
    return value / c.bound if c.bound > 0 else None


def worst_site(verdict: Verdict) -> str:
    """Name the site with most bounds missed, and how many; or that none is worse."""
    missed: dict[str, list[str]] = {}
    for one in verdict.findings:
        if one.outcome == "fail":
            for site in one.sites or ((one.scope_name,) if one.scope_name != "pooled" else ()):
                missed.setdefault(site, []).append(one.criterion.name)
    if not missed:
        of_sites = any(f.criterion.scope == "each_site" for f in verdict.findings)
        return "No site misses a bound." if of_sites else "No criterion asks site by site."
    site = min(missed, key=lambda name: (-len(missed[name]), name))
    names = listing(some(list(dict.fromkeys(missed[site])), 4))
    bounds = count(len(missed[site]), "bound")
    return f"{site} misses {bounds}: {names}."


def short_finding(one: Finding) -> ShortFinding:
    """Return a finding with its texts."""
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
