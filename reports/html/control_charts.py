"""The page of the control charts: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup

from reports.figures.control_charts import ControlChart, control_chart
from reports.figures.numbers import control_numbers
from reports.html.page import filled, write_page

SYMBOLS: Final = {"in control": ("pass", "✓"), "out of control": ("fail", "✕")}
_ORDER: Final = ("out of control", "undetermined", "in control", "baseline")


def write_control_charts(
    out: Path, *, state: str, model: str, sentence: str, charts: Sequence[ControlChart]
) -> Path:
    """Write the page (all at once or not at all), the charts that need a look first.

    Parameters
    ----------
    out
        The HTML file.
    state, model, sentence
        Of the log, and whose check-ups it holds.
    charts
        One a measure.
    """
    ordered = sorted(charts, key=lambda chart: _ORDER.index(chart.state))
    page = filled(
        "control_charts.html.j2",
        {"numbers_of": control_numbers},
        state=state,
        look=SYMBOLS.get(state, ("inconclusive", "?")),
        model=model,
        sentence=sentence,
        charts=[(chart, Markup(control_chart(chart))) for chart in ordered],
    )
    return write_page(page, out)
