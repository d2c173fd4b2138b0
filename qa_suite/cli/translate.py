"""The verb ``translate``: the images of a registered translator, for people and their systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_suite.cli import console


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("translate")(translate)


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
