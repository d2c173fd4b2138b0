"""Programs that the suite starts: bounded in time, and none of them outlives its call.

A program may start others, put them into sessions of their own and hold on to its output. So
every program gets a mark in its environment, which all that come from it inherit; when the
call ends, for whatever reason, everything that carries the mark is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

MARK = "QA_SUITE_CALL"
"""Environment variable that marks what a call has started."""

_GRACE_S = 2.0  # between asking a program to end and ending it
_KILLS = 5
_GIT_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 30.0  # of a command that stops what runs elsewhere, such as a container


class TimedOut(TimeoutError):
    """A program did not end within its time; it and all that it started were ended."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended, and what it said."""

    status: int
    stdout: str
    stderr: str


def run(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stop: Sequence[str] | None = None,
) -> Ended:
    """Run a program to its end and leave nothing of it behind.

    Parameters
    ----------
    arguments
        Program and arguments; no shell is between.
    timeout_s
        Seconds until it is ended.
    environment
        Its whole environment; by default that of this process.
    folder
        Where it runs; by default where this process does.
    stop
        A command that ends what the program had others run, such as ``docker kill NAME``; it
        is run where the program did not end by itself.

    Returns
    -------
    Ended
        Its exit status (negative: the signal that ended it) and its words.

    Raises
    ------
    TimedOut
        If it took longer.
    OSError
        If it cannot be started.
    """
    # Files, not pipes: a grandchild that keeps a pipe open would keep us waiting for its end.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with started(
            arguments, environment=environment, folder=folder, stop=stop, stdout=out, stderr=err
        ) as program:
            try:
                status = program.wait(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                raise TimedOut from None
        words = []
        for stream in (out, err):
            stream.seek(0)
            words.append(stream.read().decode(errors="replace"))
    return Ended(status=status, stdout=words[0], stderr=words[1])


@contextlib.contextmanager
def started(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stop: Sequence[str] | None = None,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and end it with all that it started when the block is left.

    Whoever ends this process by SIGTERM ends the program with it.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    mark = uuid.uuid4().hex
    program = subprocess.Popen(
        list(arguments),
        env={**(os.environ if environment is None else environment), MARK: mark},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        with _ended_by_sigterm():
            yield program
    finally:
        if program.poll() != 0 and stop is not None:
            _stop_elsewhere(stop)
        _end_all(program, mark)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exit that unwinds, so that what was started is ended too."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may choose what a signal does
        return

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _stop_elsewhere(command: Sequence[str]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_STOP_TIMEOUT_S,
        )


def _end_all(program: subprocess.Popen[bytes], mark: str) -> None:
    """Ask everything of a call to end, and end what does not."""
    import psutil

    running = _marked(program, mark)
    if running:
        for process in running:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(running, timeout=_GRACE_S)
    for _ in range(_KILLS):  # again: one may have started another meanwhile
        if not (running := _marked(program, mark)):
            break
        for process in running:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(running, timeout=_GRACE_S)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(timeout=_GRACE_S)


def _marked(program: subprocess.Popen[bytes], mark: str) -> list:
    """List what runs of a call: its process group, its descendants, whatever has the mark."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getpgid(process.pid) == program.pid or process.environ().get(MARK) == mark:
                found[process.pid] = process
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(program.pid).children(recursive=True):
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    return list(found.values())


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit checked out in ``folder`` and whether tracked files differ from it.

    Both are None where ``folder`` is not the top of a git checkout (an installed package).
    """
    if not (folder / ".git").exists():
        return None, None
    told = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = run(["git", "-C", str(folder), *words], timeout_s=_GIT_TIMEOUT_S)
        except (OSError, TimedOut):
            return None, None
        if done.status != 0:
            return None, None
        told.append(done.stdout.strip())
    return told[0], bool(told[1])
