"""Whether the MLflow server answers is asked at the start of every verb that speaks to it.

It is asked beside the work, which waits for it only where it cannot go on; so whoever started an
evaluation of hours knows within seconds that its run will wait in the outbox.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

GOES_ON = frozenset(
    ("audit", "compare", "evaluate", "instrument", "judge", "lock", "report", "train", "utility")
)
"""Verbs that do their work without the store."""
NEEDS = frozenset(
    ("checkup", "dashboard", "demo", "list", "promote", "sync", "translate", "verify", "withdraw")
)
"""Verbs that say themselves what they cannot do without it."""
_SILENT = {"--no-track", "--help"}


def ask_early(words: Sequence[str]) -> None:
    """Begin to knock at the store of the command that was given; say so where nobody answers."""
    verb = words[0] if words else ""
    if verb not in GOES_ON | NEEDS or not _SILENT.isdisjoint(words):
        return
    from qa_suite.core import store
    from qa_suite.core.reach import sqlite_file

    if sqlite_file(store.tracking_uri()) is None:  # a file is opened at once when it is needed
        threading.Thread(target=_ask, args=(verb,), daemon=True).start()
    if store.registry_uri() != store.tracking_uri():
        threading.Thread(target=_knock, args=(store.registry_uri(),), daemon=True).start()


def _knock(uri: str) -> str:
    from qa_suite.core.reach import StoreAway, require_answer

    try:
        require_answer(uri)
    except StoreAway as error:
        return str(error)
    return ""


def _ask(verb: str) -> None:
    from qa_suite.cli import console
    from qa_suite.core import store

    said = _knock(store.tracking_uri())
    if said and verb in GOES_ON:
        console.say(f"{said} The command goes on without it where it can.")
