"""The verbs of the examined: ``train`` and ``translate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_suite.cli import console


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    app.command("train")(train)
    app.command("translate")(translate)


def train(
    spec: Annotated[str, typer.Argument(help="A spec (YAML) or the name of a shipped one.")],
    cohort: Annotated[Path, typer.Argument(help="The cohort: its folder or manifest.")],
    name: Annotated[
        str | None, typer.Option(help="Registered name; default: the spec's name.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the checkpoints; default: by name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on from a checkpoint.")] = False,
    iterations: Annotated[int | None, typer.Option(help="Overrule the spec's budget.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    preflight: Annotated[
        bool, typer.Option(help="Leave out training cases that preflight refuses.")
    ] = True,
    max_misalignment_mm: Annotated[
        float, typer.Option(help="Preflight refuses training cases that are further apart.")
    ] = 10.0,
) -> None:
    """Train a translator on a cohort's train patients and register it in MLflow.

    Example: `qa-suite train regression-demo cohorts/virtual --name pelvis-mr-to-ct`
    """
    from qa_suite.cli.checks import without_refused
    from qa_suite.cohort import load_cohort, manifest_path
    from translators.spec import load_spec
    from translators.train import train as run_training

    loaded = load_spec(spec)
    material = load_cohort(cohort)
    if preflight:
        material = without_refused(material, cohort, max_misalignment_mm=max_misalignment_mm)
    registered = name or loaded.name
    with console.progress_bar(f"Training {registered}") as bar:
        model = run_training(
            loaded,
            material,
            manifest_path(cohort).parent,
            workdir=work or Path("mlruns") / "work" / registered,
            resume=resume,
            iterations=iterations,
            device=device,
            register_as=registered,
            progress=lambda done, total, facts: bar(done, total, console.inline(facts)),
        )
    console.show(model.uri)


def translate(
    model: Annotated[str, typer.Argument(help="models:/NAME/VERSION or models:/NAME@ALIAS.")],
    source: Annotated[Path, typer.Argument(help="A cohort, or one image file.")],
    out: Annotated[Path, typer.Argument(help="Folder for the synthetic images.")],
    split: Annotated[str, typer.Option(help="Patient set of the cohort.")] = "test",
) -> None:
    """Write the synthetic images of a cohort's patients, or of one image, as NIfTI.

    Example: `qa-suite translate models:/pelvis-mr-to-ct/1 cohorts/virtual synthetic/`
    """
    from qa_suite.cohort import SPLITS, Case, load_cohort, manifest_path
    from qa_suite.errors import InputError
    from qa_suite.io.cases import LoadedCase, load_case
    from qa_suite.io.images import is_image_file, read_image, write_image
    from qa_suite.tracking import load_translator

    if split not in SPLITS:
        raise InputError(f"Unknown patient set {split!r}; known: {', '.join(SPLITS)}.")
    if source.is_file() and is_image_file(source):
        facts, run = load_translator(model)
        case = Case(case="image", patient="image", site="unknown", source=source.name)
        loaded = LoadedCase(case=case, source=read_image(source, "arbitrary"))
        path = out / f"{source.name.split('.')[0]}.nii.gz"
        write_image(run(loaded).mean, path)
        console.show(str(path))
        return
    cohort = load_cohort(source)
    cases = [case for case in cohort.cases if case.split == split]
    if not cases:
        raise InputError(f"The cohort {cohort.name} has no case in the set {split!r}.")
    facts, run = load_translator(model)
    with console.progress_bar(f"Translating with {facts.name}") as progress:
        for done, case in enumerate(cases, 1):
            loaded = load_case(cohort, case, manifest_path(source).parent)
            write_image(run(loaded).mean, out / f"{case.case}.nii.gz")
            progress(done, len(cases), case.case)
    console.show(f"{len(cases)} synthetic images in {out}")
