"""The verb ``instrument``: train and register the examiner's own networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from pydantic import BaseModel

    from qa_suite.instruments.base import Extractor, Segmenter
    from qa_suite.instruments.files import Instrument
    from qa_suite.instruments.settings import ExtractorSettings, SegmenterSettings
    from qa_suite.learning.summary import Progress

Settings = TypeVar("Settings", bound="BaseModel")
DEFAULT_NAME = {"segmenter": "ct-segmenter", "extractor": "ct-features"}
DEFAULT_SEED = {"segmenter": 0, "extractor": 1}


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("instrument")(instrument)


def instrument(
    kind: Annotated[str, typer.Argument(help="segmenter or extractor.")],
    cohort: Annotated[Path, typer.Argument(help="The cohort: its folder or manifest.")],
    name: Annotated[
        str | None, typer.Option(help="Registered name; default: ct-segmenter or ct-features.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Most training steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of first weights and draws.")] = None,
    least_dice: Annotated[
        float | None, typer.Option(help="Leave out structures with a noise floor below it.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    work: Annotated[
        Path | None, typer.Option(help="Folder where it is kept until it is registered.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Register the one that is kept there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print its facts as JSON.")] = False,
) -> None:
    """Train one of the examiner's own networks on a cohort's reference CTs and register it.

    It learns from the train and validation patients and never sees a test patient. A segmenter
    finds the structures that are delineated there; an extractor turns slices into features.

    Example: `qa-suite instrument segmenter cohorts/virtual --name ct-segmenter`
    """
    from qa_suite.cli.sync import send_waiting, waits_to_be_registered
    from qa_suite.core.cohort import load_cohort, manifest_path
    from qa_suite.core.errors import InputError, UnknownName
    from qa_suite.core.registry import unknown_name
    from qa_suite.core.store import require_model_name
    from qa_suite.instruments.fit_extractor import train_extractor
    from qa_suite.instruments.registering import train_and_register, work_folder
    from qa_suite.instruments.train_segmenter import train_segmenter
    from qa_suite.learning.registering import code_tags

    if kind not in DEFAULT_NAME:
        raise UnknownName(unknown_name("kind of instrument", kind, list(DEFAULT_NAME)))
    if least_dice is not None and not 0 <= least_dice <= 1:
        raise InputError(f"--least-dice lies between 0 and 1, got {least_dice:g}.")
    if least_dice is not None and kind != "segmenter":
        raise InputError("--least-dice is for a segmenter; an extractor finds no structures.")
    called = DEFAULT_NAME[kind] if name is None else name
    require_model_name(called)
    material, folder = load_cohort(cohort), manifest_path(cohort).parent
    place = work or work_folder(called)
    chosen = DEFAULT_SEED[kind] if seed is None else seed
    with console.progress_bar(f"Training {called}") as bar:

        def train(note: Progress) -> Instrument:
            def told(done: int, total: int, figures: dict[str, float]) -> None:
                note(done, total, figures)
                bar(done, total, console.inline(figures))

            if kind == "segmenter":
                return train_segmenter(
                    material,
                    folder,
                    _segmenter_settings(iterations, least_dice),
                    seed=chosen,
                    device=device,
                    progress=told,
                    name=called,
                )
            return train_extractor(
                material,
                folder,
                _extractor_settings(iterations),
                seed=chosen,
                device=device,
                progress=told,
                name=called,
            )

        made = train_and_register(
            train, name=called, cohort=material, tags=code_tags(), workdir=place, resume=resume
        )
    if as_json:
        console.show_json(made.facts.model_dump(mode="json"))
        return
    _explain(made)
    if made.facts.uri:
        console.show(made.facts.uri)
        send_waiting(place)
    else:
        console.say(waits_to_be_registered(called, place))


def _segmenter_settings(iterations: int | None, least_dice: float | None) -> SegmenterSettings:
    from qa_suite.instruments.settings import SegmenterSettings

    return _validated(SegmenterSettings, iterations=iterations, least_dice=least_dice)


def _extractor_settings(iterations: int | None) -> ExtractorSettings:
    from qa_suite.instruments.settings import ExtractorSettings

    return _validated(ExtractorSettings, iterations=iterations)


def _validated(settings: type[Settings], **given: float | None) -> Settings:
    from pydantic import ValidationError

    from qa_suite.core.errors import Problems
    from qa_suite.core.validation import describe_validation

    try:
        return settings.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise Problems("The settings", describe_validation(error)) from None


def _explain(made: Instrument) -> None:
    """Tell the reader the noise floor and what was left out."""
    facts = made.facts
    if facts.kind == "segmenter":
        patients = facts.settings.get("noise_floor_patients", {})
        for name, dice in facts.noise_floor.items():
            if name not in facts.settings["left_out"]:
                console.say(f"  {name}: noise floor (Dice) {dice:.3f}, n = {patients[name]}")
        for name, why in facts.settings["left_out"].items():
            console.say(f"  {name} left out: {why}")
    console.say(f"  weights {facts.weights_sha256}")


def load_instruments(
    segmenters: Sequence[str], extractor: str | None
) -> tuple[tuple[Segmenter, ...], Extractor | None]:
    """Load the instruments of an evaluation.

    Raises
    ------
    InputError
        If one cannot be loaded, or two segmenters have one name.
    """
    from qa_suite.core.errors import InputError
    from qa_suite.instruments.loading import load_extractor, load_segmenter

    loaded = tuple(load_segmenter(uri) for uri in segmenters)
    names = [segmenter.facts.name for segmenter in loaded]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"Two segmenters are named {twice}, so their measurements could not be told apart; "
            f"give --segmenter one version of it."
        )
    return loaded, None if extractor is None else load_extractor(extractor)
