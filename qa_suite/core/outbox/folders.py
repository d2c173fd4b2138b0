"""The outboxes of many folders: found, counted and sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qa_suite.core import store
from qa_suite.core.outbox.file import Outbox, OutboxBusy
from qa_suite.core.outbox.lines import MODELS_FOLDER, OUTBOX_FILE, REFUSED_FILE
from qa_suite.core.outbox.orphans import end_lost_runs, end_orphans
from qa_suite.core.outbox.refused import refused_words
from qa_suite.core.outbox.sending import send
from qa_suite.core.reach import StoreAway, sqlite_file
from qa_suite.core.wording import count

WORK_FOLDERS = (Path("evaluations"), Path("audits"), Path(store.STORE_FOLDER) / "work")
"""Where the commands put their work by default, from where they are started."""

Refusals = Literal["keep", "retry", "drop"]

_NOT_IN = {"artifacts", "volumes", "journal", "node_modules", "__pycache__", MODELS_FOLDER}


@dataclass(frozen=True, kw_only=True)
class FolderSent:
    """What waited in one folder, and what came of it.

    Parameters
    ----------
    folder
        Of the work.
    waited, stays
        Operations by run (experiment and name), before and after.
    models
        Addresses of models that were registered.
    why
        Why something stays, in words; empty where nothing does.
    refused
        What MLflow refused for good, now or before, why and what can be done; empty if nothing.
    dropped
        How many refused operations were given up.
    """

    folder: Path
    waited: dict[str, int]
    stays: dict[str, int]
    models: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    refused: str = ""
    dropped: int = 0


def outboxes_below(folders: Iterable[Path], *, refused: bool = False) -> list[Path]:
    """Return every folder at or below others that holds an outbox, the outer ones first.

    With ``refused``, also those in which nothing waits but what MLflow refused.
    """
    wanted = {OUTBOX_FILE, *((REFUSED_FILE,) if refused else ())}
    found = set()
    for folder in folders:
        for place, inner, files in os.walk(folder):
            inner[:] = sorted(n for n in inner if n not in _NOT_IN and not n.startswith("."))
            if not wanted.isdisjoint(files):
                found.add(Path(place))
    return sorted(found, key=lambda path: (len(path.parts), path))


def send_all(
    folders: Iterable[Path], *, again: bool = True, refused: Refusals = "keep"
) -> list[FolderSent]:
    """Send what waits in each of some folders.

    Parameters
    ----------
    folders
        With an outbox each.
    again
        Ask the store even if it was away a moment ago.
    refused
        Whether what MLflow refused before is kept, sent again or given up.
    """
    done = []
    for number, folder in enumerate(folders):
        try:
            with Outbox(folder, wait_s=0.0) as outbox:
                done.append(_sent(outbox, again=again and number == 0, refused=refused))
        except OutboxBusy:
            why = "a process that works there sends it itself"
            done.append(FolderSent(folder=folder, waited={}, stays={}, why=(why,)))
    return done


def send_waiting(beside: Path | None = None) -> list[FolderSent]:
    """Send what earlier commands left: in the default folders, and beside the one worked in.

    Where the store does not answer, nothing is tried and nothing said.
    """
    places = [*WORK_FOLDERS, *([] if beside is None else _brothers(beside))]
    folders = outboxes_below(places)
    if beside is not None:
        folders = [one for one in folders if one.absolute() != beside.absolute()]
    try:
        with store.reached():
            if folders:
                store.connect(registry=False)
    except StoreAway:
        return []
    return [one for one in send_all(folders, again=False) if one.waited]


def end_lost() -> int:
    """End the runs in the store whose process on this machine is gone; return how many.

    Raises
    ------
    StoreAway
        If it does not answer.
    """
    file = sqlite_file(store.tracking_uri())
    if file is not None and not file.exists():
        return 0
    with store.reached():
        return end_lost_runs(store.connect(registry=False).MlflowClient())


def _brothers(folder: Path) -> list[Path]:
    place = folder.absolute().parent
    return [path.parent for path in sorted(place.glob(f"*/{OUTBOX_FILE}"))]


def _sent(outbox: Outbox, *, again: bool, refused: Refusals) -> FolderSent:
    dropped = 0
    if refused == "retry":
        outbox.retry_refused()
    elif refused == "drop":
        dropped = len(outbox.refused())
        outbox.drop_refused()
    end_orphans(outbox)
    waited, before = _counts(outbox), _addresses(outbox)
    sent = send(outbox, again=again)
    kept = outbox.refused()
    return FolderSent(
        folder=outbox.folder,
        waited=waited,
        stays=_counts(outbox),
        models=tuple(sorted(_addresses(outbox) - before)),
        why=() if sent.why is None else (sent.why,),
        refused=refused_words(outbox.folder, kept) if kept else "",
        dropped=dropped,
    )


def _counts(outbox: Outbox) -> dict[str, int]:
    found: Counter[str] = Counter()
    for run in outbox.runs.values():
        if run.operations:
            found[f"{run.begin.experiment}: {run.begin.name}"] += len(run.operations)
    return dict(found)


def _addresses(outbox: Outbox) -> set[str]:
    found = [item for run in outbox.runs.values() for item in run.found.items()]
    return {value for key, value in found if key.endswith(".uri")}


def waiting_words(counts: dict[str, int]) -> str:
    """Say how much waits, by run."""
    return "; ".join(f"{name} ({count(n, 'operation')})" for name, n in counts.items()) or "nothing"
