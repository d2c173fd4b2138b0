"""What a training tells MLflow: written down first, sent as soon as the server listens.

A server that is away, silent or full must not end a training of days. So what is to be told is
appended to a journal beside the checkpoint and sent from there, at most now and then while the
server does not answer. What could not be sent stays in the journal and is sent when the training
ends, or when the next one begins in that folder.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import parse_json, read_json
from qa_suite.core.plain_files import read_text
from qa_suite.core.store import (
    connect,
    experiment,
    impatient,
    reached,
    require_folder,
    tracking_uri,
)

JOURNAL_FILE = "mlflow-journal.jsonl"
RUN_FILE = "run.json"

_BATCH = 500  # metrics in one call to MLflow; one by one is a hundred times slower
_FIRST_PAUSE_S = 30.0  # after a call that failed; doubled by each that follows
_LONGEST_PAUSE_S = 600.0
_FOR_EVER = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")

_log = logging.getLogger(__name__)


class Telemetry:
    """The figures, tags and files of one run, on their way to MLflow.

    Parameters
    ----------
    run_id
        Of the MLflow run.
    folder
        Where the journal is kept; files that are told of must stay where they are until sent.
    """

    def __init__(self, run_id: str, folder: Path) -> None:
        self.run_id = run_id
        self._path = Path(folder) / JOURNAL_FILE
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._waiting = _read(self._path)
        self._pause_s, self._quiet_until = _FIRST_PAUSE_S, 0.0

    def metrics(self, rows: list[tuple[str, float, int, int]]) -> None:
        """Tell figures: (name, value, time in ms, step)."""
        for start in range(0, len(rows), _BATCH):
            self._note("metrics", rows[start : start + _BATCH])

    def tags(self, tags: dict[str, str]) -> None:
        """Tell tags of the run."""
        self._note("tags", tags)

    def params(self, params: dict[str, str]) -> None:
        """Tell parameters of the run."""
        self._note("params", params)

    def document(self, data: dict[str, Any], name: str) -> None:
        """Tell a document, an artifact of that name."""
        self._note("document", [data, name])

    def dataset(self, name: str, digest: str) -> None:
        """Tell what was trained on: a dataset's name and the digest of its voxels."""
        self._note("dataset", [name, digest])

    def file(self, path: Path, folder: str) -> None:
        """Tell a file, an artifact in that folder."""
        self._note("file", [str(Path(path).absolute()), folder])

    def ended(self, status: str) -> None:
        """Tell that the run has ended: FINISHED, FAILED or KILLED."""
        self._note("ended", [status, int(time.time() * 1000)])

    def send(self, *, now: bool = False) -> bool:
        """Send what waits; return whether nothing waits any more.

        Parameters
        ----------
        now
            Ask the server even if it was away a moment ago.
        """
        if not self._waiting or (time.monotonic() < self._quiet_until and not now):
            return not self._waiting
        sent = 0
        try:
            with impatient():
                client = connect().MlflowClient()
                for entry in self._waiting:
                    _tell(client, entry)
                    sent += 1
        except Exception as error:  # whatever it is: telemetry never stops a training
            reason = " ".join(str(error).split())[:160]
            _log.warning(
                "MLflow at %s takes nothing (%s); kept in %s and sent later.",
                tracking_uri(),
                reason,
                self._path,
            )
            self._quiet_until = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        else:
            self._pause_s = _FIRST_PAUSE_S
        del self._waiting[:sent]
        try:
            _write(self._path, self._waiting)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)
        return not self._waiting

    def _note(self, kind: str, what: Any) -> None:
        entry = {"run": self.run_id, "kind": kind, "what": what}
        self._waiting.append(entry)
        try:
            with self._path.open("a") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)


@contextmanager
def tracked_run(
    experiment_name: str,
    name: str,
    folder: Path,
    *,
    resume: bool = False,
    nested: bool = False,
    system_metrics: bool = False,
) -> Iterator[Telemetry]:
    """Start an MLflow run, or carry on with that of a killed training.

    What an earlier training in the folder could not send is sent first. Once the run has
    begun, nothing that becomes of the server ends the training.

    Parameters
    ----------
    experiment_name, name
        Of the run.
    folder
        Where the journal and the run's identifier are kept.
    resume
        Go on with the run that the folder names, if the store still has it.
    nested
        Whether it is a part of the run in progress, such as a try of a search; where the
        server does not answer, its figures go to that run.
    system_metrics
        Whether MLflow is to watch processor and memory.

    Raises
    ------
    InputError
        If folder or store cannot be used, before anything was trained.
    """
    mlflow = connect()
    require_folder(folder)
    outer = mlflow.active_run()
    try:
        with reached(), impatient():
            send_journal(folder)
            known = _known_run(folder) if resume else None
            mlflow.set_system_metrics_sampling_interval(5)
            run = mlflow.start_run(
                run_id=known,
                experiment_id=experiment(experiment_name),
                run_name=None if known else name,
                log_system_metrics=system_metrics,
                nested=nested,
            )
            (folder / RUN_FILE).write_text(json.dumps({"run_id": run.info.run_id}))
    except InputError as error:
        if not nested or outer is None:
            raise
        _log.warning("A part of the run has no run of its own: %s", error)
        yield Telemetry(outer.info.run_id, folder)
        return
    telemetry = Telemetry(run.info.run_id, folder)
    status = "FAILED"
    try:
        yield telemetry
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        _end(telemetry, status)


def _known_run(folder: Path) -> str | None:
    """Return the run that a folder names, or None if the store has none of that name."""
    from mlflow.exceptions import MlflowException

    path = folder / RUN_FILE
    if not path.is_file():
        return None
    said = read_json(path)
    known = str(said.get("run_id")) if isinstance(said, dict) else ""
    try:
        connect().get_run(known)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None  # another store than the one it was begun in
    return known


def _end(telemetry: Telemetry, status: str) -> None:
    """End the run in MLflow, now or when the journal is sent."""
    telemetry.send(now=True)
    try:
        with impatient():
            connect().end_run(status)
    except Exception as error:  # telemetry never stops a training
        _log.warning("The run of the training is not ended in MLflow yet: %s", error)
        telemetry.ended(status)


def send_journal(folder: Path) -> bool:
    """Send what earlier trainings left in a folder; return whether nothing waits any more."""
    if not (Path(folder) / JOURNAL_FILE).is_file():
        return True
    return Telemetry("", folder).send(now=True)


def _tell(client: Any, entry: dict[str, Any]) -> None:
    """Tell MLflow one entry; one that it will never take is dropped with a warning."""
    from mlflow.exceptions import MlflowException

    try:
        _TELL[entry["kind"]](client, entry["run"], entry["what"])
    except MlflowException as error:
        if error.error_code not in _FOR_EVER:
            raise
        _log.warning("MLflow refused %s of run %s: %s", entry["kind"], entry["run"], error)


def _tell_metrics(client: Any, run: str, rows: Any) -> None:
    from mlflow.entities import Metric

    told = [Metric(key=k, value=v, timestamp=t, step=s) for k, v, t, s in rows]
    client.log_batch(run, metrics=told)


def _tell_tags(client: Any, run: str, tags: Any) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])


def _tell_params(client: Any, run: str, params: Any) -> None:
    from mlflow.entities import Param

    client.log_batch(run, params=[Param(key, value) for key, value in params.items()])


def _tell_document(client: Any, run: str, what: Any) -> None:
    client.log_dict(run, what[0], what[1])


def _tell_dataset(client: Any, run: str, what: Any) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    name, digest = what
    source = CodeDatasetSource({"cohort": name, "data_digest": digest})
    dataset = MetaDataset(source, name=name, digest=digest[:36])._to_mlflow_entity()
    context = InputTag(key="mlflow.data.context", value="training")
    client.log_inputs(run, datasets=[DatasetInput(dataset=dataset, tags=[context])])


def _tell_file(client: Any, run: str, what: Any) -> None:
    if Path(what[0]).is_file():
        client.log_artifact(run, what[0], what[1])
    else:
        _log.warning("%s was to be told to MLflow and is gone.", what[0])


def _tell_ended(client: Any, run: str, what: Any) -> None:
    client.set_terminated(run, what[0], what[1])


_TELL = {
    "metrics": _tell_metrics,
    "tags": _tell_tags,
    "params": _tell_params,
    "document": _tell_document,
    "dataset": _tell_dataset,
    "file": _tell_file,
    "ended": _tell_ended,
}


def _read(path: Path) -> list[dict[str, Any]]:
    """Read a journal; a last line that was cut off by a kill is left out."""
    found = []
    for line in read_text(path).split("\n") if path.is_file() else ():
        if not line:
            continue
        try:
            found.append(parse_json(line, path))
        except InputError:
            _log.warning("A line of %s was cut off and is left out.", path)
    return found


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    if not entries:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    temporary.replace(path)
