"""The verb ``lock``: what will be judged, on whom and how, written down before the first case."""

from __future__ import annotations

from pathlib import Path

import typer

from qa_suite.cli import console
from qa_suite.cli.evaluate_options import LockOptions
from qa_suite.cli.options import add_verb
from qa_suite.core.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, lock, LockOptions)


def lock(asked: LockOptions) -> int:
    """Lock criteria, test cohort and settings before anything is translated.

    Takes the options of `evaluate` and writes `lock.json` into the evaluation's folder. `evaluate`
    then refuses what differs, and every verdict says whether the protocol was locked. Without a
    model the lock holds for every one; give its file to `evaluate --lock`.

    Example: `qa-suite lock cohorts/virtual models:/pelvis-mr-to-ct/1 --profile demo-pelvis`
    """
    from qa_suite.api.examinations import examined, require_direction
    from qa_suite.cli.flows import folder_of, prepare
    from qa_suite.core.locks import read_lock
    from qa_suite.core.one_writer import writing
    from qa_suite.evaluation.journal import JOURNAL_FOLDER
    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.evaluation.protocol import make_lock

    if asked.model is not None and asked.images is not None:
        raise InputError("Name a model or give --images, not both.")
    if asked.model is None and asked.images is None and asked.out is None:
        raise InputError("A lock for every model needs --out, the folder that it is written into.")
    profile = load_profile(asked.profile)
    ready = prepare(asked, profile)
    model = None
    if asked.model is not None or asked.images is not None:
        model, _ = examined(asked.model, asked.images, asked.name, asked.ask, asked.trust)
        require_direction(model, ready.cohort)
    folder = asked.out if model is None else folder_of(asked, ready.cohort, model)
    assert folder is not None
    with writing(folder, "lock"):
        path = make_lock(
            profile,
            ready.cohort,
            ready.settings,
            ready.networks,
            model,
            folder,
            by=asked.by,
            ask_store=asked.track,
        )
    written = read_lock(path)
    if (folder / JOURNAL_FOLDER).exists():
        console.say("! This evaluation was begun already: the lock is one after the fact.")
    if written.examined_before:
        models = ", ".join(dict.fromkeys(use.model for use in written.examined_before))
        console.say(f"! This test cohort was examined before ({models}): one after the fact.")
    console.say(f"Looked for earlier examinations in {'; '.join(written.looked_in)}.")
    console.say(f"Locked {profile.name} {profile.version} on {written.cohort}, {written.split}.")
    console.show(str(Path(path)))
    return 0
