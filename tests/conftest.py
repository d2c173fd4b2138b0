"""What all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qa_suite.core.cohort import Cohort

gc.disable()  # until all is collected: what is imported stays, and looking through it takes seconds
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

ROOT = Path(__file__).resolve().parent.parent

LONGEST = (
    "test_end_to_end.py", "test_golden_record.py", "test_rtplan_mutations.py", "test_tutorial.py",
    "test_readme.py", "test_given_doses.py", "test_dose_arcs.py", "test_exam.py",
    "test_reference_free_faults.py", "test_measures_geometry.py", "test_determinism.py",
    "test_value_ranges.py", "test_dose_divergence.py", "test_model_registry.py",
)  # fmt: skip
"""Files that take longest are begun first, so that no process is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


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
