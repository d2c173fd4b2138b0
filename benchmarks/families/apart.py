"""Examine several specifications at a time, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from qa_suite.core.errors import InputError, raise_problems

_TOLD = 15  # lines of what a process said last


def require_some(at_a_time: int) -> None:
    """Refuse to run fewer than one at a time."""
    if at_a_time < 1:
        raise InputError(f"--at-a-time must be at least 1, got {at_a_time}.")


def examine_apart(
    commands: Sequence[Sequence[str]], *, at_a_time: int, progress: Callable[[str], None] = print
) -> None:
    """Run ``python -m benchmarks.families`` with each of several sets of options.

    The cores are shared out: with two at a time on two cores each has one thread.

    Parameters
    ----------
    commands
        Options of each run.
    at_a_time
        How many run beside each other.
    progress
        Told the last line of each run when it ends.

    Raises
    ------
    InputError
        If ``at_a_time`` is below 1.
    Problems
        What the runs that failed said last; the others are finished first.
    """
    require_some(at_a_time)
    threads = max(1, len(os.sched_getaffinity(0)) // at_a_time)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}

    def run(options: Sequence[str]) -> str | None:
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.families", *options],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines = ended.stdout.strip().splitlines()
        if ended.returncode:
            return f"{' '.join(options)}: " + " / ".join(lines[-_TOLD:])
        progress(f"{' '.join(options)}: done")
        return None

    with ThreadPoolExecutor(at_a_time) as pool:
        problems = [problem for problem in pool.map(run, commands) if problem]
    raise_problems("The examination of the families", problems)
