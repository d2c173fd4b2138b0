"""Evaluations in MLflow: whole in the end, whoever is away and whenever somebody is killed."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.core import store
from qa_suite.core.outbox.lines import OUTBOX_FILE
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.record_names import EVALUATION_FILE
from qa_suite.evaluation.tracking import log_evaluation
from tests.mlflow_server import free_port
from tests.outbox_cases import Killed, contents, killed_at, quick, silent_server
from tests.record_factory import make_record

__all__ = ["quick"]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "evaluations" / "one"
    make_record(folder, patients_by_site={"A": 3, "B": 1}, keep=False)
    return folder


def in_store(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.mark.slow
def test_killed_before_every_change_the_evaluation_is_whole_in_the_end(
    own_store: Path, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(own_store / "mlflow.db", tmp_path / "empty.db")
    log_evaluation(record)
    expected = contents()
    ((name, (one,)),) = [item for item in expected.items() if item[0].startswith("evaluations/")]
    assert one["status"] == "FINISHED" and one["metrics"] and one["params"], name
    assert f"record/{EVALUATION_FILE}" in one["files"] and "record/outbox.jsonl" not in one["files"]
    for number in range(1, 100):
        home = tmp_path / f"killed-{number}"
        home.mkdir()
        shutil.copy(tmp_path / "empty.db", home / "mlflow.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", in_store(home))
        with killed_at(monkeypatch, number, told=False) as seen, contextlib.suppress(Killed):
            log_evaluation(record)
        if len(seen) < number:
            break
        found = [c for name, c in contents().items() if name.startswith("evaluations/")]
        assert all(one["status"] == "RUNNING" for runs in found for one in runs), "not whole yet"
        assert run(["sync", str(record)]) == 0
        assert contents() == expected, f"killed before {seen[-1]}, the {number}th change"
    assert len(seen) > 8, "every change was a place to be killed at"


def test_a_run_that_an_older_version_left_without_metrics_is_completed(
    own_store: Path, record: Path
) -> None:
    client = store.connect().MlflowClient()
    tags = {"qa.evaluation": read_evaluation(record).evaluation, "qa.kind": "evaluation"}
    run_id = client.create_run(store.experiment("evaluations"), tags=tags).info.run_id
    client.set_terminated(run_id)
    assert log_evaluation(record).run_id == run_id
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED" and found.data.metrics and found.data.params


def test_a_training_that_the_store_does_not_know_costs_the_link_alone(
    own_store: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = read_evaluation(record)
    model = evaluation.model.model_copy(update={"mlflow_run_id": "f" * 32})
    known = evaluation.model_copy(update={"model": model})
    monkeypatch.setattr("qa_suite.evaluation.tracking.read_evaluation", lambda folder: known)
    sent = log_evaluation(record)
    assert sent.why is None and not sent.refused
    found = store.connect().get_run(sent.run_id)
    assert found.info.status == "FINISHED" and found.data.metrics
    assert found.data.tags["qa.model_run_unknown"] == "f" * 32


def test_what_waits_of_an_evaluation_is_replaced_by_what_is_noted_anew(
    own_store: Path, record: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    log_evaluation(record)
    expected = contents()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    other = record.parent / "moved"
    for _ in range(3):
        assert log_evaluation(record).why is not None
    record.rename(other)
    home = record.parent
    monkeypatch.setenv("MLFLOW_TRACKING_URI", in_store(home))
    assert run(["sync", str(home)]) == 0, "also where the folder was moved"
    assert contents() == expected and not (other / OUTBOX_FILE).exists()


@pytest.mark.parametrize("what", ["away", "silent"])
def test_sync_lists_sends_and_says_what_stays(
    what: str,
    own_store: Path,
    record: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with silent_server() as silent:
        uri = silent if what == "silent" else f"http://127.0.0.1:{free_port()}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        log_evaluation(record)
        assert run(["sync", str(record.parent)]) == 3
        told = capsys.readouterr()
        assert f"{record}: evaluations: " in told.out and "operations) waited" in told.out
        assert "stays: evaluations: " in told.out and uri in told.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own_store / 'mlflow.db'}")
    assert run(["sync", str(record.parent), "--json"]) == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    assert folder["waited"] and not folder["stays"] and not folder["why"]
    assert run(["sync", str(record.parent)]) == 0
    assert "Nothing waits" in capsys.readouterr().out
    assert run(["sync", str(record / "no")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_the_figures_that_are_told_stand_beside_the_model_they_are_of(
    own_store: Path, record: Path
) -> None:
    client = store.connect().MlflowClient()
    made = client.create_run(store.experiment("trainings"))
    model = client.create_logged_model(
        experiment_id=made.info.experiment_id, name="m", source_run_id=made.info.run_id
    )
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(made.info.run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    path = record / EVALUATION_FILE
    raw = json.loads(path.read_text())
    raw["model"]["mlflow_run_id"] = made.info.run_id
    path.write_text(json.dumps(raw))
    sent = log_evaluation(record)
    run_metrics = client.get_run(sent.run_id).data.metrics
    told = {one.key: one.value for one in client.get_logged_model(model.model_id).metrics}
    assert 0 < len(told) <= 30 and told == pytest.approx(dict(run_metrics))
