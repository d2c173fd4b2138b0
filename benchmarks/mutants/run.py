"""Score the tests by faults planted in the code: judging by mutmut, kernels by a list of our own.

    python -m benchmarks.mutants.run --write docs/mutants.md

Everything runs in a copy of the tracked files, and a run that was ended carries on. mutmut passes
over properties, so those of judging stand in the list beside the compiled kernels, which it cannot
enter either; these run with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mutants.page import write_page
from benchmarks.mutants.planted import Planted, planted_faults
from benchmarks.mutants.sampling import in_order, random_sample

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of how many mutants how many were found, and which were not."""

    made: dict[str, int]
    """In each module, or file."""
    tried: dict[str, int]
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


def counted(names: list[str]) -> dict[str, int]:
    """Return how many names are of each group."""
    return {name: names.count(name) for name in sorted(set(names))}


def score_judging(folder: Path, given: argparse.Namespace) -> dict[str, Score]:
    """Let the tests of the judging room try mutmut's mutants of it: what decides, and texts."""
    from benchmarks.mutants.judging import module_of, try_mutants

    started = time.monotonic()
    planted, outcomes = try_mutants(
        folder, root=ROOT, modules=given.modules, seed=given.seed, workers=given.workers,
        limit_s=given.limit_s,
    )  # fmt: skip
    seconds = time.monotonic() - started
    found = {}
    for kind, of_texts in (("judging", False), ("texts", True)):
        order = in_order(planted.names, given.seed)
        mine = [name for name in order if (name in planted.of_texts) == of_texts]
        tried = random_sample(mine, outcomes)
        found[kind] = Score(
            made=counted([module_of(name) for name in mine]),
            tried=counted([module_of(name) for name in tried]),
            survived=tuple(sorted(name for name in tried if outcomes[name] is None)),
            seconds=0.0 if of_texts else seconds,
        )
    return found


def score_planted(folder: Path, faults: list[Planted], *, limit_s: float) -> Score:
    """Plant one fault after the other, and run the tests that should find it."""
    started = time.monotonic()
    survived, tried = [], []
    for fault in faults:
        if time.monotonic() - started > limit_s:
            break
        source = (ROOT / fault.file).read_text(encoding="utf-8")
        (folder / fault.file).write_text(fault.planted_in(source), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *fault.tests], cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(folder)},
        )  # fmt: skip
        (folder / fault.file).write_text(source, encoding="utf-8")
        if done.returncode not in (0, 1):
            raise SystemExit(f"{fault.name}: pytest ended with {done.returncode}\n{done.stdout}")
        tried.append(fault.file)
        if done.returncode == 0:
            survived.append(fault.name)
        print(f"{'survived' if done.returncode == 0 else 'found':9s} {fault.name}", flush=True)
    return Score(
        made=counted([fault.file for fault in faults]), tried=counted(tried),
        survived=tuple(survived), seconds=time.monotonic() - started,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["judging", "planted"])
    parser.add_argument("--modules", nargs="*", default=["*"], help="of judging, as patterns")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which they are tried")
    parser.add_argument("--workers", type=int, default=2, help="of the judging room")
    parser.add_argument("--limit-s", type=float, default=2600, help="of either kind")
    parser.add_argument("--folder", type=Path, default=ROOT / "mutants-run")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    folder = copy_of_tree(given.folder.resolve())
    scores: dict[str, Score] = {}
    if given.only != "planted":
        scores |= score_judging(folder, given)
    if given.only != "judging":
        scores["planted"] = score_planted(folder, planted_faults(), limit_s=given.limit_s)
    for name, score in scores.items():
        tried = sum(score.tried.values())
        print(f"{name}: {tried - len(score.survived)} of {tried} found")
        print(*(f"  survived: {one}" for one in score.survived), sep="\n")
        (folder / f"{name}.json").write_text(json.dumps(asdict(score)))
    if given.write:
        write_page(given.write, folder, command=" ".join(sys.argv[1:]))


if __name__ == "__main__":
    main()
