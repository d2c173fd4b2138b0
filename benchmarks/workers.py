"""What several workers are worth: the same evaluation by one process, by two, and by dask.

    python -m benchmarks.workers --write docs/workers.md
    python -m benchmarks.workers --cases 48 --crews 1,2,dask2 --trials 3

Each run is the whole command 'qa-suite evaluate', from the start of its process to its end, so that
starting workers counts. *Efficiency* is the time of one process over that of n, divided by n. On a
machine that does something else beside, processor seconds say more: they are what the work took.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.cohort import assign_splits, load_cohort, save_cohort
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import CASES_FILE, CURVES_FILE, EVALUATION_FILE, MEASUREMENTS_FILE
from qa_suite.core.whole_files import write_text
from qa_suite.lab.phantom import make_phantom_cohort

HOSPITALS = ("A", "B", "C", "D")
SEED = 71
BEGIN, END = "<!-- workers: begin -->", "<!-- workers: end -->"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One whole evaluation: wall-clock and processor seconds, memory, and its tables' digests."""

    crew: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    digests: tuple[str, ...]

    @property
    def workers(self) -> int:
        """How many measured."""
        return int(self.crew.removeprefix("dask"))


def cohort_of(cases: int, spacing_mm: float, folder: Path) -> Path:
    """Make the virtual patients, all of them to be examined, where they are not there yet."""
    if not (folder / "manifest.yaml").is_file():
        made = make_phantom_cohort(
            folder,
            hospitals=HOSPITALS,
            patients_per_hospital=-(-cases // len(HOSPITALS)),
            spacing_mm=(spacing_mm,) * 3,
            seed=SEED,
            workers=2,
        )
        shares = {"train": 0.0, "validation": 0.0, "calibration": 0.0, "test": 1.0}
        save_cohort(assign_splits(made, fractions=shares, seed=SEED), folder)  # type: ignore[arg-type]
    assert len(load_cohort(folder).in_split("test")) == cases
    return folder


def measured(crew: str, cohort: Path, model: str, out: Path) -> Run:
    """Run the command once, into a new folder."""
    how = ["--dask-local", crew[4:]] if crew.startswith("dask") else ["--workers", crew]
    words = ["evaluate", str(cohort), model, "--no-track", "--out", str(out), *how]
    before, started = _cpu(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "qa_suite.cli", *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    seconds = time.perf_counter() - started
    facts = json.loads((out / EVALUATION_FILE).read_text(encoding="utf-8"))
    return Run(
        crew=crew,
        seconds=seconds,
        cpu_seconds=_cpu() - before,
        peak_mib=facts["when"]["peak_memory_mib"],
        digests=tuple(
            sha256_of(out / name) for name in (MEASUREMENTS_FILE, CASES_FILE, CURVES_FILE)
        ),
    )


def _cpu() -> float:
    """Return the processor seconds of all that was started from here and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(runs: list[Run], cases: int, what: str) -> str:
    """Return the page's table; of several trials the fastest counts."""
    if len({run.digests for run in runs}) != 1:
        raise SystemExit("The records differ between crews.")
    best = {
        crew: min((run for run in runs if run.crew == crew), key=lambda run: run.seconds)
        for crew in dict.fromkeys(run.crew for run in runs)
    }
    one = best.get("1")
    lines = [
        f"{cases} cases ({what}), {os.cpu_count()} cores, load before it began "
        f"{os.getloadavg()[0]:.1f}; the tables of all runs are the same bytes.",
        "",
        "| Crew | Time | Efficiency | Processor | Of one worker's | Most memory of a process |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for crew, run in best.items():
        name = f"`--dask-local {run.workers}`" if crew[0] == "d" else f"`--workers {run.workers}`"
        worth = "" if one is None else f"{one.seconds / run.seconds / run.workers:.0%}"
        share = "" if one is None else f"{run.cpu_seconds / one.cpu_seconds:.2f}"
        lines.append(
            f"| {name} | {run.seconds:.1f} s | {worth} | {run.cpu_seconds:.1f} s | {share} | "
            f"{run.peak_mib:.0f} MiB |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--spacing-mm", type=float, default=4.0)
    parser.add_argument("--model", default="oracle:twin")
    parser.add_argument("--crews", default="1,2", help="such as 1,2,dask2")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where cohort and evaluations are kept")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        cohort = cohort_of(asked.cases, asked.spacing_mm, folder / "cohort")
        runs = []
        for trial in range(asked.trials):
            for crew in asked.crews.split(","):
                out = folder / f"evaluation-{crew}-{trial}"
                runs.append(measured(crew, cohort, asked.model, out))
                print(runs[-1], flush=True)
    found = table(runs, asked.cases, f"virtual pelvis, {asked.spacing_mm:g} mm, {asked.model}")
    print(found)
    if asked.write:
        page = asked.write.read_text(encoding="utf-8")
        marked = re.compile(f"{BEGIN}\n.*?{END}", re.DOTALL)
        write_text(asked.write, marked.sub(lambda _: f"{BEGIN}\n{found}{END}", page))


if __name__ == "__main__":
    main()
