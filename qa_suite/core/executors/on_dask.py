"""Workers of dask: the same jobs, handed out one a worker, so that a death is one job's.

The scheduler is trusted with handing out and nothing else. Whether a job whose worker died is
done again is decided by :class:`~qa_suite.core.executors.jobs.Trials`, here as for processes.
"""

from __future__ import annotations

import os
import pickle
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, WorkerPlugin

from qa_suite.core.errors import InputError, QAError, Unfinished
from qa_suite.core.executors.clusters import Cluster, require_open
from qa_suite.core.executors.jobs import Done, Job, Kit, Trials
from qa_suite.core.executors.share import VISIBLE, gpus, one_thread
from qa_suite.core.executors.travel import attempt, fit_to_travel, packed
from qa_suite.core.executors.worker import DONE, NOT_MADE
from qa_suite.core.failures import why
from qa_suite.core.suite import SuiteCode, package_versions, suite_code

_LOOK_S = 0.25
_FETCH_S = 10.0
_GONE_S = 15.0
_LOST = "the scheduler lost it"

# ---------------------------------------------------------------------------------------
# On the side that asks


class OnDask:
    """Does jobs on a cluster; opened with the first call, left with the block."""

    def __init__(self, kit: Kit, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tools = _Tools(packed(kit, "What the workers need"))
        self._stack = ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> OnDask:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Do every job; see :class:`~qa_suite.core.executors.jobs.Executor`."""
        if self._client is None:
            self._client = self._stack.enter_context(self._cluster.opened())
            self._client.register_plugin(self._tools)
        call = _Call(self._client, self._cluster, self._tools.name, jobs)
        try:
            yield from call.done()
        finally:
            call.leave()


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A job that a worker has: one worker has one, so that its death is that job's."""

    job: Job
    future: Future
    worker: str


class _Call:
    """One call: what waits, who does what, and how the cluster is."""

    def __init__(self, client: Client, cluster: Cluster, tools: str, jobs: Sequence[Job]) -> None:
        self._client, self._cluster, self._tools = client, cluster, tools
        self._trials = Trials(jobs)
        self._running: dict[str, _Running] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._workers: dict[str, str] = {}
        self._heard_of = self._manned = time.monotonic()

    def done(self) -> Iterator[Done]:
        while self._trials or self._running:
            self._look()
            yield from self._dead()
            self._hand_out()
            try:
                found = self._heard(self._ended.get(timeout=_LOOK_S))
            except queue.Empty:
                continue
            if found is not None:
                self._hand_out()  # before whoever asked looks at the answer
                yield found

    def leave(self) -> None:
        """Take back what nobody waits for any more."""
        with suppress(Exception):
            self._client.cancel([one.future for one in self._running.values()], force=True)

    def _hand_out(self) -> None:
        busy = {one.worker for one in self._running.values()}
        ready = {worker for worker, how in self._workers.items() if how == "running"}
        for worker in sorted(ready - busy):
            job = self._trials.take(len(self._running))
            if job is None:
                return
            words = packed((job.function, job.task), f"The work {job.name}")
            key = f"qa-suite-{uuid.uuid4().hex}"
            future = self._client.submit(
                do, self._tools, words, key=key, pure=False, workers=[worker]
            )
            self._running[key] = _Running(job=job, future=future, worker=worker)
            future.add_done_callback(lambda ended: self._ended.put(ended.key))

    def _dead(self) -> Iterator[Done]:
        """Take the jobs of workers that are gone; yield those that are given up."""
        for key, one in list(self._running.items()):
            if one.worker not in self._workers and one.future.status == "pending":
                del self._running[key]
                with suppress(Exception):
                    one.future.cancel(force=True)
                if (given_up := self._trials.died(one.job, _LOST)) is not None:
                    yield given_up

    def _heard(self, key: str) -> Done | None:
        one = self._running.pop(key, None)
        if one is None:
            return None
        job, future = one.job, one.future
        if future.status == "cancelled":  # the scheduler is gone, or somebody else did it
            self._trials.put_back(job)
            return None
        try:
            said, answer, error = pickle.loads(future.result(timeout=_FETCH_S))
        except KilledWorker:
            return self._trials.died(job, _LOST)
        except (OSError, TimeoutError, CancelledError):  # it was done, and its worker died then
            self._trials.put_back(job)
            return None
        except Exception as failure:
            raise InputError(
                f"The workers of {self._cluster.name} cannot do the work ({why(failure)[:200]}); "
                f"install the same qa-suite on all of them."
            ) from None
        if said == NOT_MADE:
            raise error
        self._trials.ended(job)
        return Done(name=job.name, answer=answer, error=error)

    def _look(self) -> None:
        """See who is there; a dead cluster ends the call, whose work so far is kept."""
        now = time.monotonic()
        try:
            if self._client.status == "running":
                self._workers = require_open(self._client, self._cluster.name)
                self._heard_of = now
        except (OSError, TimeoutError, RuntimeError):
            pass
        if now - self._heard_of > _GONE_S or self._client.status == "closed":
            raise Unfinished(
                f"Nothing is heard of {self._cluster.name} any more; what was done is kept, and "
                f"when it runs again, the same command does the rest."
            )
        if self._workers:
            self._manned = now
        patience = self._cluster.patience_s
        if patience is not None and now - self._manned > patience:
            raise Unfinished(
                f"There was no worker of {self._cluster.name} for {patience:.0f} s; start some "
                f"with 'dask worker --nthreads 1', and the same command does the rest."
            )


# ---------------------------------------------------------------------------------------
# On the side of a worker

_KITS: dict[str, _Tools] = {}
_TURN = threading.Lock()


class _Tools(WorkerPlugin):
    """What each worker is given when it joins; the tools are made with its first job."""

    def __init__(self, kit: bytes) -> None:
        self.name = f"qa-suite-{uuid.uuid4().hex}"
        self._kit = kit
        self._code, self._packages = suite_code(), package_versions()
        self._folder = str(Path.cwd())
        self._made: list[Any] = []

    def setup(self, worker: Any) -> None:
        """Keep what is given, and take a GPU; dask calls this."""
        known = gpus()
        if isinstance(worker.name, int) and len(known) > 1:  # workers of this machine's own
            os.environ[VISIBLE] = known[worker.name % len(known)]
        _KITS[self.name] = self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": []}

    def here(self) -> Any:
        """Return the tools of this worker."""
        if not self._made:
            try:
                self._require_same_code(suite_code(), package_versions())
                kit = pickle.loads(self._kit)
                self._made.append(kit.make(kit.material))
            except QAError as error:
                raise InputError(
                    f"The worker on {socket.gethostname()} cannot begin: {error}"
                ) from error
        return self._made[0]

    def folder(self) -> str:
        """Return where the command was started, which a worker must see under the same name."""
        if not Path(self._folder).is_dir():
            raise InputError(
                f"The worker on {socket.gethostname()} does not see {self._folder}; cohort, models "
                f"and evaluation must lie on a disk that all machines share, under one path."
            )
        return self._folder

    def _require_same_code(self, code: SuiteCode, packages: dict[str, str]) -> None:
        if code != self._code:
            raise InputError(
                f"it runs qa-suite {code.words}, and the command {self._code.words}; install the "
                f"same on all machines."
            )
        differ = sorted(
            f"{name} {packages.get(name)} (not {self._packages.get(name)})"
            for name in {*packages, *self._packages}
            if packages.get(name) != self._packages.get(name)
        )
        if differ:
            raise InputError(f"it has other packages: {', '.join(differ)}.")


def do(tools: str, words: bytes) -> bytes:
    """Do one job on a worker; return what it says, its answer and its error, as they travel."""
    with _TURN, one_thread():
        said, answer, error = _done(_KITS[tools], words)
    sent = None if error is None else fit_to_travel(error)
    try:
        return pickle.dumps((said, answer, sent), protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as unfit:
        return pickle.dumps((DONE, None, RuntimeError(f"its answer cannot travel: {why(unfit)}")))


def _done(kit: _Tools, words: bytes) -> tuple[str, Any, Exception | None]:
    folder, error = attempt(kit.folder)
    if error is not None:
        return NOT_MADE, None, error
    with chdir(folder):
        tools, error = attempt(kit.here)
        if error is not None:
            return NOT_MADE, None, error
        function, task = pickle.loads(words)
        answer, error = attempt(lambda: function(tools, task))
    return DONE, answer, error
