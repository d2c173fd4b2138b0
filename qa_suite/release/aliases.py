"""Aliases of the registry: moved with an entry in the log, and held against that log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import Log
from qa_suite.core.reach import StoreAway
from qa_suite.judging.doubts import Doubt

MOVES = ("released", "overridden", "withdrawn")
"""Lines of the log that tell of an alias."""
WITHDRAWN_TAG = "qa.withdrawn"
OVERRIDE_TAG = "qa.override"


def require_alias(alias: str) -> None:
    """Refuse what the registry takes for no alias.

    Raises
    ------
    InputError
        With the rule.
    """
    wrong = not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias)
    if wrong or alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
        raise InputError(
            f"{alias!r} is no alias: letters, digits, - and _, and neither 'latest' nor a version "
            f"such as v2."
        )


def holder(client: Any, name: str, alias: str) -> str:
    """Return the version of a model that holds an alias; empty where none does."""
    found = client.get_registered_model(name).aliases
    return str(found.get(alias, ""))


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the log says last of an alias."""

    version: str
    line: int


def known_aliases(log: Log) -> dict[tuple[str, str], Known]:
    """Return the last entry of each model's alias in a log."""
    found = {}
    for number, line in enumerate(log.lines, start=1):
        if line.what in MOVES and line.alias:
            name = line.model.removeprefix("models:/").partition("/")[0]
            found[name, line.alias] = Known(version=line.now, line=number)
    return found


def alias_doubts(log: Log) -> Iterator[Doubt]:
    """Hold the registry's aliases against a log: what was moved without an entry.

    A registry that does not answer leaves one doubt that is not certain.
    """
    known = known_aliases(log)
    if not known:
        return
    try:
        with store.reached():
            client = store.connect().MlflowClient()
            there = {name: _aliases(client, name) for name, _ in known}
    except (StoreAway, InputError) as error:
        yield Doubt(
            file="registry",
            problem=f"the aliases that {log.path.name} tells of cannot be looked at ({error})",
            certain=False,
        )
        return
    for (name, alias), entry in known.items():
        aliases = there[name]
        found = "" if aliases is None else str(aliases.get(alias, ""))
        if found != entry.version:
            yield Doubt(
                file="registry",
                problem=f"{alias} of {name} is {_version(found)}, and line {entry.line} of "
                f"{log.path.name}, the last that moved it, says {_version(entry.version)}: it was "
                f"moved without an entry",
            )


def _aliases(client: Any, name: str) -> dict[str, str] | None:
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_registered_model(name).aliases)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _version(version: str) -> str:
    return f"version {version}" if version else "no version"
