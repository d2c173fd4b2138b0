"""Telemetry never stops a training; what can be refused is refused before it begins."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.core import store
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.store import LONGEST_NAME, require_model_name, require_registrable
from qa_suite.core.telemetry import JOURNAL_FILE, Telemetry, send_journal
from tests.mlflow_server import Nursery, Server, free_port
from tests.test_translators import tiny_spec
from translators.registry.train import train
from translators.spec import load_spec


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
    monkeypatch.setattr("qa_suite.core.store._PATIENCE_S", 1)
    monkeypatch.setattr("translators.registry.tracked._SEND_EVERY_S", 0.0)
    monkeypatch.chdir(tmp_path)
    yield server
    server.die()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["dies", "falls silent"])
def test_a_training_outlives_its_server_and_is_registered_later(
    what: str, server: Server, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec(name="cut", training__checkpoint_minutes=0)
    seen = []

    def note(done: int, total: int, figures: dict[str, float]) -> None:
        seen.append(done)
        if done == 3:
            server.die() if what == "dies" else server.fall_silent()

    work = tmp_path / "work"
    with pytest.raises(InputError) as caught:
        train(spec, cohort, folder, workdir=work, iterations=6, progress=note, device="cpu")
    assert seen == [1, 2, 3, 4, 5, 6], "the training went on to its end"
    told = str(caught.value)
    assert f"finished and kept in {work}, but not registered" in told and "--resume" in told
    assert server.uri in told
    assert (work / JOURNAL_FILE).stat().st_size > 0
    server.start() if what == "dies" else server.speak()
    again = []
    model = train(
        spec,
        cohort,
        folder,
        workdir=work,
        iterations=6,
        resume=True,
        device="cpu",
        progress=lambda done, total, figures: again.append(done),
    )
    assert again == [] and model.uri == "models:/cut/1"
    assert not (work / JOURNAL_FILE).exists()
    client = store.connect().MlflowClient()
    run = client.get_run(model.run_id)
    assert run.info.status == "FINISHED" and run.data.tags["model_uri"] == model.uri
    steps = {point.step for point in client.get_metric_history(model.run_id, "train_loss")}
    assert steps == {1, 2, 3, 4, 5, 6}
    assert run.data.params["training.learning_rate"] and run.data.metrics["training_seconds"] > 0


def test_a_server_that_is_not_there_is_told_before_anything_is_trained(
    cohort: Cohort, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(done: int, total: int, figures: dict[str, float]) -> None:
        raise AssertionError("trained in vain")

    monkeypatch.setattr("qa_suite.core.store._PATIENCE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers none
        for port in (silent.getsockname()[1], free_port()):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
            started = time.monotonic()
            with pytest.raises(InputError, match="cannot be used"):
                train(tiny_spec(), cohort, folder, workdir=tmp_path / "w", progress=never)
            assert time.monotonic() - started < 60, "the defaults would wait for minutes"


# ------------------------------------------------------------------ the journal


@pytest.fixture
def run_id(own_store: Path) -> str:
    client = store.connect().MlflowClient()
    return str(client.create_run(store.experiment("training")).info.run_id)


def tell_everything(telemetry: Telemetry, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"png")
    telemetry.params({"a": "1"})
    telemetry.tags({"b": "2"})
    telemetry.metrics([("loss", 0.5, 1000, step) for step in range(1200)])
    telemetry.document({"c": 3}, "c.json")
    telemetry.dataset("tiny", "d" * 64)
    telemetry.file(picture, "samples")
    telemetry.ended("FINISHED")


def test_what_was_not_sent_is_sent_at_the_next_start(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr("qa_suite.core.telemetry.connect", away)
        telemetry = Telemetry(run_id, tmp_path)
        tell_everything(telemetry, tmp_path)
        assert not telemetry.send()
    assert "kept in" in caplog.text
    assert not telemetry.send(), "it waits before it asks again"
    with (tmp_path / JOURNAL_FILE).open("a") as stream:
        stream.write('{"run": "cut o')  # a kill in the middle of a line
    assert send_journal(tmp_path) and not (tmp_path / JOURNAL_FILE).exists()
    client = store.connect().MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.params["a"], run.data.tags["b"]) == ("1", "2")
    assert len(client.get_metric_history(run_id, "loss")) == 1200
    assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
    assert {file.path for file in client.list_artifacts(run_id)} == {"c.json", "samples"}


def test_sent_twice_is_there_once(run_id: str, tmp_path: Path) -> None:
    """A kill between sending and noting that it was sent sends a second time."""
    telemetry = Telemetry(run_id, tmp_path)
    tell_everything(telemetry, tmp_path)
    journal = (tmp_path / JOURNAL_FILE).read_text()
    assert telemetry.send()
    (tmp_path / JOURNAL_FILE).write_text(journal)
    assert send_journal(tmp_path)
    assert len(store.connect().MlflowClient().get_metric_history(run_id, "loss")) == 1200


def test_what_mlflow_will_never_take_does_not_hold_up_the_rest(
    run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Telemetry("f" * 32, tmp_path).metrics([("loss", 1.0, 1000, 0)])  # a run that was deleted
    telemetry = Telemetry(run_id, tmp_path)
    telemetry.tags({"after": "it"})
    assert telemetry.send()
    assert "MLflow refused metrics" in caplog.text
    assert store.connect().MlflowClient().get_run(run_id).data.tags["after"] == "it"


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


def test_a_folder_that_cannot_be_written_is_told_first(
    own_store: Path, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        train(load_spec("intensity"), cohort, folder, workdir=tmp_path / "file" / "work")


def test_the_journal_is_plain_lines(run_id: str, tmp_path: Path) -> None:
    Telemetry(run_id, tmp_path).tags({"a": "b"})
    (line,) = (tmp_path / JOURNAL_FILE).read_text().splitlines()
    assert json.loads(line) == {"run": run_id, "kind": "tags", "what": {"a": "b"}}
