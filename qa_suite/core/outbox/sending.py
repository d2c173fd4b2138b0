"""Sending what waits: the store is asked what it has, and the rest is completed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import QAError
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import Begin, Operation
from qa_suite.core.outbox.telling import Place, tell
from qa_suite.core.reach import StoreAway

_FOR_EVER = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")
_GONE = "RESOURCE_DOES_NOT_EXIST"

_log = logging.getLogger(__name__)


class _Waits(Exception):
    """Something else must be sent first."""


@dataclass(kw_only=True)
class Sent:
    """What came of sending.

    Parameters
    ----------
    runs
        The MLflow run of each that was found or made, by the value of its identity.
    why
        Why nothing more was sent, in words, or None where all was tried.
    refused
        One sentence for each operation that MLflow will not take as it is.
    """

    runs: dict[str, str] = field(default_factory=dict)
    why: str | None = None
    refused: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """Of the MLflow run, where one alone was sent; empty where none was."""
        return next(iter(self.runs.values()), "")


def send(outbox: Outbox, *, again: bool = False) -> Sent:
    """Send what waits, each run's operations in their order and its end last.

    An operation that MLflow refuses stays and does not hold up the others; the run is not ended
    before it is taken.

    Parameters
    ----------
    outbox
        Open.
    again
        Ask the store even if it was away a moment ago.
    """
    sent = Sent()
    try:
        with store.reached():
            client = store.connect(again=again).MlflowClient()
            for name, run in outbox.runs.items():
                if run.operations:
                    _send_run(client, outbox, name, sent)
    except StoreAway as error:
        sent.why = error.reason
    except _Waits as error:
        sent.why = str(error)
    except Exception as error:  # whatever it is: it never stops the work beside which this is told
        _log.debug("What waits in %s was not sent.", outbox.path, exc_info=True)
        sent.why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return sent


def _send_run(client: Any, outbox: Outbox, name: str, sent: Sent) -> None:
    run = outbox.runs[name]
    experiment_id = store.experiment(run.begin.experiment)
    run_id = _run_of(client, experiment_id, run.begin)
    if set(run.taken.values()) - {run_id}:
        outbox.resend(name, into=run_id)  # another store, or the run was deleted there
        run = outbox.runs[name]
    sent.runs[name] = run_id
    place = Place(client=client, experiment_id=experiment_id, run_id=run_id, folder=outbox.folder)
    for operation in list(run.operations.values()):
        first = next(iter(run.operations.values()))
        if operation.kind == "status" and first is not operation:
            continue  # what was refused before it comes first
        found = _told(place, operation, sent)
        if found is not None:
            named = {f"{operation.id}.{key}": value for key, value in found.items()}
            outbox.taken(name, operation.id, into=run_id, found=named)


def _told(place: Place, operation: Operation, sent: Sent) -> dict[str, str] | None:
    """Tell an operation; return what came of it, or None where MLflow refuses it as it is."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(tell(place, operation))
    except StoreAway:
        raise
    except QAError as error:
        sent.refused.append(str(error))
    except MlflowException as error:
        if error.error_code not in _FOR_EVER or _run_is_gone(place, error):
            raise
        reason = " ".join(str(error).split())[:200]
        sent.refused.append(f"MLflow refuses {operation.kind} of run {place.run_id}: {reason}")
    _log.warning("%s", sent.refused[-1])
    return None


def _run_is_gone(place: Place, error: Any) -> bool:
    """Whether the run was deleted while it was written; the next attempt makes another."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(place.client.get_run(place.run_id).info.lifecycle_stage == "deleted")
    except MlflowException as again:
        if again.error_code != _GONE:
            raise
        return True


def _run_of(client: Any, experiment_id: str, begin: Begin) -> str:
    """Return the run of that identity, made if need be.

    A run that is there and has ended is opened again: it is not whole before all is told.
    """
    found = found_run(client, experiment_id, begin.identity)
    if found is None:
        tags = {**begin.tags, begin.identity[0]: begin.identity[1]}
        if begin.parent is not None:
            parent = found_run(client, experiment_id, begin.parent)
            if parent is None:
                raise _Waits(f"the run that {begin.name} is a part of is not in the store yet")
            tags["mlflow.parentRunId"] = parent.info.run_id
        made = client.create_run(
            experiment_id, start_time=begin.started, tags=tags, run_name=begin.name
        )
        return str(made.info.run_id)
    if found.info.status != "RUNNING":
        client.update_run(found.info.run_id, status="RUNNING")
    return str(found.info.run_id)


def found_run(client: Any, experiment_id: str, identity: tuple[str, str]) -> Any:
    """Return the run with a tag, the first where there are several, or None."""
    key, value = identity
    found = client.search_runs(
        [experiment_id],
        f"tags.`{key}` = '{value}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return found[0] if found else None
