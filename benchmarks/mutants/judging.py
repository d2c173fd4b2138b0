"""Mutants of the judging room: mutmut makes them, ``forked`` tries them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

from benchmarks.mutants.forked import Work
from benchmarks.mutants.sampling import in_order
from benchmarks.mutants.texts import functions_in, is_of_a_text

ROOM = Path("qa_suite/judging")
TESTS = (
    "censoring", "expected_sites", "fmea", "generalize", "history", "judge*", "lock",
    "mean_intervals", "power", "profile_*", "profiles", "record_facts", "shift*",
    "shipped_profiles", "standing", "statistics", "tables_together", "verdict_files", "verify*",
)  # fmt: skip
"""Tests of the room that need no image: what only a measured cohort would find is not found."""

Outcomes = dict[str, str | None]
"""Of each mutant tried the test that found it; ``hung`` where one did not end."""


def module_of(mutant: str) -> str:
    """Return a mutant's module within the room."""
    return mutant.partition(".x")[0].removeprefix("qa_suite.judging.")


def try_mutants(
    folder: Path, *, root: Path, modules: Sequence[str], seed: int, workers: int, limit_s: float
) -> tuple[Planted, Outcomes]:
    """Make the mutants of some modules, and try them until the time is up; return both.

    What an earlier run in the folder found stands while the module's text is the same; what it
    did not find is tried again. The order is random; those of texts come last.
    """
    outcomes_file, texts_file = folder / "outcomes.jsonl", folder / "digests.json"
    known = outcomes_in(outcomes_file)
    texts_then = json.loads(texts_file.read_text()) if texts_file.is_file() else {}
    planted = plant(folder, root, modules)
    texts = planted.digests
    stands = {
        name: found_by
        for name, found_by in known.items()
        if found_by and texts.get(module_of(name)) == texts_then.get(module_of(name))
    }
    texts_file.write_text(json.dumps(texts))
    outcomes_file.write_text(
        "".join(json.dumps({"name": n, "found_by": by}) + "\n" for n, by in stands.items())
    )
    asked = [name for name in in_order(planted.names, seed) if name not in stands]
    asked.sort(key=planted.of_texts.__contains__)
    work = Work(names=tuple(asked), outcomes=outcomes_file, workers=workers, limit_s=limit_s)
    work.save(folder / "work.json")
    tests = sorted(
        str(file.relative_to(folder))
        for name in TESTS
        for file in (folder / "tests").glob(f"test_{name}.py")
    )
    plugins = [part for name in ("xdist", "cacheprovider") for part in ("-p", f"no:{name}")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.mutants.forked", *plugins,
         "--mutants", "work.json", *tests],
        cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path[1:]])},
    )  # fmt: skip
    restore(folder, root)
    if done.returncode != 0:
        raise SystemExit(f"pytest ended with {done.returncode}: no more mutants were tried")
    return planted, outcomes_in(outcomes_file)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The mutants that were made: which of them change a text alone, and each module's digest."""

    names: tuple[str, ...]
    of_texts: frozenset[str]
    digests: dict[str, str]


def plant(folder: Path, root: Path, modules: Sequence[str]) -> Planted:
    """Put mutants into the copy's files, asleep until named; return them."""
    names: list[str] = []
    of_texts: list[str] = []
    texts: dict[str, str] = {}
    for file in sorted((root / ROOM).rglob("*.py")):
        module = ".".join(file.relative_to(root / ROOM).with_suffix("").parts)
        module = module.removesuffix(".__init__")
        if any(fnmatch(module, pattern) for pattern in modules):
            place, text = file.relative_to(root), file.read_text(encoding="utf-8")
            made = mutate_file_contents(str(place), text)
            (folder / place).write_text(made.code, encoding="utf-8")
            functions = functions_in(made.code)
            for name in made.mutant_names:
                names.append(get_mutant_name(place, name))
                if is_of_a_text(name, functions):
                    of_texts.append(names[-1])
            texts[module] = hashlib.sha256(text.encode()).hexdigest()
    return Planted(names=tuple(sorted(names)), of_texts=frozenset(of_texts), digests=texts)


def restore(folder: Path, root: Path) -> None:
    """Put the room's files back as they are."""
    for file in sorted((root / ROOM).rglob("*.py")):
        (folder / file.relative_to(root)).write_bytes(file.read_bytes())


def outcomes_in(file: Path) -> Outcomes:
    """Read what was found so far."""
    lines: Sequence[str] = file.read_text(encoding="utf-8").splitlines() if file.is_file() else ()
    return {told["name"]: told["found_by"] for told in map(json.loads, lines)}
