"""An MLflow tracking server in a process of its own, to be silenced and killed by tests.

Loading MLflow's server takes seconds: it is loaded once, in a process that forks the servers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 90
"""After which a forgotten server ends by itself."""


class Nursery:
    """A process that has loaded MLflow's server and forks one for every line it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def fork(self, folder: Path, port: int) -> int:
        """Return the process id of a new server."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(folder), port]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()  # the end of its input is the end of it


class Server:
    """A server on a free port of the loopback, over a store in a folder."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder, self.nursery = folder, nursery
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.pid = self.nursery.fork(self.folder, self.port)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    def fall_silent(self) -> None:
        """Let it take connections and answer none."""
        os.kill(self.pid, signal.SIGSTOP)

    def speak(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def die(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(folder: str, port: int) -> None:
    signal.alarm(SECONDS)
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/artifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    from mlflow.server import app
    from werkzeug.serving import make_server

    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


def _nurse() -> None:
    import mlflow.server  # noqa: F401  loaded here, and so in every child
    import werkzeug.serving  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _serve(*json.loads(line))
        print(child, flush=True)


if __name__ == "__main__":
    _nurse()
