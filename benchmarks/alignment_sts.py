r"""What preflight says of the sarcoma patients, patient by patient, for docs/appendix/alignment.md.

    python -m benchmarks.alignment_sts cohorts/sts --write docs/appendix/alignment.md

The cohort is imported as docs/real-patients.md says; its names of patients are those of the
public data set, which the import keeps beside the manifest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.commission.tables import write_between

HEAD = (
    "| patient | MR | x, mm | y, mm | z, mm | shift, mm | rotation, ° | 95 % displacement, mm | "
    "consensus | overlap of the bodies | |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)
COLUMNS = (  # value of preflight, digits
    ("alignment_shift_x", 1),
    ("alignment_shift_y", 1),
    ("alignment_shift_z", 1),
    ("alignment_shift", 1),
    ("alignment_rotation", 1),
    ("alignment_displacement_95", 1),
    ("alignment_consensus", 2),
    ("body_overlap", 2),
)


def cell(found: dict[str, Any], digits: int) -> str:
    """Return a value, the least that it is, or that there is none."""
    if found["value"] is not None:
        return f"{round(found['value'], digits) + 0:.{digits}f}"
    if found["at_least"] is not None:
        return f"≥ {found['at_least']:.{digits}f}"
    return "–"


def row(case: dict[str, Any], name: str) -> str:
    """Return a case's line of the table."""
    cells = [cell(case["values"][key], digits) for key, digits in COLUMNS]
    status = "**refused**" if case["refused"] else case["status"]
    return f"| {name} | {case['site']} | {' | '.join(cells)} | {status} |"


def main() -> None:
    """Check the cohort, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    asked = parser.parse_args()
    names = json.loads((asked.cohort / "private.json").read_text())
    command = [sys.executable, "-m", "qa_suite.cli", "preflight", str(asked.cohort), "--json"]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    cases = sorted(json.loads(said.stdout), key=lambda c: names[c["case"]]["identifier"])
    table = "\n".join([HEAD, *(row(case, names[case["case"]]["identifier"]) for case in cases)])
    print(table)
    if asked.write is not None:
        write_between(asked.write, "sarcoma table", table)


if __name__ == "__main__":
    main()
