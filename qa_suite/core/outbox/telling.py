"""How MLflow is told an operation; each may be told twice, and is there once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.outbox.answers import NeedsLeave
from qa_suite.core.outbox.lines import Operation
from qa_suite.core.outbox.models import tell_model
from qa_suite.core.outbox.refused import kinds_words, read_refused
from qa_suite.core.store import patient, require_registry

OF_FILES = ("document", "file", "model")
"""Kinds whose content goes to the store of files, which may be another than that of runs."""
REFUSED_TAG = "qa.refused"
"""Says of a run how much of it MLflow refused."""

_log = logging.getLogger(__name__)

Found = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an operation is told: the client, the run, its files, and the folder of the work."""

    client: Any
    experiment_id: str
    run_id: str
    files: str
    folder: Path


Tell = Callable[[Place, Operation], Found | None]
TELL: dict[str, Tell] = {}


def _tells(kind: str) -> Callable[[Tell], Tell]:
    def add(function: Tell) -> Tell:
        assert kind not in TELL
        TELL[kind] = function
        return function

    return add


def tell(place: Place, operation: Operation) -> Found:
    """Tell MLflow one operation; return what came of it.

    Raises
    ------
    Exception
        Whatever MLflow raises.
    """
    if operation.kind not in TELL:
        raise InputError(
            f"This version of the suite cannot tell {operation.kind}; use a later one."
        )
    return TELL[operation.kind](place, operation) or {}


@_tells("status")
def _status(place: Place, operation: Operation) -> None:
    status, at = operation.what
    if status == "RUNNING":
        place.client.update_run(place.run_id, status=status)
    else:
        place.client.set_terminated(place.run_id, status, at)


@_tells("orphan")
def _orphan(place: Place, operation: Operation) -> None:
    """End a run whose process is gone, where the store still holds it for running."""
    if place.client.get_run(place.run_id).info.status == "RUNNING":
        _status(place, operation)


@_tells("refused")
def _refused(place: Place, operation: Operation) -> None:
    """Say of a run what MLflow refused of it, so that nobody takes it for whole."""
    refused = read_refused(place.folder, operation.what[0])
    if refused:
        place.client.set_tag(place.run_id, REFUSED_TAG, kinds_words(refused.values()))
    elif REFUSED_TAG in place.client.get_run(place.run_id).data.tags:
        place.client.delete_tag(place.run_id, REFUSED_TAG)


@_tells("metrics")
def _metrics(place: Place, operation: Operation) -> None:
    """Tell figures: the store keeps one of each name, value, time and step."""
    from mlflow.entities import Metric

    told = [Metric(key=k, value=float(v), timestamp=t, step=s) for k, v, t, s in operation.what]
    place.client.log_batch(place.run_id, metrics=told)


@_tells("figures")
def _figures(place: Place, operation: Operation) -> None:
    """Tell figures of the run, and of the models that it examined."""
    from mlflow.entities import Metric

    inputs = place.client.get_run(place.run_id).inputs
    models = [one.model_id for one in (inputs.model_inputs or ())] if inputs else []
    for model in models or [None]:
        told = [
            Metric(key=k, value=float(v), timestamp=t, step=s, model_id=model)
            for k, v, t, s in operation.what
        ]
        place.client.log_batch(place.run_id, metrics=told)


@_tells("tags")
def _tags(place: Place, operation: Operation) -> None:
    from mlflow.entities import RunTag

    tags = [RunTag(key, value) for key, value in operation.what.items()]
    place.client.log_batch(place.run_id, tags=tags)


@_tells("params")
def _params(place: Place, operation: Operation) -> None:
    """Tell parameters; MLflow changes none, so another value of one is told as a tag."""
    from mlflow.entities import Param, RunTag

    there = place.client.get_run(place.run_id).data.params
    new = [Param(k, v) for k, v in operation.what.items() if k not in there]
    tags = [RunTag(f"qa.param.{k}", v) for k, v in operation.what.items() if there.get(k, v) != v]
    place.client.log_batch(place.run_id, params=new, tags=tags)


@_tells("document")
def _document(place: Place, operation: Operation) -> None:
    data, name = operation.what
    with patient():
        place.client.log_dict(place.run_id, data, name)


@_tells("file")
def _file(place: Place, operation: Operation) -> None:
    path, folder = place.folder / operation.what[0], operation.what[1]
    if not path.is_file():
        _log.warning("%s was to be told to MLflow and is gone.", path)
        return
    if not os.access(path, os.R_OK):
        raise NeedsLeave(f"{path} cannot be read; give leave to read it, and it is sent.")
    with patient():
        place.client.log_artifact(place.run_id, str(path), folder)


@_tells("dataset")
def _dataset(place: Place, operation: Operation) -> None:
    """Tell which data took part: name, digest, in which role, and facts of it."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    name, digest, role, facts = operation.what
    source = CodeDatasetSource({"cohort": name, **facts})
    dataset = MetaDataset(source, name=name, digest=digest[:36])._to_mlflow_entity()
    tag = InputTag(key="mlflow.data.context", value=role)
    place.client.log_inputs(place.run_id, datasets=[DatasetInput(dataset=dataset, tags=[tag])])


@_tells("examined")
def _examined(place: Place, operation: Operation) -> None:
    """Link the models that another run has made; where it is unknown here, a tag says so."""
    from mlflow.entities import LoggedModelInput
    from mlflow.exceptions import MlflowException

    (source,) = operation.what
    try:
        run = place.client.get_run(source)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        place.client.set_tag(place.run_id, "qa.model_run_unknown", source)
        return
    inputs = place.client.get_run(place.run_id).inputs
    there = {one.model_id for one in (inputs.model_inputs or ())} if inputs else set()
    made = run.outputs.model_outputs if run.outputs else ()
    new = [LoggedModelInput(model_id=one.model_id) for one in made if one.model_id not in there]
    if new:
        place.client.log_inputs(place.run_id, models=new)


@_tells("model")
def _model(place: Place, operation: Operation) -> Found:
    require_registry()
    with patient():
        return tell_model(
            place.client,
            experiment_id=place.experiment_id,
            run_id=place.run_id,
            folder=place.folder,
            identifier=operation.id,
            what=operation.what,
        )
