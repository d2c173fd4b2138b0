"""The verb ``utility``: how far synthetic images replace real ones in training a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.core.trust import TRUST_HELP

if TYPE_CHECKING:
    from qa_suite.lab.utility import UtilityResult, UtilitySettings


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("utility")(utility)


def utility(
    cohort: Annotated[Path, typer.Argument(help="The cohort: its folder or manifest.")],
    model: Annotated[
        str | None,
        typer.Argument(help="models:/NAME/VERSION, models:/NAME@ALIAS, oracle:truth, oracle:twin."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Finished synthetic images, CASE.nii.gz or CASE.mha.")
    ] = None,
    name: Annotated[str, typer.Option(help="Who made --images.")] = "external",
    out: Annotated[Path | None, typer.Option(help="Folder of the experiment.")] = None,
    split: Annotated[
        str, typer.Option(help="Patient set; the translator must have seen none of them.")
    ] = "test",
    folds: Annotated[int, typer.Option(help="Parts the patients are dealt into.")] = 3,
    seeds: Annotated[int, typer.Option(help="Repetitions, each dealt and trained anew.")] = 3,
    iterations: Annotated[
        int | None, typer.Option(help="Training steps of each segmenter.")
    ] = None,
    spacing_mm: Annotated[
        str, typer.Option(help="Voxel size the segmenter works at, such as 6,6,6.")
    ] = "",
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Use the translator's own patients; marked.")
    ] = False,
    trust: Annotated[list[str] | None, typer.Option(help=TRUST_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a segmenter on real, on synthetic and on both; test on real; report the difference.

    The patients are dealt into folds; each is tested by segmenters that saw neither of his
    images. Trains 3 × folds × seeds segmenters; killed at any moment, the same command
    carries on.

    Example: `qa-suite utility cohorts/virtual models:/pelvis-mr-to-ct/1 --spacing-mm 6,6,6`
    """
    from qa_suite.api.examinations import examined
    from qa_suite.core.cohort import load_cohort, manifest_path
    from qa_suite.core.errors import InputError
    from qa_suite.core.names import plain_name, require_name
    from qa_suite.evaluation.evaluate import EvaluationSettings, Examination
    from qa_suite.lab.utility import UtilityExperiment, measure_utility

    if (model is None) == (images is None):
        raise InputError("Name a model or give --images, one of the two.")
    require_name(name, "model")
    settings = _settings(split, folds, seeds, iterations, spacing_mm)
    material = load_cohort(cohort)
    facts, translate = examined(model, images, name, trust=trust or ())
    if facts.direction is not None and facts.direction != material.direction:
        raise InputError(
            f"{facts.uri} translates {facts.direction} and the cohort {material.name} is "
            f"{material.direction}."
        )
    examination = Examination(
        cohort=material,
        folder=manifest_path(cohort).parent,
        model=facts,
        translate=translate,
        settings=EvaluationSettings(split=settings.split, allow_leakage=allow_leakage),
    )
    experiment = UtilityExperiment(examination=examination, settings=settings)
    made_of = f"{material.name}-{facts.name}-{facts.version or 0}"
    folder = out or Path("utility") / plain_name(made_of)
    with console.progress_bar(f"Utility of {facts.name}") as progress:
        result = measure_utility(experiment, folder, progress=progress)
    if as_json:
        console.show_json(result.model_dump(mode="json"))
        return
    show(result)
    console.show(f"Utility: {folder}")


def _settings(
    split: str, folds: int, seeds: int, iterations: int | None, spacing_mm: str
) -> UtilitySettings:
    from pydantic import ValidationError

    from qa_suite.core.errors import InputError, Problems
    from qa_suite.core.validation import describe_validation
    from qa_suite.lab.utility import UtilitySettings

    segmenter: dict[str, object] = {}
    if iterations is not None:
        segmenter["iterations"] = iterations
    if spacing_mm:
        try:
            segmenter["working_spacing_mm"] = tuple(float(v) for v in spacing_mm.split(","))
        except ValueError:
            raise InputError(
                f"--spacing-mm {spacing_mm!r} is not of the form x,y,z, such as 6,6,6."
            ) from None
    try:
        return UtilitySettings.model_validate(
            {"split": split, "folds": folds, "seeds": seeds, "segmenter": segmenter}
        )
    except ValidationError as error:
        raise Problems("The settings", describe_validation(error)) from None


def show(result: UtilityResult) -> None:
    """Print the result: a line a structure, then what a reader must know."""
    rows = []
    for found in result.structures:
        row = [found.structure, str(found.patients)]
        row += [f"{found.dice[arm]:.3f}" for arm in ("real", "synthetic", "both")]
        for d in found.differences:
            limits = "no interval" if d.low is None else f"{d.low:+.3f} to {d.high:+.3f}"
            row.append(f"{d.estimate:+.3f} ({limits})")
        rows.append(row)
    columns = (
        "structure",
        "patients",
        "real",
        "synthetic",
        "both",
        "synthetic − real",
        "both − real",
    )
    console.show_table("Dice on real images, by what the segmenter was trained on", columns, rows)
    if result.structures:
        for difference in result.structures[0].differences:
            console.show(difference.sentence)
    for case, why in result.left_out.items():
        console.show(f"  ! {case} took no part: {why}")
    for notice in result.notices:
        console.show(f"  ! {notice}")
