"""Withdrawing a model: its aliases go, the reason stays, and who was checked under it is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import LOG_FILE, LogLine, append, read_log
from qa_suite.core.names import name_problems
from qa_suite.release.aliases import WITHDRAWN_TAG


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """What was withdrawn: the version, the aliases it held, and when it was released."""

    model: str
    aliases: tuple[str, ...]
    released: tuple[LogLine, ...]


def withdraw(
    name: str, version: str, place: Path, *, by: str, role: str, because: str, client: Any
) -> Withdrawn:
    """Take every alias from a version and mark it as withdrawn, for good.

    Parameters
    ----------
    name, version
        Of the registered model.
    place
        The folder that holds the evaluations, with their log.
    by, role, because
        Who does it, and why.
    client
        Of the registry.

    Raises
    ------
    InputError
        If there is no reason or no such version, or the log cannot be written: nothing is done.
    StoreAway
        If the registry does not answer.
    """
    if not because.strip():
        raise InputError("A model is withdrawn with a reason, in words; give --because.")
    if name_problems(by):
        raise InputError("A model is withdrawn by somebody with a name; give --by.")
    with store.reached():
        aliases = tuple(sorted(aliases_of(client, name, version)))
    uri, at = f"models:/{name}/{version}", datetime.now(UTC).isoformat(timespec="seconds")
    path = Path(place) / LOG_FILE
    log = read_log(path)
    for alias in aliases or ("",):
        line = LogLine(
            what="withdrawn",
            at=at,
            cohort="",
            cohort_digest="",
            split="",
            model=uri,
            who=", ".join(filter(None, (by, role))),
            alias=alias,
            was=version if alias else "",
            because=because,
        )
        if problem := append(path, line):
            raise InputError(f"{uri} was not withdrawn: {problem}.")
    said = f"{at[:16].replace('T', ' ')} UTC by {by}, because: {because}"
    with store.reached():
        client.set_model_version_tag(name, version, WITHDRAWN_TAG, said)
        client.set_model_version_tag(name, version, "qa.log_head", read_log(path).head)
        for alias in aliases:
            client.delete_registered_model_alias(name, alias)
    return Withdrawn(model=uri, aliases=aliases, released=released_as(log.lines, uri))


def aliases_of(client: Any, name: str, version: str) -> list[str]:
    """Return the aliases that a version holds now.

    Raises
    ------
    InputError
        If there is no such version.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(name, version)
        found = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(
            f"There is no models:/{name}/{version}; 'qa-suite list models' shows what is "
            f"registered."
        ) from None
    return [alias for alias, held in found.items() if str(held) == version]


def released_as(lines: Sequence[LogLine], uri: str) -> tuple[LogLine, ...]:
    """Return when a version was released, by the log."""
    return tuple(
        one for one in lines if one.what in ("released", "overridden") and one.model == uri
    )
