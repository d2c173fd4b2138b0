"""The short report as a model card in Markdown, such as MLflow shows with a model version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reports.facts.short.records import Line, Short, ShortFinding


def model_card(short: Short) -> str:
    """Return the model card: what it is for, how it was examined, what was found, what was not."""
    parts = [
        f"# {_plain(short.model)}",
        f"**{short.symbol} {_plain(short.headline)}** under {_plain(short.profile)}. "
        f"{_plain(short.sentence)}",
        *[f"> ⚠ {_plain(words)}" for words in short.warnings],
        "## What decides",
        _findings(short.deciding),
        f"Worst site: {_plain(short.worst_site)}",
        f"Worst stratum: {_plain(short.worst_stratum.text)}",
        f"Exam of the examiner: {_plain(short.exam)}",
        "## On whom and how",
        _lines((*short.front, *short.about)),
        "## How sure the reference is",
        _lines(short.reference),
        *(
            ["## Not asked by the profile", "\n".join(f"- {_plain(x)}" for x in short.not_asked)]
            if short.not_asked
            else []
        ),
        "## Changes that ask for an examination",
        _lines(short.changes),
        "## Provenance",
        _lines(short.provenance),
        f"Evaluation {short.evaluation}, verdict {short.verdict or 'not written down'}, log "
        f"{short.log_head or 'none'}.",
    ]
    return "\n\n".join(parts) + "\n"


def _findings(rows: Sequence[ShortFinding]) -> str:
    if not rows:
        return "No bound was tested."
    head = (
        "| Criterion | Scope | Estimate | Asks | n | Outcome | Known to find |\n"
        "|---|---|---|---|---|---|---|"
    )
    body = [
        f"| {_cell(row.criterion)} | {_cell(row.scope)} | {_cell(row.estimate_text)}, "
        f"{_cell(row.interval_text)} | {_cell(row.asks)} | {row.patients} | {row.outcome} | "
        f"{_cell(row.known_text)} |"
        for row in rows
    ]
    return "\n".join([head, *body])


def _lines(rows: Iterable[Line]) -> str:
    return "\n".join(f"- **{_plain(row.label)}**: {_plain(row.text)}" for row in rows)


def _plain(text: str) -> str:
    """Return a text in which nothing is markup: no link, no image, no tag, one line."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return _plain(text).replace("\N{NO-BREAK SPACE}", " ")
