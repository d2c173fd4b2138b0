"""A reckoning to a million cases: what a case costs, measured at growing numbers of them.

    python -m benchmarks.scale --write docs/workers.md
    python -m benchmarks.scale --folder kept --sizes 100,300,1000

One virtual patient is measured; then his entry is written down again and again under other names,
with values that differ, and everything that grows with the number of cases is done with it, each
step in a process of its own: manifest, journal, record, reading, judging. A step's cost is that of
one case more, from the smallest size to the largest; a border of the suite or of the machine gives
the number of cases at which it is met.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale_steps import STEPS, Cost
from benchmarks.workers import cohort_of, measured
from qa_suite.core import plain_files, table_files
from qa_suite.core.whole_files import write_text

BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
GOALS = (1_000, 100_000, 1_000_000)
OF_EACH_CASE = "looking for copies"
"""A step that every case takes, and that looks at all the others."""
HOURS, GIB = 3600.0, 2.0**30


@dataclass(frozen=True, kw_only=True)
class Slope:
    """What one case more costs in one step."""

    step: str
    seconds: float
    bytes_memory: float
    bytes_disk: float


def slopes(costs: dict[str, list[tuple[int, Cost]]]) -> list[Slope]:
    """Return the cost of a case in each step, from the smallest size to the largest."""
    found = []
    for step, rows in costs.items():
        (few, first), (many, last) = rows[0], rows[-1]
        more = many - few
        found.append(
            Slope(
                step=step,
                seconds=max(0.0, last.cpu_seconds - first.cpu_seconds) / more,
                bytes_memory=max(0.0, last.peak_mib - first.peak_mib) * 2**20 / more,
                bytes_disk=max(0, last.disk_bytes - first.disk_bytes) / more,
            )
        )
    return found


def size(number: float) -> str:
    """Say a number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def span(seconds: float) -> str:
    """Say a time."""
    for unit, length in (("d", 86400.0), ("h", HOURS), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e6:.2g} µs"


def page(one: dict[str, float], costs: dict[str, list[tuple[int, Cost]]]) -> str:
    """Return the part of the page: what a case costs, what a million would, and what breaks."""
    found = slopes(costs)
    sizes = ", ".join(f"{n:,}" for n, _ in next(iter(costs.values())))
    lines = [
        f"Measuring one case (virtual pelvis at {one['spacing_mm']:g} mm, all families but dose): "
        f"{one['seconds']:.2f} s at least, {one['rows']:.0f} rows. What grows with the "
        f"number of cases beside it, from {sizes} cases:",
        "",
        "| Step | Of one case | Memory | Disk | 1,000 | 100,000 | 1,000,000 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    goals = " | ".join(span(one["seconds"] * n) for n in GOALS)
    lines.append(f"| measuring, by one worker | {span(one['seconds'])} | none | none | {goals} |")
    for slope in found:
        if slope.step == OF_EACH_CASE:
            continue
        goals = " | ".join(
            f"{span(slope.seconds * n)}, {size(slope.bytes_memory * n)}" for n in GOALS
        )
        lines.append(
            f"| {slope.step} | {span(slope.seconds)} | {size(slope.bytes_memory)} | "
            f"{size(slope.bytes_disk)} | {goals} |"
        )
    (pair,) = (slope.seconds for slope in found if slope.step == OF_EACH_CASE)
    goals = " | ".join(span(pair * n * n) if pair else "too little to tell" for n in GOALS)
    lines.append(f"| {OF_EACH_CASE}, for all | {span(pair)} a pair | none | none | {goals} |")
    lines += ["", *(f"- {line}" for line in borders(one, found))]
    return "\n".join(lines) + "\n"


def borders(one: dict[str, float], found: list[Slope]) -> list[str]:
    """Say at how many cases each border is met, the nearest first."""
    by_step = {slope.step: slope for slope in found}
    table = by_step["writing the record"].bytes_disk
    memory = max(found, key=lambda slope: slope.bytes_memory)
    met = {
        f"the memory of a machine with 64 GiB, by {memory.step}": 64 * GIB / memory.bytes_memory,
        f"the border of {plain_files.MOST_BYTES >> 20} MiB of a manifest": plain_files.MOST_BYTES
        / by_step["the manifest"].bytes_disk,
        f"the border of {table_files.MOST_TABLE_BYTES >> 30} GiB of a table, which must be "
        f"partitioned from there on": table_files.MOST_TABLE_BYTES / table,
        f"{table_files.MOST_ROWS:,} rows, beyond which a table whose digest no record knows is "
        f"refused": table_files.MOST_ROWS / one["rows"],
        "1 TB of journal": 1e12 / by_step["the journal"].bytes_disk,
    }
    return [
        f"{cases:,.0f} cases meet {what}."
        for what, cases in sorted(met.items(), key=lambda item: item[1])
    ]


def apart(step: str, cases: int, folder: Path) -> Cost:
    """Do one step in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_steps", step, str(cases), str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, reckon, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="100,400,1600")
    parser.add_argument("--spacing-mm", type=float, default=4.0)
    parser.add_argument("--folder", type=Path, help="where all of it is kept")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        cohort = cohort_of(4, asked.spacing_mm, folder / "cohort")
        if not (folder / "evaluation" / "evaluation.json").is_file():
            measured("1", cohort, "oracle:twin", folder / "evaluation")
        entries = list((folder / "evaluation" / "journal").glob("case-*.json"))
        known = [json.loads(path.read_text(encoding="utf-8")) for path in entries]
        one = {
            "spacing_mm": asked.spacing_mm,
            "seconds": min(entry["seconds"] for entry in known),  # the least disturbed
            "rows": sum(len(entry["measurements"]) for entry in known) / len(known),
        }
        costs: dict[str, list[tuple[int, Cost]]] = {step: [] for step in STEPS}
        for cases in map(int, asked.sizes.split(",")):
            for step, found in costs.items():
                found.append((cases, apart(step, cases, folder)))
                print(step, *found[-1], flush=True)
    text = page(one, costs)
    print(text)
    if asked.write:
        written = asked.write.read_text(encoding="utf-8")
        marked = re.compile(f"{BEGIN}\n.*?{END}", re.DOTALL)
        write_text(asked.write, marked.sub(lambda _: f"{BEGIN}\n{text}{END}", written))


if __name__ == "__main__":
    main()
