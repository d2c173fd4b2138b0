"""Score the tests by faults planted in the code: judging by mutmut, kernels by a list of our own.

    python -m benchmarks.mutants.run --write docs/mutants.md

Everything runs in a copy of the tracked files. mutmut passes over properties, so those of judging
stand in the list beside the compiled kernels, which it cannot enter either; these run with
``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.page import write_page
from benchmarks.mutants.planted import Planted, planted_faults

ROOT = Path(__file__).resolve().parents[2]
NOTHING = "qa_suite.judging.none_of_them"
"""A name that mutmut finds nothing by: it makes the mutants and tries none."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of how many mutants how many were found, and which were not."""

    made: int
    tried: int
    survived: tuple[str, ...]
    seconds: float


def copy_of_tree(folder: Path) -> Path:
    """Copy the tracked files into an empty folder, or bring a copy up to date."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", **more}


def mutmut(folder: Path, *names: str, workers: int) -> None:
    """Run mutmut over the named mutants, or all; its own words go to mutmut.log."""
    with (folder / "mutmut.log").open("a") as log:
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(workers), *names],
            cwd=folder, env=environment(), stdout=log, stderr=log, check=False,
        )  # fmt: skip


def exit_codes(folder: Path) -> dict[str, int | None]:
    """What pytest said of each mutant: 0 where every test passed, None where it was not tried."""
    codes: dict[str, int | None] = {}
    for file in sorted((folder / "mutants").rglob("*.meta")):
        codes |= json.loads(file.read_text())["exit_code_by_key"]
    return codes


def score_judging(folder: Path, *, sample: int | None, seed: int, workers: int) -> Score:
    """Run mutmut over the judging room, or over a random sample of its mutants."""
    started = time.monotonic()
    mutmut(folder, NOTHING, workers=workers)
    names = sorted(exit_codes(folder))
    if not names:
        raise SystemExit(f"mutmut made no mutants; see {folder / 'mutmut.log'}")
    chosen = names if sample is None else random.Random(seed).sample(names, min(sample, len(names)))
    mutmut(folder, *chosen, workers=workers)
    codes = exit_codes(folder)
    tried = [name for name in chosen if codes[name] is not None]
    return Score(
        made=len(names),
        tried=len(tried),
        survived=tuple(sorted(name for name in tried if codes[name] in (0, 33))),
        seconds=time.monotonic() - started,
    )


def score_planted(folder: Path, faults: list[Planted], *, limit_s: float) -> Score:
    """Plant one fault after the other, and run the tests that should find it."""
    started = time.monotonic()
    survived, tried = [], 0
    for fault in faults:
        if time.monotonic() - started > limit_s:
            break
        source = (ROOT / fault.file).read_text(encoding="utf-8")
        (folder / fault.file).write_text(fault.planted_in(source), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *fault.tests], cwd=folder, capture_output=True, text=True, check=False,
            env=environment(NUMBA_DISABLE_JIT="1", PYTHONPATH=str(folder)),
        )  # fmt: skip
        (folder / fault.file).write_text(source, encoding="utf-8")
        if done.returncode not in (0, 1):
            raise SystemExit(f"{fault.name}: pytest ended with {done.returncode}\n{done.stdout}")
        tried += 1
        if done.returncode == 0:
            survived.append(fault.name)
        print(f"{'survived' if done.returncode == 0 else 'found':9s} {fault.name}", flush=True)
    return Score(
        made=len(faults), tried=tried, survived=tuple(survived), seconds=time.monotonic() - started
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="mutants of the judging room to try; all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["judging", "planted"])
    parser.add_argument("--limit-s", type=float, default=3000, help="of the planted faults")
    parser.add_argument("--folder", type=Path, default=ROOT / "mutants-run")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    folder = copy_of_tree(given.folder.resolve())
    scores: dict[str, Score] = {}
    if given.only != "planted":
        scores["judging"] = score_judging(
            folder, sample=given.sample, seed=given.seed, workers=given.workers
        )
    if given.only != "judging":
        scores["planted"] = score_planted(folder, planted_faults(), limit_s=given.limit_s)
    for name, score in scores.items():
        print(f"{name}: {score.tried - len(score.survived)} of {score.tried} found")
        print(*(f"  survived: {one}" for one in score.survived), sep="\n")
        facts = {"made": score.made, "tried": score.tried, "survived": list(score.survived)}
        (folder / f"{name}.json").write_text(json.dumps({**facts, "seconds": score.seconds}))
    if given.write:
        write_page(given.write, folder, command=" ".join(sys.argv[1:]))


if __name__ == "__main__":
    main()
