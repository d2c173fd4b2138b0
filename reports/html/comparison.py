"""The page of a comparison of two models: one self-contained HTML file, from its record alone."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.core.wording import listing
from reports.facts.sheets.comparison import ANSWERS
from reports.figures import marks
from reports.figures.intervals import OUTCOME_INK, interval_bar
from reports.html.page import filled, write_page


def write_comparison_page(found: Comparison, out: Path) -> Path:
    """Write the page of a comparison (all at once or not at all); return its path."""
    return write_page(render_comparison(found), out)


def render_comparison(found: Comparison) -> str:
    """Return the page; the same record gives the same bytes."""
    return filled(
        "comparison.html.j2",
        {"listed": listing},
        found=found,
        look=ANSWERS[found.answer],
        answers=ANSWERS,
        primary=[(one, Markup(difference_bar(one))) for one in found.findings if one.primary],
        described=[(one, Markup(difference_bar(one))) for one in found.findings if not one.primary],
    )


def difference_bar(one: PairedFinding) -> str:
    """Draw a difference against zero, and against the margin where there is one."""
    values = [0.0, *(v for v in (one.difference, one.low, one.high) if v is not None)]
    bounds = [0.0]
    good = None
    if one.margin is not None:
        worse = -one.margin if one.better == "higher" else one.margin
        bounds += [worse, -worse]
        good = (min(worse, -worse), max(worse, -worse))
    span = marks.padded([*values, *bounds])
    return interval_bar(
        estimate=one.difference,
        low=one.low,
        high=one.high,
        span=span,
        good=good,
        bounds=bounds,
        ink=OUTCOME_INK.get({"yes": "pass", "no": "fail"}.get(str(one.answer), ""), marks.INK),
        title=one.sentence,
    )
