"""Filling the tables of a page between its markers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qa_suite.core.errors import InputError


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Put each text between its markers ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``.

    Raises
    ------
    InputError
        If the page lacks a marker.
    """
    text = page.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            raise InputError(f"{page} has no markers for {name}.")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{part.rstrip()}\n{end}{rest.split(end)[1]}"
    page.write_text(text)
