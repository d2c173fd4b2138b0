"""Markdown tables, and where they are written in the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose numbers are right-aligned; the first column is words."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, a true minus, and no negative nought."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "−") + text


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers ``<!-- NAME: begin/end -->`` of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"{page} has no markers for {name}.")
    head, rest = old.split(begin)
    page.write_text(f"{head}{begin}\n{text.rstrip()}\n{end}{rest.split(end)[1]}")
