"""What the page of an audit shows: rows of its plots and tables, read from the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qa_suite.core.records import Audit, AuditCell, AuditMeasure, CellFinding, Gap
from qa_suite.core.wording import bound_text, measure_name, number, stated, suffix
from reports.facts.forest import Forest, ForestRow
from reports.facts.wording import unit_text

SITE = "site"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure in one cell, as a row of a table."""

    cell: AuditCell
    finding: CellFinding
    gap: Gap | None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One measure: its plots by hospital and by stratum, and the same as tables."""

    measure: AuditMeasure
    name: str
    sites: Forest
    strata: Forest | None
    rows: tuple[Row, ...]

    @property
    def bound(self) -> str:
        """What the profile asks of a hospital's mean; empty without a bound."""
        criterion = self.measure.criterion
        if criterion is None:
            return ""
        return bound_text(criterion.direction, stated(criterion.bound, criterion.unit))


def panels(audit: Audit) -> tuple[Panel, ...]:
    """Return every measure of an audit, the primary ones first."""
    cells = {(cell.dimension, cell.cell): cell for cell in audit.cells}
    found = []
    for measure in sorted(audit.measures, key=lambda one: not one.primary):
        mine = [one for one in audit.findings if _key(one) == _key(measure)]
        rows = [
            Row(cell=cells[one.dimension, one.cell], finding=one, gap=one.telling_gap)
            for one in mine
        ]
        strata = _forest(audit, measure, [r for r in rows if r.cell.dimension != SITE])
        found.append(
            Panel(
                measure=measure,
                name=measure_name(*_key(measure)),
                sites=_forest(audit, measure, [r for r in rows if r.cell.dimension == SITE]),
                strata=strata if strata.rows else None,
                rows=tuple(rows),
            )
        )
    return tuple(found)


def test_words(one: CellFinding, cell: AuditCell) -> str:
    """Say what became of a cell's comparison, or why there was none."""
    if one.test is not None and one.test.named:
        return "▲ named" + (", at least the size" if one.test.reach == "reached" else "")
    if one.test is not None:
        power = "> 99" if one.test.power > 0.99 else f"{100 * one.test.power:.0f}"
        return f"not named (power {power} %)"
    return marked(cell.untested or one.untested)


def marked(untested: str) -> str:
    """Shorten why a cell cannot be named."""
    if untested.startswith("whole hospitals"):
        return "whole hospitals"
    return untested.replace("the same cases as", "=")


def _key(one: AuditMeasure | CellFinding) -> tuple[str, str, str]:
    return one.metric, one.region, one.variant


def _forest(audit: Audit, measure: AuditMeasure, rows: Sequence[Row]) -> Forest:
    plotted: list[ForestRow] = []
    heading = ""
    for row in rows:
        if row.cell.dimension != SITE and row.cell.title != heading:
            heading = row.cell.title
            plotted.append(ForestRow(name=heading[:1].upper() + heading[1:]))
        plotted.append(_row(audit, measure, row))
    criterion = measure.criterion
    values: Iterable[float] = ()
    if criterion is not None:
        bound = criterion.bound
        values = (-bound, bound) if criterion.direction == "within" else (bound,)
    return Forest(
        title=measure_name(*_key(measure)),
        unit=unit_text(measure.unit),
        rows=tuple(plotted),
        bounds=tuple((value, f"bound {stated(value)}") for value in values),
        size=measure.size if measure.primary else None,
        size_words=_size_words(measure),
        worse={"lower": "right", "higher": "left", "zero": "both"}[measure.better],
        overall=measure.estimate,
        gap_title=_gap_title(rows),
    )


def _size_words(measure: AuditMeasure) -> str:
    if measure.size is None:
        return ""
    own = f"{number(measure.size)}{suffix(measure.unit)}"
    return measure.size_words if measure.size_words == own else f"{measure.size_words} = {own}"


def _gap_title(rows: Sequence[Row]) -> str:
    told = sorted({row.gap.to for row in rows if row.gap is not None})
    if len(told) == 1:
        return f"Gap to {told[0]}"
    if told and all("training" in one for one in told):
        return "Gap to the (other) training sites"
    return "Gap to the other hospitals" if rows and rows[0].cell.dimension == SITE else "Gap"


def _row(audit: Audit, measure: AuditMeasure, row: Row) -> ForestRow:
    one, cell = row.finding, row.cell
    small = one.patients < audit.small_below
    known = bool(audit.training_sites) and cell.dimension == SITE
    gap = None if row.gap is None else (row.gap.estimate, row.gap.low, row.gap.high)
    told = test_words(one, cell)
    if small:
        told = "too few to interpret"
    return ForestRow(
        name=cell.cell,
        patients=one.patients,
        mean=None if one.estimate is None else (one.estimate, one.low, one.high),
        gap=gap,
        told=told,
        home=cell.in_training if known else None,
        named=one.test is not None and one.test.named,
        small=small,
        title=one.sentence,
    )
