"""Registering a saved model: each step looks first whether an earlier attempt has done it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.model_files import MLFLOWS_FILE, with_file

OPERATION_TAG = "qa.operation"
"""Says of a logged model and of a version by which operation it was made; of each there is one."""
MODEL_NAME = "model"


def tell_model(
    client: Any,
    *,
    experiment_id: str,
    run_id: str,
    folder: Path,
    identifier: str,
    what: dict[str, Any],
) -> dict[str, str]:
    """Register a saved model once; return its address, version and identifier.

    Parameters
    ----------
    client
        Of MLflow.
    experiment_id, run_id
        Of the run that made the model.
    folder
        Of the outbox.
    identifier
        Of the operation.
    what
        ``folder`` (where the model is saved, from ``folder``), ``name``, ``tags``,
        ``description``, ``instrument``, ``params`` and ``figures`` (name, value, time, step).

    Raises
    ------
    InputError
        If the name is the other kind's.
    Exception
        Whatever MLflow raises.
    """
    name, saved = what["name"], folder / what["folder"]
    version = _registered(client, name, identifier)
    if version is None:
        store.require_free(client, name, instrument=what["instrument"])
        model = _logged(client, experiment_id, run_id, identifier, what)
        _upload(client, model, run_id, saved)
        _link(client, model.model_id, run_id, what["figures"])
        client.finalize_logged_model(model.model_id, "READY")
        # MLflow's own file is written last, and its digest joins those of the others
        tags = with_file(what["tags"], MLFLOWS_FILE, saved / MLFLOWS_FILE)
        version = _version(client, model.model_id, run_id, identifier, what["name"], tags)
    if what["description"] is not None:
        client.update_model_version(name, version.version, description=what["description"])
    uri = f"models:/{name}/{version.version}"
    client.set_tag(run_id, "model_uri", uri)
    return {"uri": uri, "version": str(version.version), "model_id": str(version.model_id or "")}


def _registered(client: Any, name: str, identifier: str) -> Any:
    wanted = f"name = '{name}' and tag.`{OPERATION_TAG}` = '{identifier}'"
    return next(iter(client.search_model_versions(wanted)), None)


def _logged(
    client: Any, experiment_id: str, run_id: str, identifier: str, what: dict[str, Any]
) -> Any:
    """Return the logged model of an earlier attempt, or a new one."""
    wanted = f"tags.`{OPERATION_TAG}` = '{identifier}'"
    found = next(iter(client.search_logged_models([experiment_id], filter_string=wanted)), None)
    if found is not None:
        return found
    return client.create_logged_model(
        experiment_id,
        name=MODEL_NAME,
        source_run_id=run_id,
        tags={OPERATION_TAG: identifier},
        params=what["params"],
    )


def _upload(client: Any, model: Any, run_id: str, saved: Path) -> None:
    """Write into the saved model to which run it belongs, and send its files."""
    from mlflow.models import Model

    if not saved.is_dir():
        raise InputError(f"The model in {saved} was to be registered and is gone.")
    facts = Model.load(str(saved))
    facts.artifact_path, facts.model_id = model.artifact_location, model.model_id
    facts.model_uuid, facts.run_id = model.model_id, run_id
    facts.save(str(saved / MLFLOWS_FILE))
    client.log_model_artifacts(model.model_id, str(saved))


def _link(client: Any, model_id: str, run_id: str, figures: list[Any]) -> None:
    """Let the run say that it made the model, and the model what the run says of it."""
    from mlflow.entities import LoggedModelOutput, Metric

    outputs = client.get_run(run_id).outputs
    there = {one.model_id for one in (outputs.model_outputs or ())} if outputs else set()
    if model_id not in there:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    told = [
        Metric(key=k, value=float(v), timestamp=t, step=s, model_id=model_id, run_id=run_id)
        for k, v, t, s in figures
    ]
    if told:
        client.log_batch(run_id, metrics=told)


def _version(
    client: Any, model_id: str, run_id: str, identifier: str, name: str, tags: dict[str, str]
) -> Any:
    """Make the version together with its tags, so that no version is without them."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run_id,
        tags={**tags, OPERATION_TAG: identifier},
        model_id=model_id,
    )
