"""The verb ``sync``: what waits to be told to MLflow is listed and sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from qa_suite.core.outbox.folders import FolderSent, Refusals


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("sync")(sync)


def sync(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Folders of evaluations and trainings, or above them; default: where you are.",
        ),
    ] = None,
    retry_refused: Annotated[
        bool, typer.Option("--retry-refused", help="Send again what MLflow refused before.")
    ] = False,
    drop_refused: Annotated[
        bool,
        typer.Option("--drop-refused", help="Give up what MLflow refused; it cannot be undone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was sent as JSON.")] = False,
) -> int:
    """Send to MLflow what waits for it: evaluations, trainings and models kept in an outbox.

    An outbox (outbox.jsonl) lies beside the work that an MLflow server did not take. Runs of
    this machine whose process is gone are ended. What MLflow refused for good lies in
    outbox-refused.jsonl beside it, with the server's words, and is not tried again by itself.

    Exit status: 0 nothing waits any more, 2 bad input, 3 something stays or is
    refused; why is said.

    Example: `qa-suite sync evaluations mlruns/work`
    """
    from qa_suite.core.errors import InputError, raise_problems
    from qa_suite.core.outbox.folders import end_lost, outboxes_below, send_all
    from qa_suite.core.reach import StoreAway

    if retry_refused and drop_refused:
        raise InputError("Name --retry-refused or --drop-refused, one of the two.")
    places = folders or [Path()]
    raise_problems("What to send", [f"{p} is no folder" for p in places if not p.is_dir()])
    waiting = outboxes_below(places, refused=True)
    if waiting:
        console.say(f"Outboxes: {', '.join(str(folder) for folder in waiting)}")
    fate: Refusals = "retry" if retry_refused else "drop" if drop_refused else "keep"
    done = send_all(waiting, refused=fate)
    ended, away = 0, None
    try:
        ended = end_lost()
    except StoreAway as error:
        away = str(error)
    if as_json:
        console.show_json({"folders": [_plain(one) for one in done], "runs_ended": ended})
    else:
        _show(done, ended)
    if away is not None:
        console.say(away)
    return 3 if any(one.stays or one.why or one.refused for one in done) else 0


def _show(done: list[FolderSent], ended: int) -> None:
    from qa_suite.core.outbox.folders import waiting_words
    from qa_suite.core.wording import count

    if not done:
        console.show("Nothing waits to be sent.")
    for one in done:
        console.show(f"{one.folder}: {waiting_words(one.waited)} waited.")
        if one.dropped:
            console.show(f"  given up: {count(one.dropped, 'refused operation')}.")
        for model in one.models:
            console.show(f"  registered: {model}")
        if one.stays or one.why:
            console.show(f"  stays: {waiting_words(one.stays)}: {'; '.join(one.why)}.")
        if one.refused:
            console.show(f"  {one.refused}")
    if ended:
        gone = "its process is" if ended == 1 else "their processes are"
        console.show(f"{count(ended, 'run')} ended in MLflow: {gone} gone.")


def _plain(one: FolderSent) -> dict[str, Any]:
    return {
        "folder": str(one.folder),
        "waited": one.waited,
        "stays": one.stays,
        "models": list(one.models),
        "why": list(one.why),
        "refused": one.refused,
        "dropped": one.dropped,
    }


# ---------------------------------------------------------------------------------------
# What other verbs send and say


def send_waiting(beside: Path) -> None:
    """Send what earlier commands could not, and say so."""
    from qa_suite.core.outbox import folders

    for done in folders.send_waiting(beside):
        console.say(f"MLflow now has what waited in {done.folder}: {sent_words(done)}.")
        if done.refused:
            console.say(done.refused)


def waits_to_be_registered(name: str, work: Path) -> str:
    """Say that a trained model is kept until the store takes it, and how it is registered."""
    from qa_suite.core.outbox.refused import read_refused

    if any(one.operation.kind == "model" for one in read_refused(work).values()):
        return (
            f"{name} is trained and kept in {work}, but MLflow refuses to register it; once the "
            f"reason is mended, 'qa-suite sync {work} --retry-refused' registers it and says its "
            f"address."
        )
    return (
        f"{name} is trained and waits in {work} to be registered; when the MLflow store answers, "
        f"the next command or 'qa-suite sync {work}' registers it and says its address."
    )


def sent_words(done: FolderSent) -> str:
    """Say what waited in a folder, which models were registered, and what stays."""
    from qa_suite.core.outbox.folders import waiting_words

    parts = [waiting_words(done.waited)]
    if done.models:
        parts.append(f"registered as {', '.join(done.models)}")
    if done.stays:
        parts.append(f"{waiting_words(done.stays)} stays ({'; '.join(done.why)})")
    return "; ".join(parts)
