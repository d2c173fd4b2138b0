"""The check-up of one patient in half a page: no reference, the held-out patients instead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from qa_suite.core.records import Evaluation
from qa_suite.core.wording import brief, count, listing, some
from reports.facts import wording
from reports.facts.sheets.records import Cell, Sheet, Table
from reports.facts.short.records import Line

MOST_ROWS: Final = 8
"""Measures that half a page has room for: those outside first, then the nearest to a limit."""
Colour = Literal["pass", "fail", "inconclusive"]
_LOOK: Final[dict[str, tuple[Colour, str, str]]] = {
    "within": ("pass", "✓", "Within all limits"),
    "outside": ("fail", "✕", "Outside"),
    "inconclusive": ("inconclusive", "?", "Inconclusive"),
}


def check_up_sheet(
    found: Mapping[str, Any], evaluation: Evaluation, *, at: str = "", over_time: str = ""
) -> Sheet:
    """Say in half a page how one patient lies among those of an evaluation.

    Parameters
    ----------
    found
        The check-up as ``checkup --json`` prints it.
    evaluation
        Whom the patient was compared with.
    at
        When it was checked, in ISO 8601.
    over_time
        What the log's control charts say, where there is one.
    """
    colour, symbol, word = _LOOK[found["outcome"]]
    ranked = sorted(found["findings"], key=_how_near)
    shown, rest = ranked[:MOST_ROWS], ranked[MOST_ROWS:]
    compared = (
        f"{count(found['patients'], 'held-out patient')} of {evaluation.cohort.name} "
        f"(evaluation {evaluation.evaluation})"
    )
    facts = [
        Line(label="Image", text=found["case"]),
        Line(label="Model", text=f"{evaluation.model.name} ({evaluation.model.uri})"),
        Line(label="Compared with", text=compared),
        Line(
            label="No reference",
            text="The image is held against what is usual of such images; that it is right is "
            "not shown.",
        ),
        Line(
            label="False alarms",
            text=f"{wording.number(found['false_alarms'])} measures of a patient without a fault "
            f"are expected outside.",
        ),
    ]
    if found["not_compared"]:
        facts.append(
            Line(label="Not compared", text=listing(some(sorted(found["not_compared"]), 4)))
        )
    if over_time:
        facts.append(Line(label="Over time", text=over_time))
    note = "Limits: those of the held-out patients, on the side that is looked at."
    if rest:
        states = {s: sum(f["state"] == s for f in rest) for s in ("outside", "unknown", "within")}
        told = [f"{n} {state}" for state, n in states.items() if n]
        note += f" {count(len(rest), 'further measure')}: {listing(told)}."
    return Sheet(
        kind="check-up",
        title=f"Check-up of {found['case']}",
        identifier=found["case"],
        evaluation=evaluation.evaluation,
        at=at,
        symbol=symbol,
        headline=word,
        colour=colour,
        sentence=found["sentence"],
        facts=tuple(facts),
        warnings=evaluation.announced,
        tables=(
            Table(
                title="Measures, the most unusual first",
                columns=("Measure", "Value", "Percentile", "Low limit", "High limit", "State"),
                numeric=(False, True, True, True, True, False),
                rows=tuple(_row(one) for one in shown),
                note=note if shown else "Nothing could be compared.",
            ),
        ),
        to_sign=1,
        written_by=evaluation.code.suite_version,
    )


def _how_near(f: Mapping[str, Any]) -> tuple[int, float, str, str]:
    """Order: outside, without a value, then by the distance from the centre."""
    order = {"outside": 0, "unknown": 1, "within": 2}[f["state"]]
    sigmas = math.inf if f["sigmas"] is None else abs(f["sigmas"])
    return order, -sigmas, f["metric"], f["region"]


def _row(f: Mapping[str, Any]) -> tuple[Cell, ...]:
    unit = f["unit"]
    value = wording.quantity(f["value"], unit, f["status"])
    if f["status"] == "censored":
        value = f"{brief(f['at_least'], f['at_most'])}{wording.suffix(unit)}"
    percentile = f["percentile"]
    return (
        Cell(text=wording.measure_title(f["metric"], f["region"], f["variant"])),
        Cell(text=value, value=f["value"]),
        Cell(text="–" if percentile is None else f"{percentile:.0f}", value=percentile),
        _limit(f, "low"),
        _limit(f, "high"),
        Cell(text="far outside" if f["far_outside"] else f["state"]),
    )


def _limit(f: Mapping[str, Any], side: str) -> Cell:
    if f["side"] not in (side, "both"):
        return Cell(text="–")
    return Cell(text=wording.quantity(f[side], f["unit"]), value=f[side])
