"""What is to be done, and what came of it, whoever does it.

A verb says its work as jobs: a function that stands in a module, and a task for it. Each worker
makes its *tools* once (a translator, an examiner's network) and takes one job after another; the
one process that asked takes the answers and alone writes. So the answers depend on the jobs and
on nothing else: not on how many workers there are, where they run or which of them is ended.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from qa_suite.core.errors import PassingFailure
from qa_suite.core.wording import count

MOST_DEATHS = 3
"""A job that ended its worker so often, the last time with nothing beside it, is given up."""


@dataclass(frozen=True, kw_only=True)
class Kit:
    """How a worker makes its tools: a function that stands in a module, and what it is given.

    What is given travels to other processes, and perhaps to other machines; a network never does:
    what holds one must travel as the address that it is loaded from.
    """

    make: Callable[[Any], Any]
    material: Any = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of work: ``function(tools, task)``, a function that stands in a module.

    ``name`` tells it from the others of the same call.
    """

    name: str
    function: Callable[[Any, Any], Any]
    task: Any


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a job gave: its answer, or the error that it raised or that its worker died of."""

    name: str
    answer: Any = None
    error: Exception | None = None


class WorkerDied(PassingFailure):
    """A job whose workers ended with it, time and again; it says nothing about its data."""


class Executor(AbstractContextManager["Executor", None], Protocol):
    """Whoever does jobs. Inside its block it may be asked several times; leaving ends its workers.

    The tools are made once a worker; what making them raises is raised by :meth:`run`.
    """

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Do every job once and yield what it gave, in the order in which they end.

        Raises
        ------
        QAError
            If the tools cannot be made.
        Unfinished
            If no worker can be kept at work; what was yielded before is done.
        """
        ...


def in_order(executor: Executor, jobs: Sequence[Job]) -> Iterator[Any]:
    """Do jobs and yield their answers in the order in which they were asked for.

    Raises
    ------
    Exception
        Whatever a job raised, as soon as it did.
    """
    waiting: dict[str, Any] = {}
    wanted = iter([job.name for job in jobs])
    next_ = next(wanted, None)
    for done in executor.run(jobs):
        if done.error is not None:
            raise done.error
        waiting[done.name] = done.answer
        while next_ in waiting:
            yield waiting.pop(next_)
            next_ = next(wanted, None)


def jobs_of(function: Callable[[Any, Any], Any], tasks: Iterable[Any]) -> list[Job]:
    """Return one job for each task, named by its place."""
    return [Job(name=str(n), function=function, task=task) for n, task in enumerate(tasks)]


class Trials:
    """Which job is next, and what becomes of those whose worker died.

    Such a job goes behind all the others: those that never ended a worker are not to wait for it.
    Whether it was ended by what it does or by what ran beside it is told by its last trial, with
    nothing beside it.

    Parameters
    ----------
    jobs
        To be done, in this order.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        names = Counter(job.name for job in jobs)
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ValueError(f"Two jobs have one name: {twice[:3]}.")
        self._waiting = deque(jobs)
        self._deaths: Counter[str] = Counter()
        self._alone: str | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, running: int) -> Job | None:
        """Return the next job, given how many are being done; None where it has to wait."""
        if not self._waiting or self._alone is not None:
            return None
        job = self._waiting[0]
        if self._deaths[job.name] == MOST_DEATHS - 1:
            if running:
                return None
            self._alone = job.name
        return self._waiting.popleft()

    def ended(self, job: Job) -> None:
        """Note that a job was done."""
        if self._alone == job.name:
            self._alone = None

    def put_back(self, job: Job) -> None:
        """Take a job back whose worker never began it."""
        self.ended(job)
        self._waiting.appendleft(job)

    def died(self, job: Job, how: str) -> Done | None:
        """Note that a job's worker died; return what is told of the job where it is given up."""
        self.ended(job)
        self._deaths[job.name] += 1
        deaths = self._deaths[job.name]
        if deaths < MOST_DEATHS:
            self._waiting.append(job)
            self._sort()
            return None
        error = WorkerDied(
            f"the worker that did it was ended {count(deaths, 'time')}, the last time with "
            f"nothing else beside it ({how})"
        )
        return Done(name=job.name, error=error)

    def _sort(self) -> None:
        """Put those that ended fewer workers first; the order of equals stays."""
        self._waiting = deque(sorted(self._waiting, key=lambda job: self._deaths[job.name]))

    @property
    def deaths(self) -> Mapping[str, int]:
        """How many workers ended with each job."""
        return self._deaths
