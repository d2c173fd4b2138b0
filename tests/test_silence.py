"""No process of the suite contacts anybody: no name is looked up, nothing leaves the loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qa_suite.imaging.kernel_files import FOLDER_VARIABLE, kernel_folder
from tests.conftest import ROOT
from tests.mlflow_server import free_port
from tests.tiny_cohort import make_tiny_cohort

GUARD = '''
"""Loaded by every Python process of a test: whoever reaches out is written down and refused."""
import os
import socket

LOOPBACK = ("127.0.0.1", "::1", "localhost", "", None, "0.0.0.0", "::")


def refused(what, address):
    with open(os.environ["REACHED_OUT"], "a") as stream:
        stream.write(f"{what} {address}\\n")
    raise OSError(101, "Network is unreachable")


def guarded(name, where):
    real = getattr(socket.socket, name)

    def call(self, *words):
        address = where(words)
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            refused(name, address)
        return real(self, *words)

    setattr(socket.socket, name, call)


for name in ("connect", "connect_ex"):
    guarded(name, lambda words: words[0])
guarded("sendto", lambda words: words[-1])
look_up = socket.getaddrinfo


def getaddrinfo(host, *words, **more):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in LOOPBACK:
        refused("getaddrinfo", name)
    return look_up(host, *words, **more)


socket.getaddrinfo = getaddrinfo
for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
    setattr(socket, name, lambda *words, name=name: refused(name, words))
'''
CI = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "PYTEST_CURRENT_TEST", "JENKINS_URL", "TF_BUILD")
"""Where these are set MLflow's telemetry is silent by itself, and the test would show nothing."""


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    """The environment of a person's shell, with the guard in every Python process."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "home").mkdir()
    known = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "STREAMLIT"))}
    for name in (*CI, "DO_NOT_TRACK"):
        known.pop(name, None)
    return known | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "guard"), str(ROOT)]),
        "REACHED_OUT": str(tmp_path / "reached-out.txt"),
        "HOME": str(tmp_path / "home"),
        FOLDER_VARIABLE: str(kernel_folder() or ""),  # else the new home compiles every kernel
    }


def start(words: list[str], outside: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        env=outside,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def reached_out(outside: dict[str, str]) -> list[str]:
    path = Path(outside["REACHED_OUT"])
    return path.read_text().splitlines() if path.exists() else []


def test_the_guard_sees_what_it_is_to_see(outside: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import socket, urllib.request\n"
        "for ask in (lambda: urllib.request.urlopen('http://example.org/'),\n"
        "            lambda: socket.create_connection(('192.0.2.1', 80)),\n"
        "            lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9)),\n"
        "            lambda: socket.gethostbyname('example.org')):\n"
        "    try:\n        ask()\n    except OSError:\n        pass\n"
    )
    start(["-c", program], outside, tmp_path).communicate(timeout=60)
    words = [line.split()[0] for line in reached_out(outside)]
    assert words[0] == "getaddrinfo" and words[2:] == ["sendto", "gethostbyname"]
    assert len(words) == 4


@pytest.mark.slow
def test_training_and_command_line_contact_nobody(outside: dict[str, str], tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path / "cohort")
    for words in (
        ["train", "intensity", "cohort", "--name", "quiet"],
        ["evaluate", "cohort", "models:/quiet/1", "--families", "image"],
        ["list", "models"],
    ):
        process = start(["-m", "qa_suite.cli", *words], outside, tmp_path)
        said, _ = process.communicate(timeout=280)
        assert process.returncode == 0, said
        assert reached_out(outside) == [], words


@pytest.mark.slow
def test_the_dashboard_contacts_nobody(outside: dict[str, str], tmp_path: Path) -> None:
    import time
    import urllib.request

    port = free_port()
    words = ["-m", "qa_suite.cli", "dashboard", "--port", str(port), "--headless"]
    process = start(words, outside, tmp_path)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    assert page.status == 200
                break
            except OSError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.2)
        else:
            raise AssertionError("the dashboard did not start")
        assert reached_out(outside) == []
    finally:
        process.terminate()
        process.communicate(timeout=30)
