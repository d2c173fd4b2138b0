"""The verb that makes the examined: ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_suite.cli import console


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("train")(train)


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
