"""Speed, side by side with peers in one run: every ``bench_*.py`` beside this file.

python benchmarks/bench.py [--write docs/appendix/speed.md] [--only surfaces]

With --only the page keeps its other tables.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- speed tables: begin -->", "<!-- speed tables: end -->"
COLUMNS = ("task", "sizes", "peer", "ours, s", "peer, s", "ratio", "agreement")


def markdown(rows: list[dict[str, object]]) -> str:
    """Write the rows as a table; a ratio above one says that ours is faster."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|--:|--:|--:|---|"]
    for row in rows:
        numbers = [_number(row[name]) for name in ("ours_s", "peer_s", "ratio")]
        cells = [row["task"], row["sizes"], row["peer"], *numbers, row["agreement"]]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _number(value: object) -> str:
    return "–" if value is None else f"{float(value):.3g}"  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose marked tables are replaced")
    parser.add_argument("--only", default="", help="names, such as image,surfaces")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(markdown(importlib.import_module(options.inside).rows()))
        return
    wanted = [name for name in options.only.split(",") if name]
    found = sorted(path.stem for path in HERE.glob("bench_*.py"))
    chosen = [name for name in found if not wanted or name.removeprefix("bench_") in wanted]
    tables: dict[str, str] = {}
    for name in chosen:  # each in a process of its own, so that memory is its own too
        done = subprocess.run(
            [sys.executable, __file__, "--inside", name], capture_output=True, text=True
        )
        table = [line for line in done.stdout.splitlines() if line.startswith("|")]
        if done.returncode or len(table) < 3:
            raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
        tables[name] = "\n".join(table[2:])
        print(tables[name], flush=True)
    print(f"\n{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        old, tail = rest.split(END)
        tables = {**_tables_of(old), **tables}
        parts = [markdown([])]
        for name in found:
            if name in tables:
                parts += [_title_row(name), tables[name]]
        text = "\n".join(parts)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def _title(name: str) -> str:
    """First sentence of a benchmark's docstring."""
    said = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or name
    return said.split("\n")[0].rstrip(".")


def _title_row(name: str) -> str:
    return f"| **{_title(name)}** |" + " |" * (len(COLUMNS) - 1)


def _tables_of(text: str) -> dict[str, str]:
    """Rows of a page by benchmark, told by the row of the title above them."""
    names = {_title_row(path.stem): path.stem for path in HERE.glob("bench_*.py")}
    found: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if line.startswith("| **"):
            name = names.get(line)
        elif name is not None and line.startswith("|"):
            found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


if __name__ == "__main__":
    main()
