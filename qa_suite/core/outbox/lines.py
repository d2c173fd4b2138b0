"""The lines of an outbox: a run and its operations, and what of them MLflow has taken."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from qa_suite.core.errors import QAError
from qa_suite.core.json_files import parse_json_model

OUTBOX_FILE = "outbox.jsonl"
REFUSED_FILE = "outbox-refused.jsonl"
"""Beside the outbox: what MLflow refused for good, with its words."""
MODELS_FOLDER = "outbox-models"
"""Beside the outbox: models that wait to be registered."""
ENDED = ("FINISHED", "FAILED", "KILLED")
ENDS = ("status", "orphan")
"""Kinds of operations that say how a run stands; an orphan is one that nobody else has ended."""

_log = logging.getLogger(__name__)

_Kind = TypeVar("_Kind", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Begin(_Strict):
    """What an MLflow run is created with.

    Parameters
    ----------
    identity
        Key and value of the tag by which the run is found again; of no two runs alike.
    experiment, name
        Of the run.
    started
        Milliseconds since 1970.
    tags
        That it is created with.
    parent
        The identity of the run that it is a part of.
    """

    identity: tuple[str, str]
    experiment: str
    name: str
    started: int
    tags: dict[str, str] = {}
    parent: tuple[str, str] | None = None


class Operation(_Strict):
    """One thing to tell MLflow; ``what`` is as its kind needs it, see ``telling.py``."""

    id: str
    kind: str
    what: Any


class Refused(_Strict):
    """One operation that MLflow refused for good.

    Parameters
    ----------
    begin
        Of its run.
    operation
        As it was noted.
    words
        Of the server.
    at
        Milliseconds since 1970.
    """

    schema_version: Literal[1] = 1
    begin: Begin
    operation: Operation
    words: str
    at: int


class Line(_Strict):
    """One line of the file.

    Parameters
    ----------
    run
        The value of the run's identity.
    begin
        Of the run. Where its operations are given with it they are all of them, and what stood
        here of that run before is void.
    operations
        To be told.
    sent
        Identifiers of operations that MLflow has taken.
    refused
        Identifiers of operations that it refused for good; they stand in a file of their own.
    into
        The MLflow run that took or refused them; in another they are not.
    found
        What came of them, such as the address of a model, by operation.
    """

    schema_version: Literal[1] = 1
    run: str
    begin: Begin | None = None
    operations: tuple[Operation, ...] = ()
    sent: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    into: str | None = None
    found: dict[str, str] = {}

    def as_text(self) -> str:
        """Return it as one line of JSON."""
        data = self.model_dump(mode="python", exclude_defaults=True)
        return json.dumps(data, allow_nan=False) + "\n"


@dataclass(kw_only=True)
class Waiting:
    """One run of an outbox: what of it waits, and what came of the rest.

    Parameters
    ----------
    begin
        Of the run.
    operations
        That wait, by identifier, in the order in which they were noted.
    taken
        The MLflow run that took each of the others.
    found
        What came of them.
    status
        That was noted last.
    """

    begin: Begin
    operations: dict[str, Operation] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    status: str = "RUNNING"

    @property
    def ended(self) -> bool:
        """Whether its end was noted."""
        return self.status in ENDED

    @property
    def known(self) -> set[str]:
        """Identifiers of every operation that was noted."""
        return {*self.operations, *self.taken}

    def note(self, line: Line) -> None:
        """Take up what a line says."""
        for operation in line.operations:
            self.operations[operation.id] = operation
            if operation.kind in ENDS:
                self.status = operation.what[0]
        for one in line.sent:
            self.operations.pop(one, None)
            self.taken[one] = line.into or ""
        for one in line.refused:
            self.operations.pop(one, None)
        self.found |= line.found


def gathered(lines: Iterable[Line], *, into: str | None = None) -> dict[str, Waiting]:
    """Return the runs that lines tell of, by the value of their identity.

    Parameters
    ----------
    lines
        In their order.
    into
        What other runs of MLflow have taken counts for nothing, if this is given.
    """
    runs: dict[str, Waiting] = {}
    for line in lines:
        if line.begin is not None and (line.run not in runs or line.operations):
            runs[line.run] = Waiting(begin=line.begin)
        elsewhere = into and (line.sent or line.refused) and line.into != into
        if line.run in runs and not elsewhere:
            runs[line.run].note(line)
    return runs


def parsed(data: bytes, path: Path) -> Iterator[Line]:
    """Read lines; one that is none is left out with a warning."""
    return parsed_as(Line, data, path)


def parsed_as(kind: type[_Kind], data: bytes, path: Path) -> Iterator[_Kind]:
    """Read lines of a kind; one that is none is left out with a warning."""
    for number, text in enumerate(data.splitlines(), start=1):
        try:
            yield parse_json_model(text, kind, path)
        except QAError:
            _log.warning("Line %d of %s cannot be read and is left out.", number, path)
