"""The page of a comparison of two models: one self-contained HTML file, from its record alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from markupsafe import Markup

from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.core.wording import count, listing
from reports.facts import wording
from reports.figures import marks
from reports.figures.intervals import OUTCOME_INK, interval_bar
from reports.html.report import TEMPLATES

ANSWERS: Final = {
    "yes": ("pass", "✓", "Yes"),
    "no": ("fail", "✕", "No"),
    "undecided": ("inconclusive", "?", "Undecided"),
    None: ("inconclusive", "≡", "Described"),
}
"""Look, symbol and word of each answer."""


def write_comparison_page(found: Comparison, out: Path) -> Path:
    """Write the page of a comparison (all at once or not at all); return its path."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    temporary.write_text(render_comparison(found), encoding="utf-8")
    temporary.replace(out)
    return out


def render_comparison(found: Comparison) -> str:
    """Return the page; the same record gives the same bytes."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update({"say": wording, "counted": count, "listed": listing})
    return environment.get_template("comparison.html.j2").render(
        found=found,
        look=ANSWERS[found.answer],
        answers=ANSWERS,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
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
