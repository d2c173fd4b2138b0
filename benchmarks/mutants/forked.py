"""A pytest plugin: collect tests once, then try mutant after mutant, each in a process of its own.

Every test is run first without a mutant. That says which functions it calls, how long it takes and
whether it passes. A mutant is then tried in a fork of the process that collected them: first by
tests that found another mutant of its function, then by all that call it, until one fails.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

from benchmarks.mutants import MUTANT_S

TEST_S = 5.0
"""CPU seconds by which a test may take longer than without a mutant, before it counts as hung."""

MOST_FAILED = 0.01
"""Share of tests that may fail without a mutant, since they look at what mutmut wraps; left out."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Which mutants are to be tried, in what order, and where the outcomes go."""

    names: tuple[str, ...]
    outcomes: Path
    """A line of JSON for each mutant: its name, and the test that found it or null."""
    workers: int
    limit_s: float

    @classmethod
    def of(cls, file: Path) -> Work:
        """Read it from the file that ``save`` wrote."""
        told = json.loads(file.read_text())
        return cls(**{**told, "names": tuple(told["names"]), "outcomes": Path(told["outcomes"])})

    def save(self, file: Path) -> None:
        file.write_text(json.dumps({**vars(self), "outcomes": str(self.outcomes)}))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", type=Path, help="the file of a Work")


class Clean:
    """What the tests do without a mutant."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self.by_function: dict[str, list[pytest.Item]] = defaultdict(list)
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        set_mutant_under_test("stats")
        calls = state()._stats
        for item, following in zip(items, [*items[1:], None], strict=True):
            calls.clear()
            begun = time.process_time()
            reports = runtestprotocol(item, nextitem=following, log=False)
            self.seconds[item.nodeid] = time.process_time() - begun
            if any(report.failed for report in reports):
                self.failed.append(item.nodeid)
                continue
            for function in calls:
                self.by_function[function].append(item)
        set_mutant_under_test("")
        if len(self.failed) > MOST_FAILED * len(items):
            pytest.exit(f"without a mutant, these fail: {', '.join(self.failed)}", 3)

    def tests_of(self, mutant: str, finders: Sequence[str]) -> list[pytest.Item]:
        """Return what calls a mutant's function: finders first, then file by file, quick first."""
        items = self.by_function[mangled_name_from_mutant_name(mutant)]
        files: dict[Path, float] = defaultdict(float)
        for item in items:
            files[item.path] += self.seconds[item.nodeid]
        rank = {name: place for place, name in enumerate(finders)}
        return sorted(
            items, key=lambda item: (rank.get(item.nodeid, len(rank)), files[item.path], item.path)
        )


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Take the place of pytest's own loop."""
    work = Work.of(session.config.getoption("--mutants"))
    clean = Clean(session.items)
    until = time.monotonic() + work.limit_s
    finders: dict[str, list[str]] = defaultdict(list)
    running: dict[int, tuple[str, int]] = {}
    with work.outcomes.open("a", encoding="utf-8") as outcomes:

        def end_one() -> None:
            pid, status = os.wait()
            name, said = running.pop(pid)
            with os.fdopen(said) as pipe:
                found_by = pipe.read() or None
            if found_by is None and status != 0:
                found_by = "hung"
            function = mangled_name_from_mutant_name(name)
            if found_by and found_by not in finders[function]:
                finders[function].insert(0, found_by)
            outcomes.write(json.dumps({"name": name, "found_by": found_by}) + "\n")
            outcomes.flush()

        for name in work.names:
            if time.monotonic() > until:
                break
            tests = clean.tests_of(name, finders[mangled_name_from_mutant_name(name)])
            pid, said = _forked(name, tests, clean.seconds)
            running[pid] = (name, said)
            if len(running) == work.workers:
                end_one()
        while running:
            end_one()
    return True


def _forked(name: str, tests: list[pytest.Item], seconds: dict[str, float]) -> tuple[int, int]:
    """Start a process that tries a mutant; return it and a pipe that says which test found it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    status = 1
    try:
        _silence()
        _forget()
        set_mutant_under_test(name)
        os.write(write, (_finder(tests, seconds) or "").encode())
        status = 0
    finally:
        os._exit(status)


def _finder(tests: list[pytest.Item], seconds: dict[str, float]) -> str | None:
    """Return the first test that fails."""
    begun = time.process_time()
    for item, following in zip(tests, [*tests[1:], None], strict=False):
        spent = time.process_time()
        if spent - begun > MUTANT_S:
            return None
        allowed = int(spent + TEST_S + 10 * seconds[item.nodeid]) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))
        if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
            return item.nodeid
    return None


def _silence() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _forget() -> None:
    """Empty the caches that the run without a mutant has filled."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").partition(".")[0] in ("qa_suite", "tests"):
            for cached in _cached(module):
                cached.cache_clear()


def _cached(module: object) -> Iterator[object]:
    return (value for value in vars(module).values() if hasattr(value, "cache_clear"))
