"""The verbs on one pair and on a record: ``measure``, ``judge``, ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Commas, Options, add_verb, argument, option

if TYPE_CHECKING:
    from qa_suite.metrics.base import Pair


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    add_verb(app, measure, MeasureOptions, writes="error_maps")
    app.command("judge")(judge)
    add_verb(app, report, ReportOptions)


class MeasureOptions(Options):
    """What is measured of one pair."""

    reference: Path = argument(REQUIRED, "The real image.")
    synthetic: Path = argument(REQUIRED, "The translated image.")
    mask: Path | None = option(None, "Where to measure; default: the reference's body.")
    source: Path | None = option(None, "The image that was translated.")
    families: Commas = option("", "Which measures; default: all.")
    error_maps: Path | None = option(
        None, "Folder for NIfTI maps of the signed and absolute error."
    )
    all: bool = option(False, "Show every measure, and not the headline measures alone.")
    as_json: bool = option(False, "Print JSON.", "json")


class ReportOptions(Options):
    """Which evaluation is reported, judged by what and set beside what."""

    evaluation: Path = argument(REQUIRED, "Folder of an evaluation.")
    profile: str = option(REQUIRED, "Criteria to judge by.")
    floor: Path | None = option(None, "Evaluation of the oracle on the same cohort.")
    baseline: Path | None = option(None, "Evaluation of a simple translator, such as intensity.")
    by: str = option("", "Who judges; default: the name of the account.")
    reviewers: Path | None = option(
        None, "File of those whose signatures count; default: QA_SUITE_REVIEWERS."
    )
    formats: Commas = option(
        "html", "Of html, pdf, dicom, json and card (a model card in Markdown), by comma."
    )
    out: Path | None = option(
        None, "Folder for all but the page; default: the evaluation's, where MLflow gets them too."
    )
    commissioning: bool = option(
        False, "Write the sheet of a commissioning too, in the same formats."
    )
    track: bool = option(True, "Update the evaluation's run in MLflow.")


def measure(asked: MeasureOptions) -> int:
    """Measure one pair of CT images (HU); no cohort, no MLflow.

    Example: `qa-suite measure ct.nii.gz synthetic-ct.nii.gz --mask body.nii.gz --json`
    """
    from qa_suite.api.pairs import measured, read_pair
    from qa_suite.cli.options import names

    pair = read_pair(asked.reference, asked.synthetic, asked.mask, asked.source)
    if asked.mask is None:
        console.say("No --mask: measured in the reference's body (HU threshold).")
    if asked.error_maps is not None:
        _write_error_maps(pair, asked.error_maps)
    rows, doubts = measured(pair, case=asked.synthetic.name, families=names(asked.families) or None)
    for doubt in doubts:
        console.say(doubt)
    if asked.as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    else:
        left = console.show_measurements(rows, every=asked.all)
        if left:
            console.say(f"{left} more: --all shows them.")
    return 0


def _write_error_maps(pair: Pair, folder: Path) -> None:
    import numpy as np

    from qa_suite.core.volume import Volume
    from qa_suite.io.images import write_image
    from qa_suite.metrics.image.error_field import error_maps

    for name, volume in error_maps(pair).items():
        write_image(volume, folder / f"{name}_error.nii.gz")
    mask = Volume(array=pair.mask.astype(np.int32), grid=pair.grid, quantity="label")
    write_image(mask, folder / "mask.nii.gz")
    console.say(f"Error maps: {folder}")


def judge(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    profile: Annotated[str, typer.Option(help="A shipped profile or a YAML file.")],
    by: Annotated[str, typer.Option(help="Who judges; default: the name of the account.")] = "",
    supersedes: Annotated[
        list[str] | None,
        typer.Option(help="Verdict that stands no longer, by its identifier; may be repeated."),
    ] = None,
    because: Annotated[str, typer.Option(help="Why; with --supersedes.")] = "",
    track: Annotated[
        bool, typer.Option(help="Ask MLflow too how often the test cohort was examined.")
    ] = True,
    every: Annotated[
        bool, typer.Option("--all", help="Show every finding, and not those alone that decide.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> int:
    """Judge an evaluation by a profile of criteria; milliseconds, no images, no GPU.

    Every judgement is a new verdict in the evaluation's folder. The exit status is that of the
    evaluation: the worst of its verdicts that stand.

    Example: `qa-suite judge evaluations/pelvis-mr-to-ct-1 --profile mr-to-ct-pelvis`
    """
    from qa_suite.core.one_writer import writing
    from qa_suite.core.verdict_files import overall, read_verdict
    from qa_suite.core.wording import count
    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.judging.evidence import save_verdict
    from qa_suite.judging.judge import judge as judge_folder

    computed = judge_folder(evaluation, load_profile(profile, record=evaluation))
    with writing(evaluation, "judge"):
        path = save_verdict(
            computed,
            evaluation,
            by=by,
            supersedes=supersedes or (),
            because=because,
            ask_store=track,
        )
    verdict, judged = read_verdict(path).verdict, overall(evaluation)
    if as_json:
        console.show_json(verdict.model_dump(mode="json"))
    else:
        left = console.show_verdict(verdict, every=every)
        console.show_overall(judged)
        if left:
            console.say(f"{count(left, 'finding')} more: --all shows them.")
        console.say(f"Verdict: {path}")
    return console.EXIT_STATUS[judged.outcome]


def report(asked: ReportOptions) -> None:
    """Write the readiness report: a page that opens without a network, and the same in short.

    In short it is a PDF/A of a few pages, whose first says what was found, on whom, and what
    decides; the same as a DICOM Encapsulated PDF, as JSON and as a model card.

    Example: `qa-suite report evaluations/pelvis-1 --profile mr-to-ct-pelvis --formats html,pdf`
    """
    from qa_suite.cli.flows import judge_and_report, log_or_say
    from qa_suite.cli.options import names
    from qa_suite.cli.report_files import read_formats, write_formats
    from qa_suite.cli.signing import reviewers_for
    from qa_suite.evaluation.profiles import load_profile

    formats = read_formats(names(asked.formats))
    profile = load_profile(asked.profile, record=asked.evaluation)
    verdict, page = judge_and_report(
        asked.evaluation,
        profile,
        floor=asked.floor,
        baseline=asked.baseline,
        by=asked.by,
        ask_store=asked.track,
        reviewers=asked.reviewers,
    )
    more = write_formats(
        asked.evaluation,
        verdict,
        formats,
        asked.out or asked.evaluation,
        floor=asked.floor,
        baseline=asked.baseline,
        reviewers=reviewers_for(asked.reviewers, asked.evaluation),
        commissioning=asked.commissioning,
    )
    if asked.track:
        log_or_say(asked.evaluation)
    for path in (page, *more):
        console.show(str(path))
