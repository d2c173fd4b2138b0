"""Examine several specifications at a time, by the executors that evaluations use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from qa_suite.core.errors import raise_problems
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Job, Kit
from qa_suite.core.failures import why

R = TypeVar("R")


def examine_apart(
    asked: Any,
    examine: Callable[[Any, tuple[str, str]], R],
    entries: Sequence[tuple[str, str]],
    *,
    at_a_time: int,
    progress: Callable[[str], None] = print,
) -> dict[str, R]:
    """Examine specifications, each in a worker; the cores are shared out.

    Parameters
    ----------
    asked, examine
        ``examine(asked, entry)`` examines one; both travel to the workers.
    entries
        Label and name of each.
    at_a_time
        How many run beside each other; 1 is this process.
    progress
        Told of each that ends.

    Returns
    -------
    dict
        Name to what was found.

    Raises
    ------
    Problems
        If there is no worker; or what those that failed said, after the others are finished.
    """
    jobs = [Job(name=entry[1], function=examine, task=entry) for entry in entries]
    found: dict[str, R] = {}
    problems = []
    crew = Crew(workers=at_a_time)
    with executor_of(crew, Kit(make=_as_asked, material=asked)) as executor:
        for done in executor.run(jobs):
            if done.error is not None:
                problems.append(f"{done.name}: {why(done.error)}")
            else:
                found[done.name] = done.answer
            progress(f"{done.name}: {'done' if done.error is None else 'failed'}")
    raise_problems("The examination of the families", problems)
    return found


def _as_asked(asked: Any) -> Any:
    return asked
