"""The short report and the sheets as PDF/A: the same content gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from reports.facts.readiness import Readiness
from reports.facts.sheets.records import Sheet
from reports.facts.short.findings import deciding
from reports.facts.short.records import Short
from reports.figures import intervals
from reports.pdf.setting import typeset

_REPORT = Path(__file__).with_name("report.typ")
_SHEET = Path(__file__).with_name("sheet.typ")


def pdf_of(short: Short, found: Readiness) -> bytes:
    """Return the short report as a PDF/A-2a file.

    Parameters
    ----------
    short
        What it says.
    found
        What the drawings show.

    Raises
    ------
    InputError
        If the package ``typst`` is not installed.
    """
    return typeset(_REPORT, short.model_dump(mode="json"), short.at, _drawings(found))


def sheet_pdf(sheet: Sheet) -> bytes:
    """Return a sheet as a PDF/A-2a file; as :func:`pdf_of`."""
    return typeset(_SHEET, sheet.model_dump(mode="json"), sheet.at)


def _drawings(found: Readiness) -> dict[str, str]:
    """Return the drawings by the names that the template asks for."""
    verdict = found.verdict
    bars = intervals.finding_bars(verdict.findings)
    named = {f"finding{n}": bar for n, bar in enumerate(bars)}
    places = {id(one): n for n, one in enumerate(verdict.findings)}
    named |= {f"deciding{n}": bars[places[id(one)]] for n, one in enumerate(deciding(verdict))}
    return named | {f"gap{n}": bar for n, bar in enumerate(intervals.gap_bars(verdict.site_gaps))}
