"""A sheet in every form that makes sense for it: page, PDF, DICOM, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.errors import raise_problems
from qa_suite.core.json_files import pretty
from qa_suite.core.whole_files import write_bytes

if TYPE_CHECKING:
    from reports.facts.sheets.records import Kind, Sheet

ENDINGS = {
    "html": ".html",
    "pdf": ".pdf",
    "dicom": ".dcm",
    "json": "-sheet.json",
    "card": "-card.md",
}
SHEET_FORMATS: dict[Kind, tuple[str, ...]] = {
    "commissioning": ("html", "pdf", "dicom", "json", "card"),
    "comparison": ("html", "pdf", "dicom", "json", "card"),
    "check-up": ("html", "pdf", "dicom", "json"),
}
"""Of each kind; a model card says nothing of a single patient."""


def read_sheet_formats(kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    """Return the forms that are asked for.

    Raises
    ------
    Problems
        With every name that is none.
    """
    known = SHEET_FORMATS[kind]
    said = [f"{one!r} is none of {', '.join(known)}" for one in names if one not in known]
    raise_problems("--formats", said)
    return tuple(dict.fromkeys(names))


def write_sheet(sheet: Sheet, formats: Sequence[str], out: Path) -> list[Path]:
    """Write a sheet in several forms, all of one content; return the files."""
    from qa_suite.core.signing.reviewers import moment
    from qa_suite.core.whole_files import write_text
    from qa_suite.io.dicom.encapsulated import write_encapsulated_pdf
    from reports.facts.sheets.card import sheet_card
    from reports.facts.sheets.records import Sheet
    from reports.html.sheet import render_sheet
    from reports.pdf.report import sheet_pdf

    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / f"{sheet.kind}{ENDINGS[name]}" for name in formats}
    pdf = sheet_pdf(sheet) if {"pdf", "dicom"} & set(formats) else b""
    for name, path in paths.items():
        if name == "html":
            write_text(path, render_sheet(sheet))
        elif name == "pdf":
            write_bytes(path, pdf)
        elif name == "dicom":
            write_encapsulated_pdf(
                pdf,
                path,
                title=sheet.title,
                evaluation=sheet.evaluation,
                verdict=sheet.identifier,
                at=moment(sheet.at) or datetime(1980, 1, 1, tzinfo=UTC),
                study=f"{sheet.kind.capitalize()} of an image translator",
            )
        elif name == "json":
            write_text(path, pretty(sheet.model_dump(mode="json")))
            write_text(path.with_suffix(".schema.json"), pretty(Sheet.model_json_schema()))
        else:
            write_text(path, sheet_card(sheet))
    return list(paths.values())
