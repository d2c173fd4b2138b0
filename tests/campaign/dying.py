"""Processes that die: at a rename of a file, before it or after it, or at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

NAMED = ("replace", "rename", "link")
"""Functions of os by which a file gets its name."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """When a process dies of SIGKILL: at its ``number``-th rename, or after so many seconds."""

    number: int = 0
    side: Literal["before", "after"] = "before"
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.seconds:
            return f"after {self.seconds:.3f} s"
        return f"{self.side} rename {self.number}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: its status (negative: a signal), its renames and its seconds."""

    status: int
    renames: int
    seconds: float


def in_process(action: Callable[[], int], death: Death | None = None, *, log: Path) -> Ended:
    """Run something in a process of its own, forked from here, that dies as is asked.

    Parameters
    ----------
    action
        What it does; what it returns is its exit status.
    death
        None lets it live.
    log
        What it says is appended here.
    """
    begun = time.perf_counter()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _act(action, death, log, write)
    os.close(write)
    timer = None
    if death is not None and death.seconds:
        timer = threading.Timer(death.seconds, _kill, (child,))
        timer.start()
    with os.fdopen(read, "rb") as stream:
        renames = len(stream.read())
    _, status = os.waitpid(child, 0)
    if timer is not None:
        timer.cancel()
    return Ended(
        status=os.waitstatus_to_exitcode(status), renames=renames,
        seconds=time.perf_counter() - begun,
    )  # fmt: skip


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _act(action: Callable[[], int], death: Death | None, log: Path, write: int) -> None:
    """Be the child: count renames into the pipe, and die at the one that is asked."""
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    count = 0

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def rename(*words: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            mine = death is not None and death.number == count
            if mine and death.side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*words, **more)
            os.write(write, b".")
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return rename

    for name in NAMED:
        setattr(os, name, watched(getattr(os, name)))
    status = 70
    try:
        status = action()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
