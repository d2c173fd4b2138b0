"""Where MLflow keeps things: one place that says so, for the examiner and the examined.

``mlruns/mlflow.db`` and ``mlruns/`` below the current folder, unless
``MLFLOW_TRACKING_URI`` names another server or store.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.extras import missing_extra
from qa_suite.core.names import name_problems
from qa_suite.core.reach import StoreAway, fell_silent, require_answer, sqlite_file

STORE_FOLDER = "mlruns"
_REGISTRY = "MLFLOW_REGISTRY_URI"
KIND_TAG = "qa.kind"
KINDS = ("segmenter", "extractor")
"""What an instrument's version says it is; a translator's says nothing."""

_NO_NAME = ":@?#%'\"`"
_PATIENCE_S = 5  # how long one call may wait; nobody should be kept waiting
_PATIENCE_WITH_FILES_S = 60


def tracking_uri() -> str:
    """Return the store in use: ``MLFLOW_TRACKING_URI`` or the local SQLite file."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{Path(STORE_FOLDER).absolute() / 'mlflow.db'}"


def registry_uri() -> str:
    """Return where models are registered: ``MLFLOW_REGISTRY_URI``, or the store itself."""
    return os.environ.get(_REGISTRY) or tracking_uri()


def be_silent() -> None:
    """Let nothing that this process or its children load call home, unless somebody wants it to."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "false")


def prepare() -> None:
    """Set MLflow up before it is loaded: silent, quick to give up, and without pickled models."""
    be_silent()
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # Defaults would wait four minutes for a server that is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_PATIENCE_S))
    # Our models declare tensors by signature; the hint asks for Python types instead.
    warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")
    # Finished volumes answer to no example.
    warnings.filterwarnings("ignore", message=".*An input example was not provided")


def connect(*, again: bool = False, registry: bool = True) -> Any:
    """Point MLflow at the store, create the local one if needed, and return the module.

    Pickled models are refused for the whole process: a model is code to read and tensors.

    Parameters
    ----------
    again
        Ask a store also where it was known a moment ago not to answer.
    registry
        Whether the registry is needed too, where it is another.

    Raises
    ------
    StoreAway
        If the store does not answer within seconds or cannot be written, or MLflow is missing.
    """
    uri = tracking_uri()
    require_answer(uri, again=again)
    if registry:
        require_registry(again=again)
    prepare()
    try:
        import mlflow
    except ModuleNotFoundError as error:
        if missing := missing_extra(error):
            raise StoreAway(uri, missing) from None
        raise
    mlflow.set_tracking_uri(uri)
    _tell_registry(mlflow)
    return mlflow


def require_registry(*, again: bool = False) -> None:
    """Knock at the registry, where it is another than the store, whose answer was waited for.

    Raises
    ------
    StoreAway
        If it does not answer.
    """
    if registry_uri() != tracking_uri():
        require_answer(registry_uri(), again=again, named_in=_REGISTRY)


def _tell_registry(mlflow: Any) -> None:
    """Tell MLflow where models are registered, without a word of it in the environment.

    There MLflow writes it, as if somebody had asked for it, for this process and its children.
    """
    asked_for = os.environ.get(_REGISTRY)
    mlflow.set_registry_uri(registry_uri())
    if asked_for is None:
        os.environ.pop(_REGISTRY, None)


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
    mlflow = connect(registry=False)
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    file = sqlite_file(tracking_uri())
    if file is not None:
        location = (file.parent / "artifacts" / name).absolute().as_uri()
    return str(mlflow.create_experiment(name, artifact_location=location))


@contextmanager
def reached() -> Iterator[None]:
    """Turn what MLflow and its store raise into one sentence.

    Raises
    ------
    StoreAway
        If the store cannot be reached, read or written.
    """
    try:
        yield
    except Exception as error:
        if not _of_the_store(error):
            raise
        reason = " ".join(str(error).split())[:200]
        if unanswered(error):
            reason = "it stopped answering in the middle"
            fell_silent(tracking_uri(), reason)
        raise StoreAway(tracking_uri(), reason) from None


def _of_the_store(error: Exception) -> bool:
    """Whether MLflow, its database or the connection to it raised an error."""
    if isinstance(error, OSError):
        return True
    module = type(error).__module__.partition(".")[0]
    return module in ("mlflow", "sqlalchemy")


def unanswered(error: Exception) -> bool:
    """Whether an error says that nobody answered, rather than what was answered."""
    return type(error).__name__ == "MlflowException" and str(error).startswith(
        "API request to http"
    )


@contextmanager
def patient() -> Iterator[None]:
    """Give a server time to put a file away, of which it says nothing before it has."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    os.environ[name] = str(max(_PATIENCE_WITH_FILES_S, int(before or 0)))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def require_reachable() -> None:
    """Ask the store for something small, and do not wait long.

    Raises
    ------
    StoreAway
        If it does not answer.
    """
    with reached():
        connect().MlflowClient().search_experiments(max_results=1)


def require_folder(folder: Path) -> None:
    """Make a folder if need be, and refuse one that cannot be written.

    Raises
    ------
    InputError
        If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be written ({error.strerror}); name another."
        ) from None


def require_model_name(name: str) -> None:
    """Refuse a name that the registry would refuse, or that could not be asked for later.

    Raises
    ------
    Problems
        With every reason.
    """
    problems = name_problems(name)
    marks = sorted({c for c in name if c in _NO_NAME})
    if marks:
        problems.append(
            f"it holds {' '.join(repr(c) for c in marks)}, which have a meaning in addresses such "
            f"as models:/NAME/VERSION and models:/NAME@ALIAS"
        )
    raise_problems(f"The model name {name[:80]!r}", problems)


def require_registrable(name: str, *, instrument: bool = False) -> None:
    """Refuse a name before anything expensive that is to be registered under it.

    Parameters
    ----------
    name
        Of the registered model.
    instrument
        Whether an instrument is to have it; a name is either a translator's or an
        instrument's.

    Raises
    ------
    QAError
        If MLflow would refuse the name, or the store answers and the name is the other kind's.
    """
    require_model_name(name)
    try:
        with reached():
            require_free(connect().MlflowClient(), name, instrument=instrument)
    except StoreAway:
        return  # it is looked at again when the model is sent


def require_free(client: Any, name: str, *, instrument: bool) -> None:
    """Refuse a name that is the other kind's; see :func:`require_registrable`."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if (version.tags.get(KIND_TAG) in KINDS) != instrument:
            held, other = ("translator", "instrument") if instrument else ("instrument", "model")
            raise InputError(
                f"{name} is the name of a registered {held}; give the {other} another one with "
                f"--name."
            )
