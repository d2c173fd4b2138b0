"""Sending what waits: the store is asked what it has, and the rest is completed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from qa_suite.core import store
from qa_suite.core.outbox.answers import answered, fate_of, of_mlflow, words_of
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import ENDED, ENDS, OUTBOX_FILE, Begin, Operation, Refused
from qa_suite.core.outbox.telling import OF_FILES, Place, tell
from qa_suite.core.reach import StoreAway, require_artifacts

_GONE = "RESOURCE_DOES_NOT_EXIST"
_MOST_TROUBLES = 3  # answers in a row that may pass: then the server is broken, not a question

_log = logging.getLogger(__name__)


class _RunGone(Exception):
    """The run was deleted while it was written."""


@dataclass(kw_only=True)
class Sent:
    """What came of sending.

    Parameters
    ----------
    runs
        The MLflow run of each that was found or made, by the value of its identity.
    reasons
        Why something waits on, in words.
    away
        Whether nothing can be sent: nobody answers.
    refused
        What MLflow refused for good and was set aside, by identifier.
    """

    runs: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    away: bool = False
    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def why(self) -> str | None:
        """Why something waits on, or None where nothing does."""
        return "; ".join(dict.fromkeys(self.reasons)) or None

    @property
    def run_id(self) -> str:
        """Of the MLflow run, where one alone was sent; empty where none was."""
        return next(iter(self.runs.values()), "")


def send(outbox: Outbox, *, again: bool = False) -> Sent:
    """Send what waits, each run's operations in their order and its end last.

    An operation that MLflow refuses for good is set aside. One that needs leave, or that a server
    which answers cannot take now, waits on without holding up the others; the run is not ended
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
            client = store.connect(again=again, registry=False).MlflowClient()
            for name in [name for name, run in outbox.runs.items() if run.operations]:
                _Sending(client, outbox, name, sent).send()
    except StoreAway as error:
        sent.reasons.append(error.reason)
        sent.away = True
    except Exception as error:  # whatever it is: it never stops the work beside which this is told
        _log.debug("What waits in %s was not sent.", outbox.path, exc_info=True)
        sent.reasons.append(f"{type(error).__name__}: {words_of(error)}")
        sent.away = True
    return sent


class _Sending:
    """Sends what waits of one run."""

    def __init__(self, client: Any, outbox: Outbox, name: str, sent: Sent) -> None:
        self.client, self.outbox, self.name, self.sent = client, outbox, name, sent
        self.troubles = 0
        self.files_wait = False  # once their store did not answer, none is tried

    def send(self) -> None:
        try:
            self._send()
        except _RunGone:  # by somebody who may not know that it is still written: it is made again
            try:
                self._send()
            except _RunGone as error:
                self.sent.reasons.append(str(error))

    def _send(self) -> None:
        place = self._place()
        if place is None:
            return
        if set(self.outbox.runs[self.name].taken.values()) - {place.run_id}:
            # another store, or the run was deleted there
            self.outbox.resend(self.name, into=place.run_id)
        run = self.outbox.runs[self.name]
        self.sent.runs[self.name] = place.run_id
        tried: set[str] = set()
        while new := [one for key, one in run.operations.items() if key not in tried]:
            tried.add(new[0].id)
            first = next(iter(run.operations.values()))
            if new[0].kind in ENDS and first is not new[0]:
                continue  # what waits before it comes first
            self._tell(place, new[0])

    def _place(self) -> Place | None:
        """Find or make the run; return None where that is refused or must wait."""
        run = self.outbox.runs[self.name]
        try:
            experiment_id = store.experiment(run.begin.experiment)
            run_id, files = self._run_of(experiment_id)
        except StoreAway:
            raise
        except _ParentWaits as error:
            self.sent.reasons.append(str(error))
            return None
        except Exception as error:
            fate = fate_of(error)
            if fate == "passes" or (fate == "refused" and not of_mlflow(error)):
                raise
            for operation in list(run.operations.values()):
                self._not_taken(operation, error, into="")
            return None
        return Place(
            client=self.client,
            experiment_id=experiment_id,
            run_id=run_id,
            files=files,
            folder=self.outbox.folder,
        )

    def _tell(self, place: Place, operation: Operation) -> None:
        try:
            if operation.kind in OF_FILES:
                if self.files_wait:
                    return
                require_artifacts(place.files)
            found = tell(place, operation)
        except Exception as error:
            fate = fate_of(error)
            if fate == "passes" and self._is_broken(error):
                if operation.kind not in OF_FILES or not self._run_status(place):
                    raise
                if operation.kind != "model":  # a model may wait for the registry alone
                    self.files_wait = True
            elif fate == "refused" and not self._run_status(place):
                gone = f"the run {self.outbox.runs[self.name].begin.name} was deleted in MLflow"
                raise _RunGone(gone) from None
            self._not_taken(operation, error, into=place.run_id)
            return
        self.troubles = 0
        named = {f"{operation.id}.{key}": value for key, value in found.items()}
        self.outbox.taken(self.name, operation.id, into=place.run_id, found=named)

    def _is_broken(self, error: Exception) -> bool:
        """Whether what may pass says that no other question is worth asking."""
        self.troubles += 1
        return not answered(error) or self.troubles >= _MOST_TROUBLES

    def _run_status(self, place: Place) -> str:
        """Return the status of the run; empty where it was deleted.

        Raises
        ------
        Exception
            Whatever MLflow raises where its store does not answer.
        """
        from mlflow.exceptions import MlflowException

        try:
            info = self.client.get_run(place.run_id).info
        except MlflowException as error:
            if error.error_code != _GONE:
                raise
            return ""
        return "" if info.lifecycle_stage == "deleted" else str(info.status)

    def _not_taken(self, operation: Operation, error: Exception, *, into: str) -> None:
        """Set an operation aside that is refused for good; say why another one waits."""
        fate, words = fate_of(error), words_of(error)
        if fate == "refused":
            self.outbox.set_aside(self.name, operation, into=into, words=words)
            if into and operation.kind != "refused":
                self.outbox.say_refused(self.name)
            self.sent.refused[operation.id] = self.outbox.refused(self.name)[operation.id]
        elif fate == "leave":
            name = self.outbox.runs[self.name].begin.name
            self.sent.reasons.append(f"leave is needed for {name}: {words}")
        else:
            reason = error.reason if isinstance(error, StoreAway) else words
            self.sent.reasons.append(f"{operation.kind} cannot be taken now: {reason}")

    def _run_of(self, experiment_id: str) -> tuple[str, str]:
        """Return the run and where its files go; it is made if need be.

        A run that has ended and is to be ended anew is opened again: until then it is not whole.
        """
        run = self.outbox.runs[self.name]
        found = found_run(self.client, experiment_id, run.begin.identity)
        if found is None:
            begin, tags = run.begin, {**run.begin.tags}
            tags[begin.identity[0]] = begin.identity[1]
            if begin.parent is not None:
                tags |= self._parent(experiment_id, begin)
            found = self.client.create_run(
                experiment_id, start_time=begin.started, tags=tags, run_name=begin.name
            )
        elif found.info.status != "RUNNING" and any(
            one.kind == "status" and one.what[0] in ENDED for one in run.operations.values()
        ):
            self.client.update_run(found.info.run_id, status="RUNNING")
        return str(found.info.run_id), str(found.info.artifact_uri)

    def _parent(self, experiment_id: str, begin: Begin) -> dict[str, str]:
        """Return the tag that names the run of which this one is a part, or none if it is gone."""
        assert begin.parent is not None
        parent = found_run(self.client, experiment_id, begin.parent)
        if parent is not None:
            return {"mlflow.parentRunId": parent.info.run_id}
        if (self.outbox.folder.parent / OUTBOX_FILE).exists():
            raise _ParentWaits(f"the run that {begin.name} is a part of is not in the store yet")
        return {}  # it was sent and deleted, or given up: nobody will ever send it


class _ParentWaits(Exception):
    """The run that another is a part of must be sent first."""


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
