"""The verb ``exam``: the exam of the examiner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.core.executors.crew import (
    DASK_HELP,
    DASK_LOCAL_HELP,
    DASK_SLURM_HELP,
    DASK_TLS_HELP,
    WORKERS_HELP,
    Crew,
)

if TYPE_CHECKING:
    from qa_suite.lab.exam.result import CandidateResult, ExamResult
    from qa_suite.lab.exam.settings import ExamSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("exam")(exam)


def exam(
    cohort: Annotated[
        Path | None,
        typer.Argument(help="A cohort of virtual patients; default: new ones, on small grids."),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="The criteria that are examined.")
    ] = "mr-to-ct-pelvis",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for exam.json, exam.md and the journal to carry on from."),
    ] = None,
    candidates: Annotated[
        str, typer.Option(help="Whose clean images the faults are planted into.")
    ] = "twin,realistic",
    faults: Annotated[str, typer.Option(help="Which faults; default: all.")] = "",
    clinical_only: Annotated[
        bool, typer.Option("--clinical-only", help="Each fault only from when it matters.")
    ] = False,
    clean_cohorts: Annotated[
        int | None, typer.Option(help="Clean cohorts for the false-alarm rate; default: 59, or 5.")
    ] = None,
    trials: Annotated[
        int, typer.Option(help="Patients that a fault of one patient is planted into, in turn.")
    ] = 5,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of the virtual patients; default: one that no bound was chosen on, as on 1."
        ),
    ] = None,
    alone: Annotated[bool, typer.Option(help="Look without a reference too.")] = True,
    workers: Annotated[int, typer.Option(min=1, max=512, help=WORKERS_HELP)] = 2,
    dask: Annotated[str | None, typer.Option(help=DASK_HELP)] = None,
    dask_tls: Annotated[Path | None, typer.Option(help=DASK_TLS_HELP)] = None,
    dask_local: Annotated[int | None, typer.Option(min=1, help=DASK_LOCAL_HELP)] = None,
    dask_slurm: Annotated[Path | None, typer.Option(help=DASK_SLURM_HELP)] = None,
    judge_again: Annotated[
        bool,
        typer.Option(
            "--judge-again", help="Judge what the journal in --out holds anew; measure nothing."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Plant faults into the images of known-good candidates and see whether the verdict turns.

    For each fault and severity, and each candidate: in how many verdicts a finding that is the
    fault's own fails, and which criteria answer; and how often cohorts without a fault are no
    pass. Exits with 1 where a fault that matters is missed or clean cohorts alarm too often.
    The same command with the same --out carries on where an exam was ended; with --judge-again
    its whole journal is judged by another profile or version of the suite, and nothing measured.

    Example: `qa-suite exam --clinical-only --clean-cohorts 2 --faults hu_bias,shift`
    """
    from pydantic import ValidationError

    from qa_suite.cli.options import names
    from qa_suite.core.errors import Problems
    from qa_suite.core.one_writer import writing
    from qa_suite.core.validation import describe_validation
    from qa_suite.lab.exam.settings import REPORTED_SEED, ExamSettings

    crew = Crew(
        workers=workers, dask=dask, dask_tls=dask_tls, dask_local=dask_local, dask_slurm=dask_slurm
    )
    if clean_cohorts is None:
        clean_cohorts = 59 if cohort is None else 5
    try:
        settings = ExamSettings(
            profile=profile,
            candidates=tuple(names(candidates)),
            seed=REPORTED_SEED if seed is None else seed,
            clean_cohorts=clean_cohorts,
            faults=tuple(names(faults)) or None,
            clinical_only=clinical_only,
            trials=trials,
            alone=alone,
        )
    except ValidationError as error:
        raise Problems("The exam", describe_validation(error)) from None
    with writing(out, "exam"):
        found = _run(settings, cohort, crew, out, judge_again)
        _show(found, as_json)
        if out is not None:
            _write(found, out)
    return 0 if found.passed else 1


def _run(
    settings: ExamSettings, place: Path | None, crew: Crew, out: Path | None, judge_again: bool
) -> ExamResult:
    from qa_suite.core.cohort import load_cohort, manifest_path
    from qa_suite.lab.exam.run import run_exam

    cohort = None if place is None else load_cohort(place)
    with console.progress_bar("Examining the examiner") as progress:
        return run_exam(
            settings,
            cohort=cohort,
            folder=None if place is None else manifest_path(place).parent,
            crew=crew,
            progress=progress,
            out=out,
            judge_again=judge_again,
        )


def _show(found: ExamResult, as_json: bool) -> None:
    from qa_suite.lab.exam.table import columns, sentences, table

    if as_json:
        console.show_json(found.model_dump(mode="json"))
        return
    console.show_table(f"The exam of {found.settings.profile}", columns(found), table(found))
    passed = [one.passed for one in found.candidates] + [one.passed for one in found.checks]
    for good, said in zip(passed, sentences(found), strict=True):
        console.show(f"{'✔' if good else '✘'} {said}")
    for one in found.candidates:
        _show_troubles(one)
    for lacking in found.impossible:
        console.show(f"  ! {lacking}")


def _show_troubles(one: CandidateResult) -> None:
    for cell in one.missed:
        names = f"{cell.fault} at {cell.severity:g}, {one.candidate}"
        other = f", {cell.misnamed} by other measures alone" if cell.misnamed else ""
        console.show(f"  ✘ {names}: {cell.caught} of {cell.verdicts} caught{other}")
    for cell in one.spoilt:
        names = f"{cell.fault} at {cell.severity:g}, {one.candidate}"
        console.show(f"  ✘ {names}: its clean image does not pass")
    for name, count in one.clean.alarmed_by.items():
        console.show(f"  ! clean cohorts of {one.candidate} alarm by '{name}': {count}")


def _write(found: ExamResult, out: Path) -> None:
    from qa_suite.core.record_files import write_model
    from qa_suite.core.whole_files import write_text
    from qa_suite.lab.exam.table import markdown

    write_model(out / "exam.json", found)
    write_text(out / "exam.md", markdown(found))
    console.show(f"Result: {out / 'exam.json'}")
