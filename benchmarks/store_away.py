"""When a command says that the MLflow store is away: ``python -m benchmarks.store_away``.

Each verb is started as a process of its own, beside a server that refuses connections, never
answers, answers a byte a second, or has a name that is never looked up. The watch runs from the
start of the process to its sentence.
"""

from __future__ import annotations

import argparse
import os
import platform
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mlflow_server import free_port
from tests.store_verbs import VERBS, make_home

ROOT = Path(__file__).resolve().parents[1]
SAID = ("cannot be used (", "takes nothing (", "did not answer")
NAME = "mlflow.nowhere.invalid"
_NO_NAMES = f"""
import socket, time
real = socket.getaddrinfo
def hangs(host, *words, **more):
    if host == {NAME!r}:
        time.sleep(3600)
    return real(host, *words, **more)
socket.getaddrinfo = hangs
"""
_LONGEST_S = 90.0


@contextmanager
def silent(a_byte_every_s: float | None = None) -> Iterator[str]:
    """A server that takes connections, and answers never or one byte at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()
        taken: list[socket.socket] = []

        def drip(one: socket.socket) -> None:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK":
                if ended.wait(a_byte_every_s):
                    return
                try:
                    one.send(bytes([byte]))
                except OSError:
                    return

        def serve() -> None:
            while not ended.is_set():
                try:
                    one, _ = server.accept()
                except TimeoutError:
                    continue
                taken.append(one)
                if a_byte_every_s is not None:
                    threading.Thread(target=drip, args=(one,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        thread.join()
        for one in taken:
            one.close()


@contextmanager
def refused() -> Iterator[str]:
    """An address at which nobody listens."""
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def nameless() -> Iterator[str]:
    """A server whose name is looked up for ever."""
    yield f"http://{NAME}:5000"


SERVERS = {"refused": refused, "silent": silent, "slow": lambda: silent(1.0), "no name": nameless}


def watched(words: list[str], home: Path, uri: str, hooks: Path) -> tuple[float, float, int]:
    """Return seconds to the sentence and to the end, and the exit status (-9: too long)."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "PYTHONPATH": os.pathsep.join(map(str, (hooks, ROOT))),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    began, said, text = time.monotonic(), float("nan"), ""
    with (
        subprocess.Popen(
            [sys.executable, "-m", "qa_suite.cli", *words],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
        selectors.DefaultSelector() as ready,
    ):
        assert process.stdout is not None
        ready.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() - began < _LONGEST_S:
            if not ready.select(0.05):
                continue
            found = os.read(process.stdout.fileno(), 65536)
            if not found:
                break
            text += " ".join(found.decode(errors="replace").split()) + " "
            if said != said and any(one in text for one in SAID):
                said = time.monotonic() - began
        else:
            process.kill()
        status = process.wait()
    return said, time.monotonic() - began, status


def main() -> int:
    """Measure, print a table, and return 1 where a sentence came after five seconds or never."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default="", help="a part of the verbs' names")
    asked.add_argument("--servers", default=",".join(SERVERS))
    said = asked.parse_args()
    print(f"host {platform.node()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| Command | Server | Sentence (s) | End (s) | Exit status |\n|---|---|---|---|---|")
    late = 0
    with tempfile.TemporaryDirectory() as place:
        hooks = Path(place) / "hooks"
        hooks.mkdir()
        (hooks / "sitecustomize.py").write_text(_NO_NAMES)
        make_home(Path(place) / "home")
        for verb, (words, _) in VERBS.items():
            if said.only not in verb:
                continue
            for number, what in enumerate(said.servers.split(",")):
                with SERVERS[what]() as uri:
                    found = watched(
                        [word.format(what=number) for word in words],
                        Path(place) / "home",
                        uri,
                        hooks,
                    )
                late += not found[0] <= 5
                print(
                    f"| {verb} | {what} | {found[0]:.1f} | {found[1]:.1f} | {found[2]} |",
                    flush=True,
                )
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
