"""A sheet as one self-contained HTML page."""

from __future__ import annotations

from reports.facts.sheets.records import Sheet
from reports.html.page import filled


def render_sheet(sheet: Sheet) -> str:
    """Return the page; the same sheet gives the same bytes."""
    return filled("sheet.html.j2", {}, sheet=sheet)
