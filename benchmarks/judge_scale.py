"""How long judging takes and how much memory, by the number of cases.

    qa-suite demo
    python -m benchmarks.judge_scale demo-output/evaluations/demo-regression-1 --profile demo-pelvis

The cases of a real record are repeated under other names, each with values of its own, so that a
record of a thousand cases has rows, columns, regions and preflight values as real ones have. Each
size is judged in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.filling import fill
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_files import (
    CASES_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_evaluation,
    write_model,
)
from qa_suite.core.record_names import NORMS_FILE

SIZES = (24, 216, 1008)


def enlarge(evaluation: Path, out: Path, cases: int, seed: int = 1) -> None:
    """Write a record with so many cases, made of those of another.

    Parameters
    ----------
    evaluation
        The record whose cases are repeated.
    out
        The new folder.
    cases
        How many, at least as many as there are.
    seed
        Of what is added to the values.
    """
    out.mkdir(parents=True)
    record = read_evaluation(evaluation)
    rng = np.random.default_rng(seed)
    known = pd.read_parquet(evaluation / CASES_FILE)
    times = -(-cases // len(known))
    tables = {}
    if (evaluation / NORMS_FILE).is_file():
        shutil.copy(evaluation / NORMS_FILE, out / NORMS_FILE)
        tables[NORMS_FILE] = sha256_of(out / NORMS_FILE)
    names = sorted(f"{case}-{n:04d}" for case in known["case"] for n in range(times))
    wanted = set(names[: max(cases, len(known))])
    for name in (CASES_FILE, MEASUREMENTS_FILE, CURVES_FILE):
        table = pd.read_parquet(evaluation / name)
        parts = []
        for n in range(times):
            part = table.copy()
            for column in ("case", "patient"):
                part[column] = part[column] + f"-{n:04d}"
            if "value" in part:
                part["value"] = part["value"] * rng.normal(1, 0.02, len(part))
            if "voxel_hashes" in part:
                part["voxel_hashes"] = "{}"
            parts.append(part)
        whole = pd.concat(parts, ignore_index=True)
        whole = whole[whole["case"].isin(wanted)].sort_values("case", kind="stable")
        whole.to_parquet(out / name, index=False, compression="zstd")
        tables[name] = sha256_of(out / name)
    counts = {"imported": cases, "held_out": cases, "evaluated": cases}
    facts = {
        "tables_sha256": tables,
        "case_counts": {**record.case_counts, **counts},
        "cohort": record.cohort.model_copy(update={"cases": cases, "patients": cases}),
        "when": record.when.model_copy(update={"costs_sha256": ""}),
    }
    write_model(out / EVALUATION_FILE, record.model_copy(update=facts))


def measure(folder: Path, profile: str) -> dict[str, float]:
    """Judge a record in this process; return rows, seconds and MiB."""
    import time

    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.judging.judge import judge

    asked = load_profile(profile)
    before = _peak_kib()
    begun, spent = time.perf_counter(), time.process_time()
    verdict = judge(folder, asked)
    return {
        "findings": len(verdict.findings),
        "seconds": time.perf_counter() - begun,
        "processor_s": time.process_time() - spent,
        "mib": (_peak_kib() - before) / 1024,
    }


def _peak_kib() -> int:
    """Return the most memory of this program; what its parent had is no part of it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--profile", default="demo-pelvis")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--measure", action="store_true", help="of the folder itself, as JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.evaluation, given.profile)))
        return
    lines = ["| Cases | Rows | Seconds | Processor seconds | MiB more |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        for size in given.sizes:
            folder = Path(scratch) / str(size)
            enlarge(given.evaluation, folder, size)
            rows = len(pd.read_parquet(folder / MEASUREMENTS_FILE, columns=["case"]))
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.judge_scale", str(folder), "--measure",
                 "--profile", given.profile],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            told = json.loads(done.stdout)
            lines.append(
                f"| {size} | {rows} | {told['seconds']:.2f} | {told['processor_s']:.2f} | "
                f"{told['mib']:.0f} |"
            )
            print(lines[-1], flush=True)
    if given.write:
        fill(given.write, {"judge-scale": "\n".join(lines)})


if __name__ == "__main__":
    main()
