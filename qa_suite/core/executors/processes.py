"""Several processes of this machine, each with tools, a thread and a GPU of its own.

One that is ended, by whomever, is replaced; its job is done again by :class:`Trials`' rules.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from qa_suite.core.errors import Unfinished
from qa_suite.core.executors import worker
from qa_suite.core.executors.jobs import Done, Job, Kit, Trials
from qa_suite.core.executors.share import environment_of
from qa_suite.core.executors.travel import packed

_STILLBORN = 3
"""So many workers in a row that end while they make their tools end the run."""
_GRACE_S = 5.0


class Processes:
    """Does jobs in so many processes; started when there is work for them, ended with the block."""

    def __init__(self, kit: Kit, workers: int) -> None:
        self._kit = packed(kit, "What the workers need")
        self._workers = [_Worker(environment_of(n, workers)) for n in range(workers)]
        self._stillborn = 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for one in self._workers:
            one.dismiss(at_once=kind is not None or one.job is not None)
        for one in self._workers:
            one.await_end()

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Do every job; see :class:`~qa_suite.core.executors.jobs.Executor`."""
        trials = Trials(jobs)
        try:
            while trials or self._busy():
                self._hand_out(trials)
                ready = {one.connection: one for one in self._busy()}
                for connection in wait(list(ready)):
                    done = self._heard(ready[connection], trials)  # type: ignore[index]
                    if done is not None:
                        self._hand_out(trials)  # before whoever asked looks at the answer
                        yield done
        finally:
            for one in self._busy():  # nobody waits for these any more
                one.dismiss(at_once=True)
                one.await_end()

    def _busy(self) -> list[_Worker]:
        return [one for one in self._workers if one.job is not None]

    def _hand_out(self, trials: Trials) -> None:
        for one in self._workers:
            if one.job is None:
                job = trials.take(len(self._busy()))
                if job is None:
                    return
                one.begin(job, self._kit)

    def _heard(self, one: _Worker, trials: Trials) -> Done | None:
        """Take what a worker says; None where no job is done by it."""
        job = one.job
        assert job is not None
        try:
            said, answer, error = one.listen()
        except (EOFError, OSError):
            return self._lost(one, job, trials)
        if said == worker.MADE:
            one.has_tools, self._stillborn = True, 0
            return None
        if said == worker.NOT_MADE:
            raise error
        one.job = None
        trials.ended(job)
        return Done(name=job.name, answer=answer, error=error)

    def _lost(self, one: _Worker, job: Job, trials: Trials) -> Done | None:
        had_tools, how = one.has_tools, one.await_end()
        if had_tools:
            return trials.died(job, how)
        trials.put_back(job)
        self._stillborn += 1
        if self._stillborn < _STILLBORN:
            return None
        raise Unfinished(
            f"The workers end before they can begin ({how}, {_STILLBORN} times in a row); when "
            f"that is mended (with less at a time: --workers 1), the same command carries on."
        )


class _Worker:
    """One place for a worker, with the process that holds it now, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.job: Job | None = None
        self.has_tools = False
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        assert self._connection is not None
        return self._connection

    def begin(self, job: Job, kit: bytes) -> None:
        """Give it a job; start its process where it has none."""
        words = packed((job.function, job.task), f"The work {job.name}")
        if self._process is not None and self._process.poll() is not None:
            self.await_end()  # it was ended while it had nothing to do
        self.job = job
        # one that dies meanwhile is noticed when its answer is awaited
        with contextlib.suppress(OSError):
            if self._process is None:
                self._start()
                self.connection.send_bytes(kit)
            self.connection.send_bytes(words)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        here = str(Path.cwd())
        places = os.pathsep.join(place or here for place in sys.path)
        environment = {**os.environ, **self._environment, "PYTHONPATH": places}
        with ours, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", worker.__name__, str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what libraries print is no answer of the command
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches us alone, and we end it
            )
            self._connection = Connection(ours.detach())

    def listen(self) -> tuple[str, Any, Any]:
        """Return what it says: a word, an answer and an error."""
        said: tuple[str, Any, Any] = pickle.loads(self.connection.recv_bytes())
        return said

    def dismiss(self, *, at_once: bool) -> None:
        """Let it go: it ends when it notices that nobody asks any more, or is ended."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if at_once and self._process is not None:
            self._process.terminate()

    def await_end(self) -> str:
        """Wait until it has ended, and end it where it does not; return how it ended."""
        self.dismiss(at_once=False)
        self.job, self.has_tools = None, False
        process, self._process = self._process, None
        if process is None:
            return "it was never there"
        try:
            status = process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"
