"""One run on its way to MLflow: its figures, tags, files and model are noted, then sent."""

from __future__ import annotations

import getpass
import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.json_files import read_json_model
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import MODELS_FOLDER, OUTBOX_FILE, Begin, Operation
from qa_suite.core.outbox.orphans import PROCESS_TAG, end_orphans, this_process
from qa_suite.core.outbox.refused import refused_words
from qa_suite.core.outbox.sending import Sent, send
from qa_suite.core.outbox.watch import watching
from qa_suite.core.reach import without_secrets
from qa_suite.core.record_names import digest_of
from qa_suite.core.store import connect, reached, require_folder, tracking_uri

RUN_FILE = "run.json"
"""In the folder of a training that is not whole in MLflow: which run it is."""
RUN_TAG = "qa.run"
"""The tag by which a training's run is found again."""

_BATCH = 500  # metrics in one call to MLflow; one by one is a hundred times slower
_WORDS = 90  # parameters or tags in one call; MLflow takes a hundred
_FIRST_PAUSE_S = 30.0  # after a call that failed; doubled by each that follows
_LONGEST_PAUSE_S = 600.0

_log = logging.getLogger(__name__)

Row = tuple[str, float, int, int]
"""A figure: name, value, time in ms, step."""


@dataclass(frozen=True, kw_only=True)
class ModelPlace:
    """Where a model is, once it is registered; while it waits there is no address yet."""

    uri: str = ""
    version: str = ""
    model_id: str = ""


class TrackedRun:
    """The figures, tags, files and models of one run.

    Parameters
    ----------
    outbox
        Open, and open as long as the run.
    begin
        What the run is created with.
    """

    def __init__(self, outbox: Outbox, begin: Begin) -> None:
        self._outbox, self.begin = outbox, begin
        self._name = begin.identity[1]
        self._headline: list[Row] = []
        self._params: dict[str, str] = {}
        self._pause_s, self._quiet_until = _FIRST_PAUSE_S, 0.0
        self.run_id = ""
        """Of the MLflow run, once the store has it."""
        outbox.begin(begin)

    @property
    def folder(self) -> Path:
        """Where the outbox lies."""
        return self._outbox.folder

    def metrics(self, rows: list[Row]) -> None:
        """Tell figures; those of step 0 are also the models'."""
        self._headline += [row for row in rows if row[3] == 0 and not row[0].startswith("system/")]
        for start in range(0, len(rows), _BATCH):
            self._note("metrics", figures(rows[start : start + _BATCH]))

    def tags(self, tags: Mapping[str, str]) -> None:
        """Tell tags of the run."""
        for part in in_batches(dict(tags)):
            self._note("tags", part)

    def params(self, params: Mapping[str, Any]) -> None:
        """Tell parameters of the run."""
        words = {key: str(value) for key, value in params.items()}
        self._params |= words
        for part in in_batches(words):
            self._note("params", part)

    def document(self, data: dict[str, Any], name: str) -> None:
        """Tell a document, an artifact of that name."""
        self._note("document", [data, name])

    def dataset(self, name: str, digest: str) -> None:
        """Tell what was trained on: a dataset's name and the digest of its voxels."""
        self._note("dataset", [name, digest, "training", {"data_digest": digest}])

    def file(self, path: Path, folder: str) -> None:
        """Tell a file, an artifact in that folder; it must stay where it is until it is sent."""
        place = Path(path).absolute()
        if place.is_relative_to(self.folder.absolute()):
            place = place.relative_to(self.folder.absolute())  # the folder may be moved
        self._note("file", [str(place), folder])

    def noted_steps(self, name: str) -> set[int]:
        """Return the steps of a figure that were told, as the outbox or else MLflow knows them."""
        rows = [row for rows in self._outbox.noted(self._name, "metrics") for row in rows]
        return {row[3] for row in rows if row[0] == name} | _sent_steps(self.run_id, name)

    def model_folder(self, name: str, digest: str) -> Path:
        """Return where a model of that name and those weights is to be saved until it is sent."""
        return self.folder / MODELS_FOLDER / self._model_id(name, digest)

    def model(
        self,
        name: str,
        digest: str,
        *,
        tags: Mapping[str, str],
        description: str | None,
        instrument: bool,
    ) -> ModelPlace:
        """Register the model that was saved in :meth:`model_folder`; the same one is told once.

        Parameters
        ----------
        name
            Of the registered model.
        digest
            Of its weights.
        tags, description
            Of the version.
        instrument
            Whether it is one of the examiner's own networks.

        Returns
        -------
        ModelPlace
            Its address, or none where the store does not answer: then it waits.
        """
        identifier = self._model_id(name, digest)
        what = {
            "folder": str(Path(MODELS_FOLDER) / identifier),
            "name": name,
            "tags": dict(tags),
            "description": description,
            "instrument": instrument,
            "params": self._params,
            "figures": figures(self._headline),
        }
        self._outbox.note(self._name, Operation(id=identifier, kind="model", what=what))
        self.send(now=True)
        found = self._outbox.runs[self._name].found
        return ModelPlace(
            **{
                key.removeprefix(f"{identifier}."): value
                for key, value in found.items()
                if key.startswith(identifier)
            }
        )

    def _model_id(self, name: str, digest: str) -> str:
        return digest_of([self._name, name, digest])[:32]

    def ended(self, status: str) -> None:
        """Tell that the run has ended: FINISHED, FAILED or KILLED."""
        self._note("status", [status, int(time.time() * 1000)])

    def send(self, *, now: bool = False) -> bool:
        """Send what waits; return whether nothing waits any more.

        Parameters
        ----------
        now
            Ask the server even if it was away a moment ago.
        """
        if not self._outbox.waits or (time.monotonic() < self._quiet_until and not now):
            return not self._outbox.waits
        sent = send(self._outbox)
        if sent.refused:
            _log.warning("%s", refused_words(self.folder, sent.refused))
        self.run_id = sent.runs.get(self._name, self.run_id)
        if sent.why is None:
            self._pause_s, self._quiet_until = _FIRST_PAUSE_S, 0.0
        else:
            if not self._quiet_until:
                _log.warning("%s", stays(sent, self.folder))
            self._quiet_until = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return not self._outbox.waits

    def _note(self, kind: str, what: Any) -> None:
        self._outbox.note(self._name, Operation(id=uuid.uuid4().hex, kind=kind, what=what))


def figures(rows: list[Row]) -> list[list[Any]]:
    """Return figures as they are noted: JSON has no NaN and no infinity, so they are words."""
    return [[k, v if math.isfinite(v) else str(v), t, s] for k, v, t, s in rows]


def in_batches(words: dict[str, str]) -> list[dict[str, str]]:
    """Return words by name in parts that MLflow takes at once."""
    items = list(words.items())
    return [dict(items[start : start + _WORDS]) for start in range(0, len(items), _WORDS)]


def _sent_steps(run_id: str, name: str) -> set[int]:
    """Return the steps of a metric that MLflow has; none where it does not answer."""
    if not run_id:
        return set()
    try:
        with reached():
            history = connect(registry=False).MlflowClient().get_metric_history(run_id, name)
    except InputError as error:
        _log.info("What MLflow has of %s is unknown: %s", name, error)
        return set()
    return {point.step for point in history}


def stays(sent: Sent, folder: Path) -> str:
    """Say that something was not sent, that it is kept, and how it is sent."""
    takes = "takes nothing" if sent.away else "does not take everything"
    return (
        f"MLflow at {without_secrets(tracking_uri())} {takes} ({sent.why}); what it is to be told "
        f"is kept in {folder}, and sent by the next command or by 'qa-suite sync {folder}'."
    )


@contextmanager
def tracked_run(
    experiment_name: str,
    name: str,
    folder: Path,
    *,
    resume: bool = False,
    parent: TrackedRun | None = None,
    system_metrics: bool = False,
) -> Iterator[TrackedRun]:
    """Begin a run, or carry on with that of a killed training; no server is waited for.

    What an earlier training in the folder could not send is sent too.

    Parameters
    ----------
    experiment_name, name
        Of the run.
    folder
        Where the outbox and the run's identity are kept.
    resume
        Go on with the run that the folder names.
    parent
        The run that it is a part of, such as the search of a try.
    system_metrics
        Whether processor, memory, disk and network are watched.

    Raises
    ------
    InputError
        If the folder cannot be used, before anything was trained.
    """
    require_folder(folder)
    with Outbox(folder) as outbox:
        end_orphans(outbox)
        known = _known_run(folder) if resume else None
        begin = known or _new_run(experiment_name, name, parent)
        (folder / RUN_FILE).write_text(begin.model_dump_json())
        run = TrackedRun(outbox, begin)
        run.tags({PROCESS_TAG: this_process()})
        if known is not None:
            run.ended("RUNNING")
        run.send(now=True)
        status = "FAILED"
        try:
            with watching(run.metrics if system_metrics else None):
                yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.ended(status)
            run.send(now=True)


def forget_run(folder: Path) -> None:
    """Forget which run a folder's training is, once it is whole in MLflow.

    Until then the training that is resumed is the same one, and its model the same version.
    """
    if not (folder / OUTBOX_FILE).exists():
        (folder / RUN_FILE).unlink(missing_ok=True)


def _new_run(experiment_name: str, name: str, parent: TrackedRun | None) -> Begin:
    return Begin(
        identity=(RUN_TAG, uuid.uuid4().hex),
        experiment=experiment_name,
        name=name,
        started=int(time.time() * 1000),
        tags=made_by(),
        parent=None if parent is None else parent.begin.identity,
    )


def made_by() -> dict[str, str]:
    """Return the tags that say who made a run and with what."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "qa-suite", "mlflow.source.type": "LOCAL"}


def _known_run(folder: Path) -> Begin | None:
    """Return the run that a folder names, or None where it names none that can be read."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return read_json_model(path, Begin)
    except QAError:
        _log.warning("%s cannot be read; the training goes on in a run of its own.", path)
        return None
