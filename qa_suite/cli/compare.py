"""The verb ``compare``: a new model or version against an old one, on the same patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Commas, Options, add_verb, argument, option

if TYPE_CHECKING:
    from qa_suite.core.records import Comparison

EXIT_STATUS = {None: 0, "yes": 0, "no": 1, "undecided": 3}
PAGE = "comparison.html"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, compare, CompareOptions, writes="out")


class CompareOptions(Options):
    """What is compared, and what is asked."""

    new: Path = argument(REQUIRED, "Evaluation of the new model or version.")
    old: Path = argument(REQUIRED, "Evaluation of the old one, on the same patients.")
    profile: str = option("descriptive", "Criteria whose measures, primary and margins count.")
    ask: Literal["difference", "non-inferiority", "equivalence"] = option(
        "difference", "What is asked; the last two need a margin of every primary measure."
    )
    margin: Commas = option(
        "", "METRIC:REGION=NUMBER, how much worse is no worse, in the measure's unit."
    )
    primary: Commas = option(
        "", "Measures to decide by; default: the profile's primary, or what has a margin."
    )
    confidence: float = option(0.95, "Of the two-sided intervals.", gt=0.5, lt=1)
    out: Path | None = option(None, "Folder of the comparison; default: audits/NEW-OLD-DIGEST.")
    formats: Commas = option(
        "html", "Of html, pdf, dicom, json and card (Markdown), by comma; the page is always made."
    )
    track: bool = option(True, "Log the comparison to MLflow.")
    as_json: bool = option(False, "Print the comparison as JSON.", "json")


def compare(asked: CompareOptions) -> int:
    """Compare two models on the same patients: a difference, non-inferiority or equivalence.

    Exit status: 1 where the answer is no, 3 where it is undecided.

    Example: `qa-suite compare evaluations/v2 evaluations/v1 --margin mae:body=5 --ask equivalence`
    """
    from qa_suite.audit.compare import CompareSettings, save_comparison
    from qa_suite.audit.compare import compare as compare_folders
    from qa_suite.audit.tracking import log_comparison
    from qa_suite.cli.flows import logged_or_said
    from qa_suite.cli.options import names
    from qa_suite.cli.sheet_files import read_sheet_formats, write_sheet
    from qa_suite.core.names import plain_name
    from qa_suite.core.one_writer import writing
    from qa_suite.evaluation.profiles import load_profile
    from reports.facts.sheets.comparison import comparison_sheet
    from reports.html.comparison import write_comparison_page

    formats = read_sheet_formats("comparison", names(asked.formats))
    settings = CompareSettings(
        asked=asked.ask,
        primary=tuple(names(asked.primary)),
        margins=_margins(asked.margin),
        confidence=asked.confidence,
    )
    found = compare_folders(
        asked.new, asked.old, load_profile(asked.profile, record=asked.new), settings
    )
    default = f"{found.new.model}-{found.old.model}-{found.comparison[:8]}"
    folder = asked.out or Path("audits") / plain_name(default)
    with writing(folder, "compare"):
        path = save_comparison(found, folder)
        page = write_comparison_page(found, folder / PAGE)
        beside = [one for one in formats if one != "html"]
        more = write_sheet(comparison_sheet(found), beside, folder) if beside else []
        both = (asked.new, asked.old)
        if asked.track:
            logged_or_said(
                "The comparison", folder, lambda: log_comparison(found, folder, both, page=page)
            )
    if asked.as_json:
        console.show_json(found.model_dump(mode="json"))
    else:
        show(found)
    console.say(f"Record: {path}")
    for each in (page, *more):
        console.say(f"Page: {each}")
    return EXIT_STATUS[found.answer]


def _margins(text: str) -> dict[str, float]:
    from qa_suite.cli.options import names
    from qa_suite.core.errors import raise_problems

    found, problems = {}, []
    for part in names(text):
        name, _, value = part.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            problems.append(f"--margin {part!r} is not of the form METRIC:REGION=NUMBER")
    raise_problems("The request", problems)
    return found


def show(found: Comparison) -> None:
    """Print a comparison: what it comes to, then a line a primary measure."""
    word = {"yes": "✔ YES", "no": "✘ NO", "undecided": "? UNDECIDED", None: "≡ DESCRIBED"}
    console.show(f"{word[found.answer]}: {found.sentence}")
    shown = [one for one in found.findings if one.primary] or found.findings
    for one in shown:
        console.show(f"  {one.sentence}")
    for who, patients in (("new", found.only_new), ("old", found.only_old)):
        if patients:
            console.show(f"  ! Examined by the {who} one alone: {', '.join(patients)}.")
    for notice in found.notices:
        console.show(f"  ! {notice}")
