"""Kill commands again and again: the same command, repeated, leaves what an undisturbed one does.

    python -m tests.campaign.run --kills 50 --seed 1 --write docs/reliability.md

Each command is killed before and after every rename of a file that it does (``os.replace``,
``os.rename``, ``os.link``), and at random moments until there are so many kills of it. Every second
time the clock is set back by a year before it is repeated. Then the same command runs again, as
often as it is killed, and what it leaves is compared with what it leaves undisturbed.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.campaign.dying import Death, in_process
from tests.campaign.verbs import VERBS, Verb, make_materials

IMPORTED = ("mlflow", "torch", "translators.registry.train", "qa_suite.evaluation.tracking")
"""Loaded before anything is forked; no store is opened by it."""
YEAR_S = 365 * 86400.0
REFUSED = 2
"""The repeat may be refused where all was done already; what lies there must be whole then too."""


@dataclass
class Tally:
    """What became of the kills of one command."""

    verb: str
    renames: int
    seconds: float
    tried: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The line of the table."""
        tried = self.tried
        return (
            f"| {self.verb} | {self.renames} | {tried['at a rename']} | "
            f"{tried['at random']} | {tried['too late']} | {tried['clock set back']} | "
            f"{len(self.faults)} |"
        )


def deaths(renames: int, seconds: float, kills: int, rng: random.Random) -> Iterator[Death]:
    """Yield every rename from both sides, and moments at random up to so many kills."""
    count = 0
    for number in range(1, renames + 1):
        for side in ("before", "after"):
            count += 1
            yield Death(number=number, side=side)  # type: ignore[arg-type]
    for _ in range(max(kills - count, kills // 3)):
        yield Death(seconds=rng.uniform(0.02, max(seconds, 0.1)))


def repeat(verb: Verb, place: Path) -> int:
    """Run a command once more."""
    return verb.run(place, repeated=True)


def with_clock_set_back(verb: Verb, place: Path) -> int:
    """Run a command a year ago, by the clock that Python tells."""
    real = time.time
    time.time = lambda: real() - YEAR_S
    try:
        return verb.run(place, repeated=True)
    finally:
        time.time = real


def trial(verb: Verb, material: Path, kills: int, rng: random.Random, scratch: Path) -> Tally:
    """Kill one command as often as asked; compare what is left with what is left undisturbed."""

    def place_of(name: str) -> Path:
        return Path(shutil.copytree(material, scratch / name, symlinks=True))

    if verb.warm:  # so that no trial waits for imports and kernels; who uses MLflow may not fork
        verb.run(place_of(f"{verb.name}-warm"))
    alone = place_of(f"{verb.name}-alone")
    ended = in_process(lambda: verb.run(alone), log=alone / "log.txt")
    assert ended.status == 0, (alone / "log.txt").read_text()[-3000:]
    wanted = verb.outcome(alone)
    tally = Tally(verb=verb.name, renames=ended.renames, seconds=ended.seconds)
    for number, death in enumerate(deaths(ended.renames, ended.seconds, kills, rng)):
        place = place_of(f"{verb.name}-{number}")
        log = place / "log.txt"
        killed = in_process(lambda: verb.run(place), death, log=log)  # noqa: B023
        kind = "at random" if death.seconds else "at a rename"
        tally.tried[kind if killed.status < 0 else "too late"] += 1
        back = number % 2 == 1
        again = with_clock_set_back if back else repeat
        repeated = in_process(lambda: again(verb, place), log=log)  # noqa: B023
        tally.tried["clock set back"] += back
        fault = _fault(verb, place, repeated.status, wanted)
        if fault:
            tally.faults.append(f"{death}{', clock set back' if back else ''}: {fault}")
            print(f"  {verb.name} {tally.faults[-1]}", flush=True)
        shutil.rmtree(place)
    print(tally.row, f"{tally.seconds:.1f} s undisturbed", flush=True)
    return tally


def _fault(verb: Verb, place: Path, status: int, wanted: Any) -> str:
    said = (place / "log.txt").read_text().strip().splitlines()[-1:]
    if status not in (0, REFUSED):
        return f"the repeat ended with {status}: {said}"
    try:
        found = verb.outcome(place)
    except (OSError, KeyError, AssertionError, ValueError) as error:
        return f"what is left cannot be read ({error}); the repeat ended with {status}: {said}"
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if not differing:
        return ""
    return f"other than undisturbed: {', '.join(differing)}; the repeat ended with {status}: {said}"


def table_of(tallies: list[Tally], seed: int) -> str:
    """Return the result as Markdown."""
    kills = sum(t.tried["at a rename"] + t.tried["at random"] for t in tallies)
    head = (
        f"Seed {seed}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}: {kills} kills by SIGKILL, "
        f"{sum(len(t.faults) for t in tallies)} left something else than an undisturbed run."
    )
    lines = [
        "| Command | Renames | Killed at one | Killed at random | Ended before | Repeated with the "
        "clock a year back | Differs |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(tally.row for tally in tallies),
    ]
    faults = [f"- {t.verb}, {fault}" for t in tallies for fault in t.faults[:5]]
    return "\n".join([head, "", *lines, *(["", *faults] if faults else [])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[verb.name for verb in VERBS])
    parser.add_argument("--kills", type=int, default=60, help="of each command, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    print(f"seed {asked.seed} on {platform.platform()}, {os.cpu_count()} cores", flush=True)
    for name in IMPORTED:
        import_module(name)
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        material = make_materials(Path(folder) / "material")
        tallies = [
            trial(verb, material, asked.kills, rng, Path(folder))
            for verb in VERBS
            if verb.name in asked.only
        ]
    table = table_of(tallies, asked.seed)
    print(table)
    if asked.write:
        from benchmarks.filling import fill

        fill(asked.write, {"campaign": table})
    return 1 if any(tally.faults for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
