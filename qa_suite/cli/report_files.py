"""The report in every form but the page: PDF, DICOM, JSON and a model card."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.errors import raise_problems
from qa_suite.core.json_files import pretty
from qa_suite.core.whole_files import write_bytes

if TYPE_CHECKING:
    from qa_suite.core.records import Verdict
    from qa_suite.core.signing.reviewers import Reviewers
    from reports.facts.short.records import HazardLine

FORMATS = {
    "html": "report.html",
    "pdf": "report.pdf",
    "dicom": "report.dcm",
    "json": "report.json",
    "card": "model-card.md",
}
SCHEMA_FILE = "report.schema.json"


def read_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Return the forms that are asked for.

    Raises
    ------
    Problems
        With every name that is none.
    """
    known = ", ".join(FORMATS)
    raise_problems(
        "--formats", [f"{name!r} is none of {known}" for name in names if name not in FORMATS]
    )
    return tuple(dict.fromkeys(names))


def write_formats(
    folder: Path,
    verdict: Verdict,
    formats: Sequence[str],
    out: Path,
    *,
    floor: Path | None = None,
    baseline: Path | None = None,
    reviewers: Reviewers | None = None,
    commissioning: bool = False,
) -> list[Path]:
    """Write the report of a verdict in several forms, all of one content; return the files.

    Parameters
    ----------
    folder
        Of the evaluation.
    verdict, floor, baseline, reviewers
        As :func:`reports.html.report.write_report` takes them.
    formats
        Of :data:`FORMATS`, but the page.
    out
        The folder that they are written into.
    commissioning
        Whether the sheet of a commissioning is written beside them, in the same forms.
    """
    from qa_suite.core.examination_log import log_beside, read_log
    from qa_suite.core.signing.reviewers import moment
    from qa_suite.core.whole_files import write_text
    from qa_suite.io.dicom.encapsulated import write_encapsulated_pdf
    from reports.facts.model_card import model_card
    from reports.facts.readiness import gather
    from reports.facts.short import short_report
    from reports.facts.short.records import Short
    from reports.pdf.report import pdf_of

    found = gather(folder, verdict, floor=floor, baseline=baseline, reviewers=reviewers)
    head = read_log(log_beside(folder)).head
    short = short_report(found, hazards=hazards_of(folder, verdict), log_head=head)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / FORMATS[name] for name in formats if name != "html"]
    pdf = pdf_of(short, found) if {"pdf", "dicom"} & set(formats) else b""
    for path in paths:
        if path.name == FORMATS["pdf"]:
            write_bytes(path, pdf)
        elif path.name == FORMATS["dicom"]:
            write_encapsulated_pdf(
                pdf,
                path,
                title=f"Readiness report: {short.model}, {short.profile}",
                evaluation=short.evaluation,
                verdict=short.verdict,
                at=moment(short.at) or datetime(1980, 1, 1, tzinfo=UTC),
            )
        elif path.name == FORMATS["json"]:
            write_text(path, pretty(short.model_dump(mode="json")))
            write_text(path.with_name(SCHEMA_FILE), pretty(Short.model_json_schema()))
        else:
            write_text(path, model_card(short))
    if commissioning:
        from qa_suite.cli.sheet_files import write_sheet
        from reports.facts.sheets.commissioning import commissioning_sheet

        paths += write_sheet(commissioning_sheet(short, found), formats, out)
    return paths


def hazards_of(folder: Path, verdict: Verdict) -> list[HazardLine]:
    """Return the hazards that the profile is exposed to, and what this evaluation saw of them."""
    from qa_suite.core.record_files import valued_measures
    from qa_suite.judging.fmea import hazard_table
    from reports.facts.short.records import HazardLine

    return [
        HazardLine(hazard=row.hazard, effect=row.effect, seen=row.seen, residual=row.residual)
        for row in hazard_table(verdict, valued_measures(folder))
    ]
