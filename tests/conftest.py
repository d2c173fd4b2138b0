"""What all tests share."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from qa_suite.core.cohort import Cohort
    from qa_suite.core.volume import Volume

gc.disable()  # until all is collected: what is imported stays, and looking through it takes seconds
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

ROOT = Path(__file__).resolve().parent.parent

SECONDS = Path(__file__).with_name("seconds.json")
"""What each file of tests took, of those that take a second; `make seconds` renews it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that `make seconds` uses."""
    parser.addoption("--write-seconds", action="store_true", help=f"renew {SECONDS.name}")


def pytest_configure(config: pytest.Config) -> None:
    """Take the time where it is asked for, in the process that hears of every test."""
    if config.getoption("--write-seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Seconds())


class _Seconds:
    """The seconds of every file of tests, set up and taken down."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._taken[Path(report.nodeid.split("::")[0]).name] += report.duration

    def pytest_sessionfinish(self) -> None:
        taken = {name: round(spent) for name, spent in self._taken.most_common() if spent >= 1}
        SECONDS.write_text(json.dumps(taken, indent=0) + "\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the longest files first, so that no process is left alone with one at the end.

    The order within a file stays.
    """
    seconds = json.loads(SECONDS.read_text())
    items.sort(key=lambda item: -seconds.get(item.path.name, 0))


def pytest_collection_finish() -> None:
    """Leave modules and tests out of every later search for garbage."""
    gc.freeze()
    gc.enable()


def _one_thread() -> None:
    """Sums of floats depend on how many threads share them, and the command shares out cores."""
    if "torch" in sys.modules or os.environ["OMP_NUM_THREADS"] != "1":
        import torch

        torch.set_num_threads(1)


_one_thread_for_fixtures = pytest.fixture(scope="module", autouse=True)(_one_thread)
_one_thread_for_tests = pytest.fixture(autouse=True)(_one_thread)


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """A power cut may take what is made here; that a process is killed, it survives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _alignment_is_estimated_once() -> Iterator[None]:
    """Preflight of the same images gives the same answer, and many tests read the same ones.

    It is patched where preflight calls it: who tests the estimate itself gets the function.
    """
    from qa_suite.preflight import alignment

    known: dict[str, object] = {}

    def once(source: Volume, reference: Volume, **more: Any) -> object:
        parts: list[Any] = [source.array, reference.array, source.grid, source.quantity]
        parts += [more["body"], more["coverage"], more["settings"]]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
            digest.update(b"|")
        key = digest.hexdigest()
        if key not in known:
            known[key] = estimate(source, reference, **more)
        return known[key]

    estimate = alignment.estimate_alignment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "estimate_alignment", once)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cohort of a module's tests lies: the tiny one, if the module makes no other."""
    from tests.tiny_cohort import make_tiny_cohort

    path = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(path)
    return path


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    """The cohort of a module's tests."""
    from qa_suite.core.cohort import load_cohort

    return load_cohort(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real patients beside the project, where somebody put them."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real patients: {folder.relative_to(ROOT.parent)} is absent")
    return folder


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One fresh MLflow database; making the tables takes seconds, copying them nothing."""
    import mlflow
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def no_wait_for_the_disk(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _empty_database: Path) -> Path:
    """An empty MLflow store of the test's own, with the working folder beside it."""
    store = tmp_path / "mlruns"
    store.mkdir()
    shutil.copy(_empty_database, store / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlflow.db'}")
    return store
