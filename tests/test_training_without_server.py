"""No server stops a training; what can be refused is refused before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.core import store
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.names import LONGEST_NAME
from qa_suite.core.outbox.folders import send_all
from qa_suite.core.outbox.lines import MODELS_FOLDER, OUTBOX_FILE
from qa_suite.core.store import require_model_name, require_registrable
from tests.mlflow_server import Nursery, Server, free_port
from tests.outbox_cases import quick, silent_server
from tests.test_translators import tiny_spec
from translators.registry.train import train
from translators.spec import load_spec

__all__ = ["quick"]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.end()


@pytest.fixture
def server(
    tmp_path: Path, _empty_database: Path, monkeypatch: pytest.MonkeyPatch, nursery: Nursery
) -> Iterator[Server]:
    shutil.copy(_empty_database, tmp_path / "mlflow.db")
    server = Server(tmp_path, nursery)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setattr("translators.registry.tracked._SEND_EVERY_S", 0.0)
    monkeypatch.chdir(tmp_path)
    yield server
    server.die()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["dies", "falls silent"])
def test_a_training_outlives_its_server_and_is_registered_later(
    what: str,
    server: Server,
    cohort: Cohort,
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = tiny_spec(name="cut", training__checkpoint_minutes=0)
    seen = []

    def note(done: int, total: int, figures: dict[str, float]) -> None:
        seen.append(done)
        if done == 3:
            server.die() if what == "dies" else server.fall_silent()

    work = tmp_path / "work"
    model = train(spec, cohort, folder, workdir=work, iterations=6, progress=note, device="cpu")
    assert seen == [1, 2, 3, 4, 5, 6], "the training went on to its end"
    assert (model.uri, model.name) == ("", "cut") and (work / OUTBOX_FILE).stat().st_size > 0
    assert caplog.text.count("takes nothing") == 1 and server.uri in caplog.text
    server.start() if what == "dies" else server.speak()
    (done,) = send_all([work])
    assert not done.why
    assert done.models == ("models:/cut/1",) and not done.stays
    assert not (work / OUTBOX_FILE).exists()
    client = store.connect().MlflowClient()
    run = client.get_run(client.get_model_version("cut", "1").run_id)
    assert run.info.status == "FINISHED" and run.data.tags["model_uri"] == "models:/cut/1"
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert sorted(point.step for point in history) == [1, 2, 3, 4, 5, 6]
    assert run.data.params["training.learning_rate"] and run.data.metrics["training_seconds"] > 0


@pytest.mark.parametrize("what", ["away", "silent"])
def test_a_training_begins_and_ends_without_a_server(
    what: str,
    own_store: Path,
    cohort: Cohort,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> None:
    with silent_server() as uri:
        asked = uri if what == "silent" else f"http://127.0.0.1:{free_port()}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", asked)
        work = tmp_path / "work"
        model = train(load_spec("intensity"), cohort, folder, workdir=work)
        assert (model.uri, model.name) == ("", "intensity")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own_store / 'mlflow.db'}")
    again = train(load_spec("intensity"), cohort, folder, workdir=work, resume=True)
    assert again.uri == "models:/intensity/1", "the one that waited, and no second"
    (version,) = store.connect().MlflowClient().search_model_versions()
    assert version.tags["direction"] == "MR->CT" and version.run_id == again.run_id
    assert not (work / OUTBOX_FILE).exists() and not (work / MODELS_FOLDER).exists()


# ------------------------------------------------------------------ names

NAMES = [
    "pelvis-mr-to-ct",
    "a",
    "Sct 2026",
    "a.b_c",
    "Übersetzer",
    "x" * LONGEST_NAME,
    "",
    " ",
    "\t",
    "a/b",
    "a:b",
    "a@b",
    "..",
    ".",
    "a/",
    "a//b",
    "a/../b",
    "x" * 257,
    "a'b",
    'a"b',
    "a%2fb",
    "a?b",
    "a#b",
    "a\nb",
    "a\x00b",
    "a\\b",
    " a",
    "a ",
    "`a`",
]


@pytest.mark.parametrize("name", NAMES, ids=[repr(n[:9]) for n in NAMES])
def test_a_name_that_mlflow_refuses_is_refused_first(name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_model_name

    try:
        _validate_model_name(name)
        theirs = True
    except MlflowException:
        theirs = False
    try:
        require_model_name(name)
        ours = True
    except QAError:
        ours = False
    assert theirs or not ours, "what MLflow refuses is refused here"
    assert ours == (name in NAMES[:6])


@pytest.mark.parametrize("name", NAMES[:6], ids=[repr(n[:9]) for n in NAMES[:6]])
def test_a_name_that_is_taken_here_can_be_registered_and_found(name: str, own_store: Path) -> None:
    client = store.connect().MlflowClient()
    client.create_registered_model(name)
    made = client.create_model_version(name, source=str(own_store))
    assert store.model_version(f"models:/{name}/{made.version}").name == name
    client.set_registered_model_alias(name, "candidate", made.version)
    assert store.model_version(f"models:/{name}@candidate").name == name


@pytest.mark.parametrize("name", ["a/b", "a:b", "", "x" * 300, "a@b"])
def test_nothing_is_trained_under_a_name_that_is_refused(
    name: str, own_store: Path, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    from translators.registry.search import search

    spec = load_spec("intensity").model_copy(update={"name": name})
    work = tmp_path / "work"
    with pytest.raises(QAError, match="The model name"):
        train(spec, cohort, folder, workdir=work)
    searched = tiny_spec(search={"training.learning_rate": {"low": 1e-4, "high": 1e-2}})
    with pytest.raises(QAError, match="The model name"):
        search(searched, cohort, folder, tries=1, workdir=work, register_as=name or " ")
    assert not work.exists()


def test_the_name_of_an_instrument_is_not_a_translators(own_store: Path) -> None:
    client = store.connect().MlflowClient()
    client.create_registered_model("taken")
    client.create_model_version("taken", source=str(own_store), tags={"qa.kind": "segmenter"})
    with pytest.raises(InputError, match="name of a registered instrument"):
        require_registrable("taken")
    require_registrable("taken", instrument=True)
    require_registrable("free")
