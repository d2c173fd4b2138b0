"""The tracking server never decides what is lost: noted first, sent once, whole in the end."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.outbox.file import Outbox, OutboxBusy
from qa_suite.core.outbox.folders import end_lost, outboxes_below, send_all, send_waiting
from qa_suite.core.outbox.lines import OUTBOX_FILE
from qa_suite.core.outbox.orphans import PROCESS_TAG, this_process
from qa_suite.core.outbox.runs import RUN_FILE, tracked_run
from qa_suite.core.outbox.telling import TELL
from tests.outbox_cases import (
    DIGEST,
    Killed,
    contents,
    killed_at,
    quick,
    saved_model,
    tell_everything,
)

__all__ = ["quick", "saved_model"]

AWAY = "http://127.0.0.1:9"  # nobody listens to the discard service


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)


def back(monkeypatch: pytest.MonkeyPatch, own_store: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own_store / 'mlflow.db'}")


def run_everything(folder: Path, saved: Path, *, resume: bool = False) -> None:
    with tracked_run("training", "all", folder, resume=resume) as run:
        tell_everything(run, saved)


def undisturbed(work: Path, saved: Path) -> dict:
    """What the store says where nothing goes wrong."""
    run_everything(work, saved)
    assert not (work / OUTBOX_FILE).exists()
    return contents()


def test_every_kind_of_operation_is_told_here(
    own_store: Path, tmp_path: Path, saved_model: Path
) -> None:
    with tracked_run("training", "all", tmp_path / "work") as run:
        tell_everything(run, saved_model)
        told = {kind for kind in TELL if run._outbox.noted(run._name, kind)}
    elsewhere = {"examined", "status", "figures", "orphan", "refused"}
    assert told == set(TELL) - elsewhere, "and these are told of evaluations, lost runs, refusals"
    found = contents()
    (one,) = found["training/all"]
    assert one["status"] == "FINISHED"
    assert len(one["params"]) == 120 and len(one["metrics"]["loss"]) == 600
    assert set(one["files"]) == {"c.json", "samples/a.png"} and one["datasets"] == ["tiny"]
    assert found["models"] == [("doubled", "1", [("t", "1")], "card")]
    assert one["tags"]["model_uri"] == "models:/doubled/1" and one["made"] == 1
    ((name, status, params, figures),) = found["training: logged models"]
    assert (name, len(params), figures) == ("model", 120, ["loss"]) and "READY" in status
    loaded = store.connect().pyfunc.load_model("models:/doubled/1")
    assert loaded.predict([2]) == [2]


@pytest.mark.slow
def test_killed_after_every_change_the_store_says_the_same_in_the_end(
    own_store: Path, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(own_store / "mlflow.db", tmp_path / "empty.db")
    expected = undisturbed(tmp_path / "undisturbed", saved_model)
    for number in range(1, 100):
        home = tmp_path / f"killed-{number}"
        home.mkdir()
        shutil.copy(tmp_path / "empty.db", home / "mlflow.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        work = home / "work"
        with killed_at(monkeypatch, number, told=True) as seen, contextlib.suppress(Killed):
            run_everything(work, saved_model)
        if len(seen) < number:
            break
        run_everything(work, saved_model, resume=True)
        assert contents() == expected, f"killed after {seen[-1]}, the {number}th change"
        assert not (work / OUTBOX_FILE).exists()
    assert {*seen} >= {"create_run", "log_outputs", "finalize_logged_model", "set_terminated"}
    assert len(seen) > 15, "every change was a place to be killed at"


def test_a_killed_training_that_nobody_resumes_is_ended(
    own_store: Path, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    with killed_at(monkeypatch, 4, told=True), pytest.raises(Killed):
        run_everything(work, saved_model)
    (one,) = contents()["training/all"]
    assert one["status"] == "RUNNING"
    (done,) = send_all([work])
    assert done.waited and not done.stays and not done.why
    (one,) = contents()["training/all"]
    assert one["status"] == "KILLED" and not (work / OUTBOX_FILE).exists()
    run_everything(work, saved_model, resume=True)
    (one,) = contents()["training/all"]
    assert one["status"] == "FINISHED", "one that is resumed goes on in its run"


def test_a_run_whose_process_and_folder_are_gone_is_ended(own_store: Path, tmp_path: Path) -> None:
    client = store.connect().MlflowClient()
    experiment = store.experiment("training")
    machine = this_process().split("-")[0]
    names = {"gone": f"{machine}-4194304-1.00", "here": this_process(), "there": "f" * 12 + "-1-1"}
    runs = {
        name: client.create_run(experiment, tags={PROCESS_TAG: process}).info.run_id
        for name, process in names.items()
    }
    assert end_lost() == 1
    found = {name: client.get_run(run).info.status for name, run in runs.items()}
    assert found == {"gone": "KILLED", "here": "RUNNING", "there": "RUNNING"}


def test_what_was_not_sent_is_sent_by_the_next_command(
    own_store: Path,
    tmp_path: Path,
    saved_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = undisturbed(tmp_path / "undisturbed", saved_model)
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)
    work = Path("mlruns") / "work" / "late"
    run_everything(work, saved_model)
    assert caplog.text.count("takes nothing") == 1 and f"'qa-suite sync {work}'" in caplog.text
    assert send_waiting() == [], "nobody answers: nothing is tried and nothing said"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'mlflow.db'}")
    (done,) = send_waiting()
    assert done.folder == work and done.models == ("models:/doubled/1",) and not done.stays
    assert contents() == expected
    assert sorted(p.name for p in work.iterdir()) == ["a.png", RUN_FILE]


def test_another_store_gets_all_of_it(
    own_store: Path, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(tmp_path / "undisturbed", saved_model)
    work = tmp_path / "work"
    with killed_at(monkeypatch, 9, told=True), pytest.raises(Killed):
        run_everything(work, saved_model)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'second.db'}")
    run_everything(work, saved_model, resume=True)
    assert contents() == expected


def test_a_run_that_was_deleted_in_the_middle_is_made_again(
    own_store: Path, tmp_path: Path, saved_model: Path
) -> None:
    with tracked_run("training", "all", tmp_path / "work") as run:
        run.metrics([("early", 1.0, 1, 0)])
        run.send(now=True)
        store.connect().delete_run(run.run_id)
        run.metrics([("late", 1.0, 1, 0)])
        assert run.send(now=True), "at once, not by the next command"
    (one,) = contents()["training/all"]
    assert set(one["metrics"]) == {"early", "late"} and one["status"] == "FINISHED"


def test_a_parameter_that_changed_is_told_as_a_tag(own_store: Path, tmp_path: Path) -> None:
    with tracked_run("training", "changed", tmp_path / "work") as run:
        run.params({"iterations": "10", "seed": "1"})
        run.params({"iterations": "20", "more": "x"})
    (one,) = contents()["training/changed"]
    assert one["params"] == {"iterations": "10", "seed": "1", "more": "x"}
    assert one["tags"]["qa.param.iterations"] == "20"


def test_a_part_is_sent_after_its_whole(
    own_store: Path, tmp_path: Path, away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "search"
    with (
        tracked_run("training", "search", work) as whole,
        tracked_run("training", "try", work / "try-0", parent=whole) as part,
    ):
        part.metrics([("loss", 1.0, 1, 0)])
    back(monkeypatch, own_store)
    (alone,) = send_all([work / "try-0"])
    assert alone.stays and "is not in the store yet" in alone.why[0]
    done = send_all(outboxes_below([tmp_path]))
    assert [one.folder for one in done] == [work, work / "try-0"]
    assert not any(one.stays for one in done)
    client = store.connect().MlflowClient()
    runs = {r.info.run_name: r for r in client.search_runs([store.experiment("training")])}
    assert runs["try"].data.tags["mlflow.parentRunId"] == runs["search"].info.run_id


# ------------------------------------------------------------------ the file


def test_one_process_at_a_time_has_it_open(tmp_path: Path) -> None:
    with Outbox(tmp_path):
        with pytest.raises(OutboxBusy, match="open in another process"):
            Outbox(tmp_path, wait_s=0.1)
        (done,) = send_all([tmp_path])
        assert done.why == ("a process that works there sends it itself",)
    Outbox(tmp_path).close()
    assert not (tmp_path / OUTBOX_FILE).exists(), "one in which nothing waits is removed"


def test_a_line_that_a_kill_cut_off_does_not_spoil_the_next(
    away: None, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)
    with tracked_run("training", "cut", tmp_path) as run:
        run.tags({"a": "1"})
    with (tmp_path / OUTBOX_FILE).open("a") as stream:
        stream.write('{"run": "cut o')
    with Outbox(tmp_path) as outbox:
        (run_,) = outbox.runs.values()
        before = len(run_.operations)
        outbox.note(run_.begin.identity[1], *run_.operations.values())
    text = (tmp_path / OUTBOX_FILE).read_text()
    assert all(json.loads(line) for line in text.splitlines()) and "cut o" not in text
    with Outbox(tmp_path) as outbox:
        assert len(next(iter(outbox.runs.values())).operations) == before


def test_a_number_that_is_none_comes_back(away: None, tmp_path: Path) -> None:
    with tracked_run("training", "nan", tmp_path) as run:
        run.metrics([("loss", float("nan"), 1, 1), ("big", float("inf"), 1, 1)])
        run.model_folder("x", DIGEST)
    with Outbox(tmp_path) as outbox:
        rows = outbox.noted(next(iter(outbox.runs)), "metrics")[0]
    assert [row[1] for row in rows] == ["nan", "inf"]


def test_a_full_disk_does_not_end_a_training(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with tracked_run("training", "full", tmp_path / "work") as run:
        with monkeypatch.context() as patch:
            patch.setattr("qa_suite.core.outbox.file._write_all", full)
            run.metrics([("loss", 1.0, 1, 1)])
        run.metrics([("loss", 0.5, 2, 2)])
    (one,) = contents()["training/full"]
    assert one["metrics"]["loss"] == [(0.5, 2), (1.0, 1)]


def test_a_folder_that_cannot_be_written_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="cannot be written"),
        tracked_run("training", "x", tmp_path / "file" / "work"),
    ):
        pass
