"""The verb that makes the examined: ``train``."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa_suite.cli import console
from qa_suite.core.trust import TRUST_HELP

if TYPE_CHECKING:
    from translators.registry.parent import Parent


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("train")(train)


def train(
    spec: Annotated[
        str | None, typer.Argument(help="A spec (YAML) or the name of a shipped one.")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Argument(help="The cohort: its folder or manifest.")
    ] = None,
    cohort_option: Annotated[
        Path | None, typer.Option("--cohort", help="The cohort, where no spec is given.")
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option("--from", help="Go on from a registered version: fine-tuning at a site."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Registered name; default: the parent's or the spec's.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the checkpoints; default: by name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on from a checkpoint.")] = False,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Overrule the spec's budget.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="With --from; default: a tenth of the parent's.")
    ] = None,
    search: Annotated[
        int | None, typer.Option(min=1, help="Try so many values of the spec's search ranges.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    leave_out_site: Annotated[
        list[str] | None,
        typer.Option(help="Train without this site, to examine the model there; repeatable."),
    ] = None,
    trust: Annotated[list[str] | None, typer.Option(help=TRUST_HELP)] = None,
    preflight: Annotated[
        bool, typer.Option(help="Leave out training cases that preflight refuses.")
    ] = True,
    max_misalignment_mm: Annotated[
        float, typer.Option(min=0, help="Preflight refuses training cases that are further apart.")
    ] = 10.0,
) -> None:
    """Train a translator on a cohort's train patients and register it in MLflow.

    Example: `qa-suite train regression-demo cohorts/virtual --name pelvis-mr-to-ct`

    Fine-tuning: `qa-suite train --from models:/pelvis-mr-to-ct@candidate --cohort cohorts/B`
    """
    from qa_suite.cli.checks import without_refused
    from qa_suite.cli.sync import send_waiting, waits_to_be_registered
    from qa_suite.core.cohort import load_cohort, manifest_path
    from qa_suite.core.errors import InputError
    from qa_suite.core.store import require_model_name, require_registrable
    from qa_suite.core.trust import read_trust
    from qa_suite.learning.devices import pick_device
    from qa_suite.learning.parallel import rank_of_environment
    from translators.registry.leaving_out import without_sites
    from translators.registry.parent import load_parent
    from translators.registry.search import require_searchable
    from translators.registry.search import search as run_search
    from translators.registry.train import train as run_training
    from translators.spec import facts_of, load_spec

    trusted = read_trust(trust or ())
    where = _cohort_of(spec, cohort, cohort_option, parent, learning_rate, search)
    if name is not None:
        require_model_name(name)
    begun = None if parent is None else load_parent(parent, trust=trusted)
    if begun is not None and begun.unproven:
        console.say(f"! {begun.unproven}")
    if spec is not None:
        loaded = load_spec(spec)
    else:
        assert begun is not None
        loaded = begun.fine_tuning_spec(learning_rate)
    registered = name or (loaded.name if begun is None else begun.name)
    if rank_of_environment() == 0:
        require_registrable(registered)
    if not isfinite(max_misalignment_mm):
        raise InputError(
            "--max-misalignment-mm is a length in mm; leave preflight out with --no-preflight."
        )
    if search is not None:
        require_searchable(loaded, search)
    pick_device(device)
    material = load_cohort(where)
    left_out = tuple(leave_out_site or ())
    if left_out:
        _require_unseen(begun, left_out)
        material = without_sites(material, left_out)
    if preflight:
        material = without_refused(
            material,
            where,
            max_misalignment_mm=max_misalignment_mm,
            sources_alone=facts_of(loaded.family).sources_alone,
        )
    settings: dict[str, Any] = {
        "workdir": work or Path("mlruns") / "work" / registered,
        "register_as": registered,
        "iterations": iterations,
        "device": device,
        "left_out_sites": left_out,
    }
    folder = manifest_path(where).parent
    with console.progress_bar(f"Training {registered}") as bar:

        def note(done: int, total: int, facts: dict[str, float]) -> None:
            bar(done, total, console.inline(facts))

        if search is not None:
            model = run_search(loaded, material, folder, tries=search, progress=note, **settings)
        else:
            model = run_training(
                loaded,
                material,
                folder,
                parent=begun,
                resume=resume,
                progress=note,
                trust=trusted,
                **settings,
            )
    if model.uri:
        console.show(model.uri)
        send_waiting(settings["workdir"])
    elif model.name:
        console.say(waits_to_be_registered(model.name, settings["workdir"]))


def _require_unseen(parent: Parent | None, sites: tuple[str, ...]) -> None:
    """Refuse to leave out a site that the weights to begin from have already seen."""
    from qa_suite.core.errors import InputError

    seen = sorted(set(sites) & set(parent.training["sites"])) if parent else []
    if seen:
        raise InputError(
            f"{parent.uri if parent else ''} was itself trained at {', '.join(seen)}: a model that "
            f"begins from it has seen what is to be left out; train without --from."
        )


def _cohort_of(
    spec: str | None,
    cohort: Path | None,
    option: Path | None,
    parent: str | None,
    learning_rate: float | None,
    search: int | None,
) -> Path:
    """Return the cohort; refuse arguments that contradict each other, all at once."""
    from qa_suite.core.errors import raise_problems

    problems = []
    if cohort is not None and option is not None:
        problems.append("the cohort was given twice")
    if cohort is None and option is None:
        problems.append("no cohort was given; name its folder")
    if spec is None and parent is None:
        problems.append("neither a specification nor --from was given")
    if learning_rate is not None and (parent is None or spec is not None):
        problems.append("--learning-rate belongs to --from without a specification")
    if search is not None and parent is not None:
        problems.append("--search and --from cannot be had together")
    raise_problems("The training", problems)
    where = cohort or option
    assert where is not None
    return where
