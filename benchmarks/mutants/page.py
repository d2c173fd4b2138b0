"""The page of the scores, from what the runs left in their folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WHAT = {
    "judging": "`qa_suite/judging`, by mutmut",
    "planted": "compiled kernels and properties, from `benchmarks/mutants/planted.yaml`",
}
WANTED_PCT = 90

_HEAD = """# Mutants

How many faults that are planted in the code its own tests find. `make mutants` makes this page, in
about an hour on two cores that do nothing else; at least {wanted} % are wanted of either kind.

- **Judging and its statistics** by [mutmut](https://github.com/boxed/mutmut) (BSD-3): every
  comparison, number, operator, argument and string. It passes over decorated functions, which in
  this room are properties of one line; these stand in the list of the second kind.
- **Compiled kernels** (rays, distances, nearest points, SSIM, DVH, gamma) by a list of faults that
  would change a clinical number, each with the reason, and `NUMBA_DISABLE_JIT=1`.

This page was made by `python -m benchmarks.mutants.run {command}`.

| Code | Mutants | Tried | Found | Score | Minutes |
|---|---|---|---|---|---|
"""


def write_page(page: Path, folder: Path, *, command: str) -> None:
    """Write the table and whatever was not found."""
    found = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in WHAT
        if (folder / f"{name}.json").is_file()
    }
    rows = [_row(name, score) for name, score in found.items()]
    text = _HEAD.format(wanted=WANTED_PCT, command=command) + "".join(rows)
    for name, score in found.items():
        if score["survived"]:
            text += f"\n## Not found: {WHAT[name]}\n\n"
            text += "".join(f"- {line}\n" for line in _survivors(score["survived"]))
    page.write_text(text, encoding="utf-8")


def _survivors(names: Sequence[str]) -> Iterator[str]:
    """Yield those of mutmut by their module, others one by one."""
    modules: dict[str, list[str]] = {}
    for name in names:
        module, _, mutant = name.rpartition(".x_")
        if module and not module.count(" "):
            modules.setdefault(module, []).append(f"`x_{mutant}`")
        else:
            yield f"`{' '.join(name.split())}`"
    yield from (f"`{module}`: {', '.join(mutants)}" for module, mutants in modules.items())


def _row(name: str, score: dict[str, Any]) -> str:
    tried, lost = score["tried"], len(score["survived"])
    share = f"{100 * (tried - lost) / tried:.1f} %" if tried else "none"
    return (
        f"| {WHAT[name]} | {score['made']} | {tried} | {tried - lost} | {share} | "
        f"{score['seconds'] / 60:.0f} |\n"
    )
