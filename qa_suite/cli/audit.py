"""The verb ``audit``: one model over hospitals and strata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Commas, Options, add_verb, argument, option

if TYPE_CHECKING:
    from qa_suite.audit.asked import AuditSettings
    from qa_suite.core.records import Audit

EXIT_STATUS = {"none_named": 0, "described": 0, "named": 1, "undecided": 3}
PAGE = "audit.html"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, audit, AuditOptions, writes="out")


class AuditOptions(Options):
    """What is audited, and what is looked for."""

    evaluations: tuple[Path, ...] = argument(REQUIRED, "Folders of evaluations of one model.")
    profile: str = option("descriptive", "Criteria whose bounds and measures are shown.")
    primary: Commas = option(
        "", "Measures to decide by: criteria or METRIC:REGION; default: the profile's primary."
    )
    size: Commas = option(
        "2SD", "Gap looked for: 2SD, and METRIC:REGION=NUMBER in the measure's unit."
    )
    by: Commas = option(
        "", "Strata, such as site,sex,age or site×sex; default: all that are known."
    )
    small: int = option(5, "Cells with fewer patients are shown and not interpreted.", ge=1)
    confidence: float = option(
        0.95, "Of intervals, and family-wise of what is named.", gt=0.5, lt=1
    )
    leave_one_out: bool = option(
        False, "Each evaluation is of a model that left out another site, and is taken there."
    )
    new_site_patients: int | None = option(
        None,
        "Patients of the further hospital whose mean is predicted; default: as many as here.",
        ge=1,
    )
    out: Path | None = option(None, "Folder of the audit; default: audits/MODEL-DIGEST.")
    track: bool = option(True, "Log the audit to MLflow.")
    as_json: bool = option(False, "Print the audit as JSON.", "json")


def audit(asked: AuditOptions) -> int:
    """Audit a model over hospitals: by site and stratum, and of a hospital never seen.

    Exit status: 1 where a hospital or stratum is named worse, 3 where nothing is named and the
    patients were too few to tell.

    Example: `qa-suite audit evaluations/pelvis-mr-to-ct-1 --primary mae:body,me:body`
    """
    from qa_suite.audit.audit import audit as audit_folders
    from qa_suite.audit.audit import save_audit
    from qa_suite.audit.tracking import log_audit
    from qa_suite.cli.flows import logged_or_said
    from qa_suite.core.names import plain_name
    from qa_suite.core.one_writer import writing
    from qa_suite.evaluation.profiles import load_profile
    from reports.html.audit import write_audit_page

    settings = audit_settings(asked)
    profile = load_profile(asked.profile, record=asked.evaluations[0])
    found = audit_folders(asked.evaluations, profile, settings, left_out=asked.leave_one_out)
    folder = asked.out or Path("audits") / plain_name(f"{found.model}-{found.audit[:8]}")
    with writing(folder, "audit"):
        path = save_audit(found, folder)
        page = write_audit_page(found, folder / PAGE)
        if asked.track:
            logged_or_said(
                "The audit", folder, lambda: log_audit(found, folder, asked.evaluations, page=page)
            )
    if asked.as_json:
        console.show_json(found.model_dump(mode="json"))
    else:
        show(found)
    console.say(f"Record: {path}")
    console.say(f"Page: {page}")
    return EXIT_STATUS[found.outcome]


def audit_settings(asked: AuditOptions) -> AuditSettings:
    """Read the options; every one that cannot be is told at once."""
    from qa_suite.audit.asked import AuditSettings
    from qa_suite.cli.options import names
    from qa_suite.core.dimensions import dimension
    from qa_suite.core.errors import QAError, raise_problems

    problems: list[str] = []
    in_sd, sizes = 2.0, {}
    for part in names(asked.size):
        name, equals, value = part.rpartition("=")
        text = value if equals else part.upper().removesuffix("SD")
        if not equals and not part.upper().endswith("SD"):
            problems.append(f"--size {part!r} is neither of the form 2SD nor METRIC:REGION=NUMBER")
            continue
        try:
            number = float(text)
        except ValueError:
            problems.append(f"--size {part!r}: {text!r} is no number")
            continue
        if equals:
            sizes[name.strip()] = number
        else:
            in_sd = number
    for key in names(asked.by):
        try:
            dimension(key)
        except QAError as error:
            problems.append(f"--by: {error}".rstrip("."))
    raise_problems("The request", problems)
    return AuditSettings(
        primary=tuple(names(asked.primary)),
        size_in_sd=in_sd,
        sizes=sizes,
        divided_by=tuple(names(asked.by)),
        small_below=asked.small,
        confidence=asked.confidence,
        new_site_patients=asked.new_site_patients,
    )


def show(found: Audit) -> None:
    """Print an audit: what it comes to, the worst cell, the hospitals in the primary measures."""
    from qa_suite.core.wording import measure_name, number, suffix

    word = {"named": "✘ NAMED", "none_named": "✔ NONE NAMED", "undecided": "? UNDECIDED"}
    console.show(f"{word.get(found.outcome, '≡ DESCRIBED')}: {found.sentence}")
    console.show(found.lead)
    console.show(found.power)
    measures = [m for m in found.measures if m.primary] or list(found.measures[:3])
    cells = {(cell.dimension, cell.cell): cell for cell in found.cells}
    for measure in measures:
        key = (measure.metric, measure.region, measure.variant)
        rows = []
        for one in found.findings:
            cell = cells[one.dimension, one.cell]
            if (one.metric, one.region, one.variant) != key:
                continue
            if cell.untested.startswith("the same cases"):
                continue
            gap, untold = one.telling_gap, one.untested or cell.untested
            rows.append(
                (
                    cell.name,
                    one.patients,
                    "" if one.estimate is None else number(one.estimate),
                    one.no_interval or _span(one.low, one.high),
                    f"{gap.estimate:+.3g} ({_span(gap.low, gap.high)})" if gap else untold,
                    "" if one.test is None else "named" if one.test.named else "not named",
                )
            )
        title = measure_name(*key) + (f",{suffix(measure.unit)}" if suffix(measure.unit) else "")
        console.show_table(
            title, ("cell", "patients", "mean", "interval", "gap (interval)", ""), rows
        )
    for site in found.new_sites:
        console.show(site.sentence)
    for notice in found.notices:
        console.show(f"  ! {notice}")


def _span(low: float | None, high: float | None) -> str:
    from qa_suite.core.wording import number

    return "no interval" if low is None or high is None else f"{number(low)} to {number(high)}"
