"""A server that is slow or has no name, and one of several stores away: said at once, alone."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from benchmarks.store_away import silent, watched
from qa_suite.cli import run, store_watch
from qa_suite.core import reach, store
from qa_suite.core.reach import StoreAway, require_answer
from tests.advice_graph import reached, verb_functions
from tests.mlflow_server import free_port
from tests.outbox_cases import quick, silent_server
from tests.store_verbs import VERBS, make_home

__all__ = ["quick"]

PROMISED_S = 5.0
BUSY = 4  # how much longer a machine that others use may take


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


def away() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_every_verb_that_speaks_to_the_store_asks_at_its_start() -> None:
    asks = ("qa_suite.core.store", "connect")
    speaking = {name for name, key in verb_functions().items() if asks in reached(key)}
    finds_its_kinds_by_a_table, starts_a_process = "list", "dashboard"
    known = store_watch.GOES_ON | store_watch.NEEDS
    assert known - {finds_its_kinds_by_a_table, starts_a_process} == speaking - {"list"}
    assert not store_watch.GOES_ON & store_watch.NEEDS


def test_the_watch_over_a_whole_command(home: Path, tmp_path: Path) -> None:
    """A process of its own, since what is loaded before the store is asked is what takes long."""
    with silent() as uri:
        said, _, status = watched(VERBS["judge"][0], home, uri, tmp_path)
    assert said < BUSY * PROMISED_S and status == VERBS["judge"][1]


def away_within_the_promise(uri: str) -> None:
    reach.forget()
    began = time.monotonic()
    with pytest.raises(StoreAway, match="did not answer within"):
        require_answer(uri)
    assert time.monotonic() - began < PROMISED_S


def test_a_server_of_a_byte_now_and_then_is_away(quick: None) -> None:
    with silent(a_byte_every_s=0.3) as uri:
        away_within_the_promise(uri)


def test_a_server_whose_name_is_never_found_is_away(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def hangs(*words: object, **more: object) -> None:
        ended.wait()
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    away_within_the_promise("http://mlflow.nowhere.invalid:5000")
    ended.set()


def test_who_asks_meanwhile_waits_for_the_same_answer(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = reach._trouble
    monkeypatch.setattr(reach, "_trouble", lambda uri: asked.append(uri) or real(uri))
    with silent_server() as uri:
        thread = threading.Thread(target=store_watch._knock, args=(uri,))
        thread.start()
        while not asked:
            time.sleep(0.01)
        with pytest.raises(StoreAway):
            require_answer(uri, again=True)
        thread.join()
    assert asked == [uri]


@pytest.mark.parametrize(("words", "says"), [((), 1), (("--no-track",), 0)])
def test_an_evaluation_says_at_its_start_that_its_run_will_wait(
    words: tuple[str, ...],
    says: int,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    uri = away()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    out = f"out{len(words)}"
    assert run([*VERBS["evaluate oracle"][0], "--out", out, *words]) == 0
    said = capfd.readouterr().err
    assert said.count(f"The MLflow store {uri} cannot be used") == says
    assert said.count("goes on without it") == says
    if says:
        assert said.index("goes on without it") < said.index("takes nothing")


# ------------------------------------------------------------------ one of several stores


def test_a_registry_that_is_away_costs_what_needs_it_alone(
    own_store: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from reports.dashboard import store as shown

    monkeypatch.chdir(home)
    registry = away()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    assert run([*VERBS["evaluate oracle"][0], "--out", "with-registry-away"]) == 0
    assert "takes nothing" not in capfd.readouterr().err
    assert [one.status for one in shown.evaluations()] == ["FINISHED"]
    assert run(["judge", "with-registry-away", "--profile", "descriptive", "--json"]) == 3
    told = capfd.readouterr()
    assert "it did not answer" not in told.out and json.loads(told.out)
    assert run(["list", "models"]) == 2
    said = capfd.readouterr().err
    assert registry in said and "MLFLOW_REGISTRY_URI" in said and said.count("\n") == 1


def test_files_of_a_model_that_are_away_are_said_before_they_are_fetched(
    own_store: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    mlflow = store.connect()
    with silent_server() as files:
        experiment = mlflow.create_experiment("elsewhere", artifact_location=f"{files}/files")
        client = mlflow.MlflowClient()
        model = client.create_logged_model(experiment, name="m")
        client.create_registered_model("x")
        client.create_model_version("x", f"models:/{model.model_id}", model_id=model.model_id)
        began = time.monotonic()
        assert run(["translate", "models:/x/1", "cohort", "out"]) == 2
        assert time.monotonic() - began < BUSY * PROMISED_S
    said = capfd.readouterr().err
    assert f"The MLflow store {files} cannot be used" in said and "MLFLOW_TRACKING" not in said
