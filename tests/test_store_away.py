"""A store that is away, silent or broken is said in one sentence within seconds, by every verb."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.core import reach, store
from qa_suite.core.outbox.lines import OUTBOX_FILE
from qa_suite.core.reach import StoreAway, require_answer, without_secrets
from tests.advice_graph import reached, verb_functions
from tests.dashboard_pages import page, unescaped
from tests.mlflow_server import free_port
from tests.outbox_cases import quick, silent_server, stub_server
from tests.store_verbs import VERBS, make_home

__all__ = ["quick"]

SENTENCE_S = 5.0
"""Within which it is said; waits are shortened here, and the machine may be busy."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


def test_every_verb_is_here_that_speaks_to_mlflow() -> None:
    asks = ("qa_suite.core.store", "connect")
    speaking = {name for name, key in verb_functions().items() if asks in reached(key)}
    here = {name.split()[0] for name in VERBS}
    assert here <= speaking | {"list"}, "list finds its kinds by a table"
    elsewhere = {"utility", "audit", "compare"}  # load and log as evaluate does
    never = {"verify"}  # reads histories of records, never the store's
    assert speaking - here <= elsewhere | never


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("what", ["away", "silent"])
def test_every_verb_says_so_and_goes_on_where_it_can(
    verb: str,
    what: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from qa_suite.evaluation.tracking import log_evaluation

    monkeypatch.chdir(home)
    words, status = VERBS[verb]
    said_after: list[float] = []
    real = reach._trouble
    with silent_server() as silent:
        uri = silent if what == "silent" else f"http://127.0.0.1:{free_port()}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        if verb == "sync" and not (home / "waiting" / "one" / OUTBOX_FILE).exists():
            log_evaluation(home / "waiting" / "one")

        def timed(asked: str) -> str | None:
            started = time.monotonic()
            found = real(asked)
            said_after.append(time.monotonic() - started)
            return found

        monkeypatch.setattr(reach, "_trouble", timed)
        assert run([word.format(what=what) for word in words]) == status
    told = capfd.readouterr()
    text = told.out + told.err + caplog.text
    assert "internal error" not in text and "Traceback" not in text
    assert "127.0.0.1" in text or "did not answer" in text
    assert text.count("MLflow at http") + text.count("cannot be used (") <= 2
    assert sum(said_after) < SENTENCE_S, "nobody waits for it twice"


# ------------------------------------------------------------------ knocking


def trouble(uri: str) -> str:
    reach.forget()
    with pytest.raises(StoreAway) as caught:
        require_answer(uri)
    return str(caught.value)


def test_the_promised_seconds_are_those_that_are_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reach.CONNECT_S + reach.ANSWER_S <= SENTENCE_S
    with silent_server() as uri:
        started = time.monotonic()
        assert "did not answer within 3 s" in trouble(uri)
        assert time.monotonic() - started < SENTENCE_S
        started = time.monotonic()
        with pytest.raises(StoreAway):
            require_answer(uri)
        assert time.monotonic() - started < 0.1, "what is known is not waited for again"


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found"])
def test_any_answer_is_an_answer_also_a_slow_one(status: bytes, quick: None) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    with stub_server(answer, wait_s=0.1) as uri:
        require_answer(uri)


@pytest.mark.parametrize("answer", [b"", b"\x00\x01\x02", b"HTTP/1.1 two hundred\r\n\r\n"])
def test_what_is_no_answer_is_said(answer: bytes, quick: None) -> None:
    with stub_server(answer) as uri:
        assert "cannot be used" in trouble(uri)


@pytest.mark.parametrize(
    "uri", ["http://", "http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:port"]
)
def test_what_is_no_address_is_said(uri: str, quick: None) -> None:
    assert "it is no address" in trouble(uri)


def test_a_password_is_not_repeated() -> None:
    assert (
        without_secrets("https://me:secret@host:5000/mlflow?token=x") == "https://host:5000/mlflow"
    )
    assert "secret" not in trouble(f"http://me:secret@127.0.0.1:{free_port()}")


def broken(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def a_folder(path: Path) -> None:
    path.mkdir()


def held(path: Path) -> None:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    HELD.append(connection)


HELD: list[sqlite3.Connection] = []


@pytest.mark.parametrize("spoil", [broken, a_folder, held])
def test_a_local_store_that_cannot_be_written_is_said_at_once(
    spoil: Callable[[Path], None], tmp_path: Path, quick: None
) -> None:
    path = tmp_path / "mlflow.db"
    spoil(path)
    started = time.monotonic()
    assert str(path) in trouble(f"sqlite:///{path}")
    assert time.monotonic() - started < 2
    while HELD:
        HELD.pop().close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, quick: None) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written" in trouble(f"sqlite:///{tmp_path / 'mlflow.db'}")
    tmp_path.chmod(0o700)


def test_the_dashboards_page_says_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with silent_server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        shown = page("overview")
        assert not shown.exception
        assert f"The MLflow store {uri} cannot be used" in unescaped(shown.warning[0].value)
    assert store.tracking_uri() == uri
