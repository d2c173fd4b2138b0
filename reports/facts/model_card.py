"""The short report as a model card in Markdown, such as MLflow shows with a model version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reports.facts.short.records import Line, Short, ShortFinding


def model_card(short: Short) -> str:
    """Return the model card: what it is for, how it was examined, what was found, what was not."""
    parts = [
        f"# {plain(short.model)}",
        f"**{short.symbol} {plain(short.headline)}** under {plain(short.profile)}. "
        f"{plain(short.sentence)}",
        *[f"> ⚠ {plain(words)}" for words in short.warnings],
        "## What decides",
        _findings(short.deciding),
        f"Worst site: {plain(short.worst_site)}",
        f"Worst stratum: {plain(short.worst_stratum.text)}",
        f"Exam of the examiner: {plain(short.exam)}",
        "## On whom and how",
        bullets((*short.front, *short.about)),
        "## How sure the reference is",
        bullets(short.reference),
        *(
            ["## Not asked by the profile", "\n".join(f"- {plain(x)}" for x in short.not_asked)]
            if short.not_asked
            else []
        ),
        "## Changes that ask for an examination",
        bullets(short.changes),
        "## Provenance",
        bullets(short.provenance),
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
        f"| {cell(row.criterion)} | {cell(row.scope)} | {cell(row.estimate_text)}, "
        f"{cell(row.interval_text)} | {cell(row.asks)} | {row.patients} | {row.outcome} | "
        f"{cell(row.known_text)} |"
        for row in rows
    ]
    return "\n".join([head, *body])


def bullets(rows: Iterable[Line]) -> str:
    """Return labels and texts as a list."""
    return "\n".join(f"- **{plain(row.label)}**: {plain(row.text)}" for row in rows)


def plain(text: str) -> str:
    """Return a text in which nothing is markup: no link, no image, no tag, one line."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", " ".join(text.split()))


def cell(text: str) -> str:
    """Return a text as it stands in a table."""
    return plain(text).replace("\N{NO-BREAK SPACE}", " ")
