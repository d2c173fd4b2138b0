"""A worker process: makes its tools once, then does one job after another.

It is started as a program of its own, not by a fork (torch and numba do not survive one) and not
by importing the caller's script again. It speaks with the process that asked over one socket, and
ends when the other side is gone, also in the middle of a job.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

MADE, DONE, NOT_MADE = "made", "done", "not made"
"""What a worker says: its tools are there; a job's answer and error; why there are no tools."""

_GRACE_S = 2.0


def serve(handle: int) -> None:
    """Take a kit, then jobs, from the socket of a handle until nobody asks any more."""
    connection = Connection(handle)
    asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()
    busy.set()  # with making the tools
    threading.Thread(target=_listen, args=(connection, asked, busy), daemon=True).start()
    with contextlib.suppress(OSError, BrokenPipeError):
        _work(connection, asked, busy)


def _work(
    connection: Connection, asked: queue.SimpleQueue[bytes | None], busy: threading.Event
) -> None:
    from qa_suite.core.executors.travel import attempt, fit_to_travel
    from qa_suite.core.failures import why

    def told(*words: Any) -> None:
        connection.send_bytes(pickle.dumps(words, protocol=5))

    first = asked.get()
    if first is None:
        return

    def made() -> Any:
        kit = pickle.loads(first)
        return kit.make(kit.material)

    tools, error = attempt(made)
    if error is not None:
        told(NOT_MADE, None, fit_to_travel(error))
        return
    told(MADE, None, None)
    while True:
        busy.clear()
        words = asked.get()
        busy.set()
        if words is None:
            return
        answer, error = attempt(lambda words=words: _done(tools, words))  # type: ignore[misc]
        try:
            told(DONE, answer, None if error is None else fit_to_travel(error))
        except (pickle.PicklingError, TypeError, AttributeError) as unfit:
            told(DONE, None, RuntimeError(f"its answer cannot travel: {why(unfit)}"))


def _done(tools: Any, words: bytes) -> Any:
    function, task = pickle.loads(words)
    return function(tools, task)


def _listen(
    connection: Connection, asked: queue.SimpleQueue[bytes | None], busy: threading.Event
) -> None:
    """Hand on what is asked; when the other side is gone, end this process with what it does."""
    try:
        while True:
            asked.put(connection.recv_bytes())
    except (EOFError, OSError):
        asked.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # what was started for a job is ended by it too
        time.sleep(_GRACE_S)
        os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
