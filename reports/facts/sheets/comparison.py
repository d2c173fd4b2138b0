"""The comparison of two models or versions in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.core.records.comparison import Compared
from qa_suite.core.wording import count, listing
from reports.facts import wording
from reports.facts.sheets.records import Cell, Points, Sheet, Table
from reports.facts.short.records import Line

Colour = Literal["pass", "fail", "inconclusive"]
ANSWERS: Final[dict[str | None, tuple[Colour, str, str]]] = {
    "yes": ("pass", "✓", "Yes"),
    "no": ("fail", "✕", "No"),
    "undecided": ("inconclusive", "?", "Undecided"),
    None: ("inconclusive", "≡", "Described"),
}
"""Look, symbol and word of each answer."""
_COLUMNS = ("Measure", "Patients", "New", "Old", "Difference", "Interval", "Margin", "Answer")


def comparison_sheet(found: Comparison) -> Sheet:
    """Say in short what a comparison found: the primary measures, then those described."""
    colour, symbol, word = ANSWERS[found.answer]
    primary = [one for one in found.findings if one.primary]
    others = [one for one in found.findings if not one.primary]
    tables = [_table("Primary measures", primary, "Differences: new − old, on the same patients.")]
    if others:
        note = "Not corrected for their number; nothing is shown by them."
        tables.append(_table("Described measures", others, note))
    alone = [
        f"by the {who} one alone: {listing(names)}"
        for who, names in (("new", found.only_new), ("old", found.only_old))
        if names
    ]
    patients = "; ".join([f"{count(found.patients, 'patient')} examined by both", *alone])
    return Sheet(
        kind="comparison",
        title=f"Comparison: {found.new.model} against {found.old.model}",
        identifier=found.comparison,
        evaluation=found.new.evaluation,
        symbol=symbol,
        headline=word,
        colour=colour,
        sentence=found.sentence,
        facts=(
            Line(label="Asked", text=found.asked),
            Line(label="New", text=_who(found.new)),
            Line(label="Old", text=_who(found.old)),
            Line(label="Profile", text=f"{found.profile} ({found.profile_sha256[:12]})"),
            Line(label="Patients", text=f"{patients}."),
        ),
        warnings=found.notices,
        tables=tuple(tables),
        points=(
            Points(title="In words", said=tuple(one.sentence for one in primary)),
            Points(title="How it counts", said=found.rules),
        ),
        to_sign=1,
        written_by=found.suite_version,
    )


def _who(one: Compared) -> str:
    version = f", version {one.model_version}" if one.model_version else ""
    return f"{one.model}{version} ({one.model_uri}) on {one.cohort}, evaluation {one.evaluation}"


def _table(title: str, findings: Sequence[PairedFinding], note: str) -> Table:
    return Table(
        title=title,
        columns=_COLUMNS,
        numeric=(False, True, True, True, True, True, True, False),
        rows=tuple(_row(one) for one in findings),
        note=note if findings else "None was declared.",
    )


def _row(f: PairedFinding) -> tuple[Cell, ...]:
    nothing = f"undefined: {f.method}"
    return (
        Cell(text=wording.measure_title(f.metric, f.region, f.variant)),
        Cell(text=str(f.patients), value=f.patients),
        Cell(text=wording.quantity(f.new, f.unit, "undefined"), value=f.new),
        Cell(text=wording.quantity(f.old, f.unit, "undefined"), value=f.old),
        Cell(
            text=nothing if f.difference is None else wording.signed(f.difference, f.unit),
            value=f.difference,
        ),
        Cell(text=wording.interval(f.low, f.high)),
        Cell(text="–" if f.margin is None else wording.quantity(f.margin, f.unit), value=f.margin),
        Cell(text=f.answer or "–"),
    )
