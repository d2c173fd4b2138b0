"""A scheduler and workers of dask as programs of their own, for tests and for the campaign."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}


@dataclass
class Programs:
    """A scheduler with its workers."""

    folder: Path
    address: str
    scheduler: subprocess.Popen[bytes]
    options: tuple[str, ...]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self, *more: str) -> None:
        """Start one that no nanny replaces; by default with one thread."""
        words = [self.address, "--no-nanny", *(more or ("--nthreads", "1")), *self.options]
        self.workers.append(program("worker", *words, "--local-directory", str(self.folder)))


def tls_options(folder: Path) -> tuple[str, ...]:
    """Return the options of certificates, for either program."""
    names = {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    return tuple(
        word for name, file in names.items() for word in (f"--tls-{name}", str(folder / file))
    )


@contextmanager
def cluster(folder: Path, options: Sequence[str] = ()) -> Iterator[Programs]:
    """Run a scheduler on this machine; on leaving it and its workers are ended."""
    file = folder / "scheduler.json"
    where = ("--host", f"{'tls' if options else 'tcp'}://127.0.0.1", "--port", "0")
    scheduler = program(
        "scheduler", *where, "--no-dashboard", "--scheduler-file", str(file), *options
    )
    running = Programs(folder, "", scheduler, tuple(options))
    try:
        wait_for(file.exists)
        import json

        running.address = json.loads(file.read_text())["address"]
        yield running
    finally:
        for one in (*running.workers, scheduler):
            one.kill()
            one.wait()


def program(kind: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
        env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
