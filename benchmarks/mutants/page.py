"""The page of the scores, from what the runs left in their folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.mutants import MUTANT_S

WHAT = {
    "judging": "`qa_suite/judging`, by mutmut: what computes and decides",
    "texts": "`qa_suite/judging`, by mutmut: texts that people read",
    "planted": "compiled kernels and properties, from `benchmarks/mutants/planted.yaml`",
}
WANTED_PCT = 90

_HEAD = """# Mutants

How many faults that are planted in the code its own tests find. `make mutants` makes this page, in
at most an hour and a half on two cores that do nothing else; at least {wanted} % are wanted of
what computes and decides, and of the list.

- **Judging and its statistics**: [mutmut](https://github.com/boxed/mutmut) (BSD-3) makes the
  mutants, of every comparison, number, operator, argument and string. Tests are collected once, and
  each mutant is tried in a process forked from there (`benchmarks/mutants/forked.py`): by those
  tests that call its function, until one fails. What none has found after {mutant_s:.0f} s of
  tests counts as not found. mutmut passes over decorated functions, which in this room are
  properties of one line; these stand in the list of the second kind.
  A mutant that changes nothing but a text (a string with a blank in it, a part of a formatted text
  or of a raised error) is told apart by `benchmarks/mutants/texts.py`: it decides nothing, and
  tests of this project assert facts and not prose. These are tried last and have no score to reach.
- **Compiled kernels** (rays, distances, nearest points, SSIM, DVH, gamma) by a list of faults that
  would change a clinical number, each with the reason, and `NUMBA_DISABLE_JIT=1`. Tests
  were mended for faults of this very list, so its score is no estimate for others.

This page was made by `python -m benchmarks.mutants.run {command}`. Where fewer were tried than
made, time was up; the order is random (`--seed`), so that those tried are a random sample, and
their score stands with Wilson's interval for that of all.

| Code | Mutants | Tried | Found | Score (95 % interval) | Minutes |
|---|---|---|---|---|---|
"""


def write_page(page: Path, folder: Path, *, command: str) -> None:
    """Write the scores, those of each module, and whatever was not found."""
    found = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in WHAT
        if (folder / f"{name}.json").is_file()
    }
    text = _HEAD.format(wanted=WANTED_PCT, command=command, mutant_s=MUTANT_S)
    for name, what in WHAT.items():
        if name not in found:
            text += f"| {what} | not run | | | | |\n"
            continue
        score = found[name]
        made, tried = (sum(score[key].values()) for key in ("made", "tried"))
        row = _row(what, made, tried, len(score["survived"]))
        text += f"{row} {score['seconds'] / 60:.0f} |\n"
    if "judging" in found:
        text += "\n## The judging room by its modules\n\n"
        text += (
            "| Module | Mutants | Tried | Found | Score (95 % interval) |\n|---|---|---|---|---|\n"
        )
        text += "".join(f"{row}\n" for row in _by_module(found["judging"]))
    for name, score in found.items():
        if score["survived"] and name != "texts":
            text += f"\n## Not found: {WHAT[name]}\n\n"
            text += "".join(f"- {line}\n" for line in _survivors(score["survived"]))
    page.write_text(text, encoding="utf-8")


def _by_module(score: dict[str, Any]) -> Iterator[str]:
    for module, made in score["made"].items():
        if tried := score["tried"].get(module, 0):
            lost = sum(f"judging.{module}.x" in name for name in score["survived"])
            yield _row(f"`{module}`", made, tried, lost)


def _survivors(names: Sequence[str]) -> Iterator[str]:
    """Yield those of mutmut by their module, others one by one."""
    modules: dict[str, list[str]] = {}
    for name in names:
        module, _, mutant = name.partition(".x")
        if mutant and " " not in module:
            modules.setdefault(module, []).append(f"`x{mutant}`")
        else:
            yield f"`{' '.join(name.split())}`"
    yield from (f"`{module}`: {', '.join(mutants)}" for module, mutants in modules.items())


def _row(what: str, made: int, tried: int, lost: int) -> str:
    share = f"{100 * (tried - lost) / tried:.1f} %" if tried else "none"
    if 0 < tried < made:
        among = stats.binomtest(tried - lost, tried).proportion_ci(0.95, method="wilson")
        share += f" ({100 * among.low:.1f} to {100 * among.high:.1f} %)"
    return f"| {what} | {made} | {tried} | {tried - lost} | {share} |"
