"""Workers that are killed one after another, on every executor: the record is the undisturbed one.

    python -m tests.kills_of_workers --workers 8 --kills 6 --cases 40 --seed 1

Longer than the tests of 'make test' (a minute of a processor): eight workers of this machine, of
whom six are killed, as processes that are replaced and as workers of dask that nobody replaces.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qa_suite.core.executors.crew import Crew
from qa_suite.core.record_files import read_cases
from qa_suite.evaluation.evaluate import evaluate
from tests.dask_certificates import write_certificates
from tests.dask_cluster import Programs, cluster, tls_options, wait_for
from tests.evaluation_workers import Noted
from tests.test_evaluate import essence, examination, table_bytes
from tests.tiny_cohort import make_tiny_cohort


@dataclass
class Killer:
    """Kills a worker now and then, told of each case that is done; the last ones are spared."""

    rng: random.Random
    kills: int
    every: int
    pids: Callable[[], list[int]]
    killed: list[int] = field(default_factory=list)

    def __call__(self, done: int, total: int, case: str) -> None:
        if done % self.every or len(self.killed) == self.kills:
            return
        alive = [pid for pid in self.pids() if pid not in self.killed]
        if alive:
            self.killed.append(self.rng.choice(sorted(alive)))
            os.kill(self.killed[-1], signal.SIGKILL)


def children() -> list[int]:
    """The worker processes that this one has started."""
    import psutil

    return [
        child.pid
        for child in psutil.Process().children()
        if any("executors.worker" in word for word in child.cmdline())
    ]


def killed_run(
    folder: Path, cohort: Path, crew: Crew, killer: Killer, undisturbed: Path, name: str
) -> str:
    """Evaluate while workers are killed; return one line, and raise where the record differs."""
    notes = folder / f"notes-{name}"
    notes.mkdir()
    out = folder / f"out-{name}"
    examined = examination(cohort, Noted(notes), families=("image",))
    evaluate(examined, out, crew=crew, progress=killer)
    assert table_bytes(out) == table_bytes(undisturbed), f"{name}: other tables"
    assert essence(out) == essence(undisturbed), f"{name}: another record"
    names = [record.case for record in read_cases(out)]
    assert len(names) == len(set(names)), f"{name}: a case is there twice"
    assert len(killer.killed) == killer.kills, f"{name}: {len(killer.killed)} kills"
    tries = Counter(path.name.partition("-")[0] for path in notes.iterdir())
    again = sum(number - 1 for number in tries.values())
    return f"{name}: {killer.kills} kills, {again} cases begun again, the record is the same"


def pids_of(running: Programs) -> Callable[[], list[int]]:
    """The workers of a cluster that nobody replaces."""
    return lambda: [one.pid for one in running.workers if one.poll() is None]


def run(folder: Path, *, workers: int, kills: int, cases: int, seed: int) -> list[str]:
    """Kill so many of so many workers, on each executor; return what to print."""
    cohort = folder / "cohort"
    make_tiny_cohort(cohort, "tv" + "s" * cases)
    evaluate(examination(cohort, Noted(folder), families=("image",)), folder / "undisturbed")
    every = max(1, cases // (kills + 2))
    told = []
    killer = Killer(random.Random(seed), kills, every, children)
    plain = Crew(workers=workers)
    told.append(killed_run(folder, cohort, plain, killer, folder / "undisturbed", "processes"))
    certificates = write_certificates(folder / "certificates")
    with cluster(folder, tls_options(certificates)) as running:
        for _ in range(workers):
            running.add_worker()
        killer = Killer(random.Random(seed), kills, every, pids_of(running))
        crew = Crew(dask=running.address, dask_tls=certificates)
        wait_for(lambda: all(one.poll() is None for one in running.workers))
        told.append(killed_run(folder, cohort, crew, killer, folder / "undisturbed", "dask"))
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed} on {platform.platform()}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in run(Path(folder), **vars(asked)):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
