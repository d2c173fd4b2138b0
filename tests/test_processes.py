"""Programs that the suite starts: none of them, and nothing of theirs, outlives its call."""

from __future__ import annotations

import ast
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from qa_suite.core import processes
from tests.conftest import ROOT

CHILDREN = {
    "child": "subprocess.Popen(sleep)",
    "session": "subprocess.Popen(sleep, start_new_session=True)",
    "deaf": "subprocess.Popen([sys.executable, '-c', deaf])",
    "daemon": "subprocess.Popen([sys.executable, '-c', daemon]).wait()",
}
PROGRAM = """
import subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(60)', {token!r}]
sleep_on = 'time.sleep(60) #' + {token!r}
deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); ' + sleep_on
fork = 'if os.fork(): sys.exit()\\n'
daemon = 'import os, sys, time\\n' + fork + 'os.setsid()\\n' + fork + sleep_on
{start}
{then}
"""


@pytest.fixture(autouse=True)
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hears SIGTERM ends at once; nobody waits longer for one that is deaf."""
    monkeypatch.setattr(processes, "_GRACE_S", 0.25)


def alive(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or ())
        if token in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def program(tmp_path: Path, kind: str, then: str) -> tuple[list[str], str]:
    token = f"token-{kind}-{os.getpid()}-{time.monotonic_ns()}"
    path = tmp_path / "program.py"
    started = "open(sys.argv[1], 'w').close()"
    text = PROGRAM.format(token=token, start=f"{CHILDREN[kind]}\n{started}", then=then)
    path.write_text(text)
    return [sys.executable, str(path), str(tmp_path / "started"), token], token


@pytest.mark.parametrize("kind", list(CHILDREN))
def test_a_program_that_takes_too_long_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    words, token = program(tmp_path, kind, "time.sleep(60)")
    with pytest.raises(processes.TimedOut):
        processes.run(words, timeout_s=1.5)
    assert (tmp_path / "started").exists(), "it had not come to its child yet"
    assert alive(token) == []


@pytest.mark.parametrize("then", ["pass", "sys.exit(3)"], ids=["ends well", "fails"])
@pytest.mark.parametrize("kind", list(CHILDREN))
def test_one_that_ends_by_itself_leaves_nothing_behind(
    tmp_path: Path, kind: str, then: str
) -> None:
    words, token = program(tmp_path, kind, then)
    done = processes.run(words, timeout_s=30)
    assert done.status == (0 if then == "pass" else 3)
    assert alive(token) == []


def _interrupt_when(path: Path, number: int) -> threading.Thread:
    def watch() -> None:
        for _ in range(300):
            if path.exists():
                os.kill(os.getpid(), number)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_who_is_interrupted_takes_the_program_along(
    tmp_path: Path, number: int, raised: type[BaseException]
) -> None:
    words, token = program(tmp_path, "session", "time.sleep(60)")
    before = signal.getsignal(signal.SIGTERM)
    watcher = _interrupt_when(tmp_path / "started", number)
    with pytest.raises(raised):
        processes.run(words, timeout_s=60)
    watcher.join()
    assert alive(token) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_runs_elsewhere_is_stopped_by_its_own_command(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    stop = [sys.executable, "-c", f"open({str(stopped)!r}, 'w').close()"]
    with pytest.raises(processes.TimedOut):
        processes.run(
            [sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3, stop=stop
        )
    assert stopped.exists()
    stopped.unlink()
    processes.run([sys.executable, "-c", "pass"], timeout_s=30, stop=stop)
    assert not stopped.exists()


def test_its_words_and_status_come_back() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    done = processes.run([sys.executable, "-c", code], timeout_s=30)
    assert (done.status, done.stdout.strip(), done.stderr.strip()) == (7, "out", "err")
    with pytest.raises(OSError):
        processes.run(["/no/such/program"], timeout_s=1)


def test_every_program_is_started_by_the_one_helper() -> None:
    """Three that stay are no call: the dashboard, workers, and what reads strange files."""
    allowed = {
        "qa_suite/core/executors/processes.py",
        "qa_suite/core/apart.py",
        "qa_suite/core/processes.py",
        "reports/dashboard/__init__.py",
    }
    found = set()
    for package in ("qa_suite", "translators", "reports"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    names = [f"{node.value.id}.{node.attr}"]
                if {"subprocess", "os.system", "os.popen", "os.fork", "pty"} & set(names):
                    found.add(str(path.relative_to(ROOT)))
    assert found == allowed
