"""A process that is killed while it sends to a server: the next one completes what it began.

The kill is the kernel's and the server a process of its own, so that nothing is closed, flushed
or taken back; the sender is a fork, since loading MLflow takes seconds.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qa_suite.cli import run
from qa_suite.core import reach, store
from qa_suite.core.outbox.lines import OUTBOX_FILE
from qa_suite.core.outbox.telling import TELL
from qa_suite.evaluation.tracking import log_evaluation
from tests.mlflow_server import Nursery, Server
from tests.outbox_cases import contents
from tests.record_factory import make_record


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.end()


@pytest.fixture
def serve(
    tmp_path: Path, _empty_database: Path, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Server]]:
    """Start servers, each over an empty store of its own, and speak to the last one."""
    started: list[Server] = []

    def start(name: str) -> Server:
        home = tmp_path / f"server-{name}"
        home.mkdir()
        shutil.copy(_empty_database, home / "mlflow.db")
        started.append(Server(home, nursery))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", started[-1].uri)
        reach.forget()
        return started[-1]

    yield start
    for server in started:
        server.die()


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(kind: str) -> None:
    """Be killed when the server has taken an operation of a kind, before that is noted."""
    real = TELL[kind]

    def tell(place: Any, operation: Any) -> None:
        real(place, operation)
        die()

    TELL[kind] = tell


def die_within_a_file() -> None:
    """Be killed when the server has been promised a file, before all of it is sent."""
    real = TELL["file"]

    def tell(place: Any, operation: Any) -> None:
        send = http.client.HTTPConnection.send

        def begin(self: Any, data: Any) -> None:
            send(self, data)
            die()

        http.client.HTTPConnection.send = begin  # type: ignore[method-assign]
        real(place, operation)

    TELL["file"] = tell


def killed_in_a_fork(prepare: Callable[[], None], work: Callable[[], Any]) -> None:
    child = os.fork()
    if child == 0:
        prepare()
        work()
        os._exit(0)  # it was to be killed before
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.slow
def test_killed_between_any_two_operations_the_store_says_the_same_in_the_end(
    tmp_path: Path, serve: Callable[[str], Server]
) -> None:
    record = tmp_path / "evaluations" / "one"
    make_record(record, patients_by_site={"A": 3, "B": 1}, keep=False)
    serve("undisturbed")
    log_evaluation(record)
    expected = contents()
    (evaluated,) = next(runs for name, runs in expected.items() if name.startswith("evaluations/"))
    assert evaluated["status"] == "FINISHED" and evaluated["metrics"] and evaluated["files"]
    ways = {f"after {kind}": lambda kind=kind: die_after(kind) for kind in WAYS}
    ways["within a file"] = die_within_a_file
    for name, prepare in ways.items():
        serve(name.replace(" ", "-"))
        killed_in_a_fork(prepare, lambda: log_evaluation(record))
        assert statuses() == ["RUNNING"], f"{name}: not whole yet"
        assert run(["sync", str(record)]) == 0
        assert contents() == expected, f"killed {name}"
        assert not (record / OUTBOX_FILE).exists()


def statuses() -> list[str]:
    client = store.connect().MlflowClient()
    return [one.info.status for one in client.search_runs([store.experiment("evaluations")])]


WAYS = ("tags", "params", "figures", "file")
