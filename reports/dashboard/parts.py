"""What several pages show alike: style, the box of the verdict, drawings, links."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlencode

import streamlit as st
from markupsafe import Markup, escape

from qa_suite.core.records import Verdict
from reports.dashboard.store import Record
from reports.facts import wording
from reports.facts.exams import exam_said
from reports.facts.standing import standing_among

STYLE: Final = """
<style>
.stMainBlockContainer{padding-top:2.6rem}
.verdict{border:1px solid;border-left-width:10px;border-radius:8px;
  padding:14px 20px;margin:4px 0 10px}
.verdict b{font-size:1.7rem;display:block}
.verdict.pass,.outcome.pass{color:#00664f;background:#e6f2ee}
.verdict.fail,.outcome.fail{color:#a3290f;background:#fbeae5}
.verdict.inconclusive,.outcome.inconclusive{color:#7a5600;background:#faf1dc}
.outcome{border-radius:4px;padding:1px 7px;white-space:nowrap;font-weight:600;
  color:#3d4852;background:#eceff1}
.verdict span{color:#1c2833}
.verdict dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;
  margin:10px 0 0;padding:0;color:#1c2833;font-size:.93rem}
.verdict dt{font-weight:600;margin:0}.verdict dd{margin:0}
img.panel{width:100%;height:auto;border-radius:3px}
img.strip{width:100%;max-width:620px;height:auto;background:#fff}
img.colourbar{width:260px;max-width:100%}
img.dvh{width:100%;max-width:860px;height:auto;background:#fff}
img.legend{max-width:100%;height:auto}
img.bar{width:200px;height:30px;background:#fff}
table.plain{border-collapse:collapse;width:100%;font-size:.9rem}
table.plain th,table.plain td{text-align:left;padding:5px 10px 5px 0;vertical-align:top;
  border-bottom:1px solid color-mix(in srgb,currentColor 22%,transparent)}
table.plain td.number{text-align:right;font-variant-numeric:tabular-nums}
[data-testid="stCaptionContainer"],[data-testid="stCaptionContainer"] *{color:inherit}
[data-testid="stCaptionContainer"]{opacity:.88}
@media print{.stSidebar,.stToolbar,header{display:none}}
</style>
"""


def style() -> None:
    """Put the pages' style into the page."""
    st.html(STYLE)


def drawing(svg: str, css: str, alt: str) -> str:
    """Return an image element of a drawing; Streamlit lets no SVG element into a page."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img class="{css}" alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def outcome_text(outcome: str) -> str:
    """Write an outcome as symbol and word."""
    return f"{wording.OUTCOME_SYMBOLS.get(outcome, '–')} {outcome}"


def outcome_mark(outcome: str) -> Markup:
    """Write an outcome as symbol and word, with its colour."""
    return Markup('<span class="outcome {}">{}</span>').format(
        outcome if outcome in wording.OUTCOME_SYMBOLS else "", outcome_text(outcome)
    )


def address(page: str, **names: str) -> str:
    """Return the address of a page, relative to the dashboard's own."""
    asked = urlencode({name: value for name, value in names.items() if value})
    return f"{page}?{asked}" if asked else page


def link(page: str, text: str, **names: str) -> Markup:
    """Return a link to a page; it is reached by keyboard, and opened in another tab if asked."""
    return Markup('<a href="{}" target="_self">{}</a>').format(address(page, **names), text)


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], label: str) -> None:
    """Show a table of few rows; texts are escaped unless they are markup already."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in heads)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row)
        )
        for row in rows
    )
    st.html(
        Markup(
            '<table class="plain" aria-label="{}"><thead><tr>{}</tr></thead>'
            "<tbody>{}</tbody></table>"
        ).format(label, head, body)
    )


def plain(text: str) -> str:
    """Return a text of a record so that Streamlit's Markdown shows it as it stands.

    Records hold names and notices from outside: none of it becomes a link, an image or a formula.
    """
    return "".join(
        f"\\{letter}" if letter in r"\`*_{}[]<>()#+-.!|$~:^" else letter for letter in text
    )


def notice(text: str) -> None:
    """Show a notice of a record, as it stands."""
    st.warning(plain(text))


def verdict_box(record: Record, verdict: Verdict) -> None:
    """Show a verdict where it stands among those of its evaluation."""
    standing = standing_among(record.judged, record.evaluation, verdict)
    symbol, word = standing.title
    rows = [
        ("Intended use", verdict.profile.intended_use),
        ("Exam of the examiner", exam_said(verdict.profile)),
        *standing.rows,
    ]
    lines = Markup("").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(label, text) for label, text in rows
    )
    own = Markup("<strong>{}</strong> ").format(standing.own) if standing.own else Markup("")
    st.html(
        Markup('<div class="verdict {}"><b>{} {}</b><span>{}{}</span><dl>{}</dl></div>').format(
            standing.colour, symbol, word, own, verdict.sentence, lines
        )
    )
    for text in (*standing.warnings, *verdict.announced):
        notice(text)
