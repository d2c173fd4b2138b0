"""A table of hazards: which of them this evaluation would have shown, and which it did. Pure.

The form is that of a failure modes and effects analysis. Severity, occurrence and detectability are
the clinic's own; what a record can say is whether something looked, and what it saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel

from qa_suite.core.records import Finding, Verdict
from qa_suite.core.records.measurement import STRICT
from qa_suite.core.wording import listing, some
from qa_suite.judging.references import Hazard, hazards

Seen = Literal[
    "found", "undecided", "not found", "measured, not judged", "not examined", "not measurable"
]
Measured = tuple[str, str]
"""Metric and region of a row that has a value."""
NEW_SITE = "new_site"
"""What shows a hazard by the scope of a criterion, and not by its measure."""


class HazardRow(BaseModel):
    """One hazard under one verdict."""

    model_config = STRICT

    key: str
    hazard: str
    cause: str
    effect: str
    shown_by: tuple[str, ...]
    seen: Seen
    by: tuple[str, ...] = ()
    residual: str


def hazard_table(
    verdict: Verdict, measured: Iterable[Measured], keys: Sequence[str] = ()
) -> tuple[HazardRow, ...]:
    """Tell of every hazard whether this evaluation looked for it, and what it saw.

    Parameters
    ----------
    verdict
        Under the profile that is of interest.
    measured
        Metric and region of every row of the record that has a value.
    keys
        Hazards to tell of; none tells of those that the profile names, or of all.

    Returns
    -------
    tuple of HazardRow
        In the order of the table of hazards. *found*: a bound on it was missed; *undecided*: some
        bound is; *not found*: every bound on it was met; *measured, not judged*: the profile bounds
        none of it; *not examined*: nothing that would show it has a value; *not measurable*: no
        measurement of images shows it.
    """
    wanted = tuple(keys) or verdict.profile.hazards
    held = set(measured)
    return tuple(
        _row(key, hazard, verdict.findings, held)
        for key, hazard in hazards().items()
        if not wanted or key in wanted
    )


def _row(key: str, hazard: Hazard, findings: Sequence[Finding], held: set[Measured]) -> HazardRow:
    asked = [one for one in findings if _shows(hazard, one)]
    outcomes = {one.outcome for one in asked}
    seen: Seen
    if not hazard.shown_by:
        seen = "not measurable"
    elif "fail" in outcomes:
        seen = "found"
    elif asked:
        seen = "undecided" if "inconclusive" in outcomes else "not found"
    elif any(_matches(way, *row) for way in hazard.shown_by for row in held):
        seen = "measured, not judged"
    else:
        seen = "not examined"
    decisive = {"found": "fail", "undecided": "inconclusive", "not found": "pass"}.get(seen)
    by = [f"{one.criterion.name} ({one.scope_name})" for one in asked if one.outcome == decisive]
    return HazardRow(
        key=key,
        hazard=hazard.hazard,
        cause=hazard.cause,
        effect=hazard.effect,
        shown_by=hazard.shown_by,
        seen=seen,
        by=tuple(by),
        residual=_residual(seen, hazard, by),
    )


def _residual(seen: Seen, hazard: Hazard, by: Sequence[str]) -> str:
    if seen == "found":
        return f"Unacceptable until explained: {listing(some(list(by)))}"
    if seen == "not found":
        return f"Reduced; what remains: {hazard.remains}"
    if seen == "not measurable":
        return f"Unknown, and not to be lowered by this evaluation: {hazard.remains}"
    why = {
        "undecided": "some bound on it is undecided",
        "measured, not judged": "the profile sets no bound on it",
        "not examined": "nothing that would show it was measured",
    }[seen]
    return f"Unknown: {why}"


def _shows(hazard: Hazard, finding: Finding) -> bool:
    one = finding.criterion
    return any(
        (way == NEW_SITE and one.scope == NEW_SITE) or _matches(way, one.metric, one.region)
        for way in hazard.shown_by
    )


def _matches(way: str, metric: str, region: str) -> bool:
    """Whether a measure is one of METRIC, METRIC@REGION or METRIC@KIND: (any of a kind)."""
    name, _, place = way.partition("@")
    if metric != name:
        return False
    return not place or region == place or (place.endswith(":") and region.startswith(place))
