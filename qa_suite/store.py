"""Where MLflow keeps things: one place that says so, for the examiner and the examined.

``mlruns/mlflow.db`` and ``mlruns/`` below the current folder, unless
``MLFLOW_TRACKING_URI`` names another server or store.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

STORE_FOLDER = "mlruns"


def tracking_uri() -> str:
    """Return the store in use: ``MLFLOW_TRACKING_URI`` or the local SQLite file."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{Path(STORE_FOLDER).absolute() / 'mlflow.db'}"


def connect() -> Any:
    """Point MLflow at the store, create the local one if needed, and return the module.

    Pickled models are refused for the whole process: a model is code to read and tensors.
    """
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # Defaults would wait four minutes for a server that is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # Our models declare tensors by signature; the hint asks for Python types instead.
    warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")
    # Finished volumes answer to no example.
    warnings.filterwarnings("ignore", message=".*An input example was not provided")
    import mlflow

    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow


def metric_name(text: str) -> str:
    """Write a name with the characters that MLflow allows in the name of a metric."""
    text = text.replace(">", "over ").replace("<", "under ")
    return re.sub(r"[^A-Za-z0-9_\-./ ]", ".", text)


def model_version(uri: str) -> Any:
    """Return the registered version behind a ``models:/`` URI, or None for another URI."""
    if not uri.startswith("models:/"):
        return None
    client = connect().MlflowClient()
    name, at, alias = uri.removeprefix("models:/").partition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    name, _, number = name.partition("/")
    if number == "latest":
        versions = client.search_model_versions(f"name = '{name}'")
        return max(versions, key=lambda v: int(v.version))
    return client.get_model_version(name, number) if number else None


def experiment(name: str) -> str:
    """Return the identifier of an MLflow experiment, created with its artifacts in the store."""
    mlflow = connect()
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).parent / "artifacts" / name
        location = folder.absolute().as_uri()
    return str(mlflow.create_experiment(name, artifact_location=location))
