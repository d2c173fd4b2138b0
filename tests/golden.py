"""The golden record: what one virtual patient is measured to be, dose included, kept in the tests.

A change of the code that is not meant to change a number must leave it as it is. One that is
meant to writes it anew, and says in the changelog which numbers changed and why:

    python -m tests.golden --write tests/data/golden
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEPT = ("measurements.parquet", "curves.parquet")
COHORT = ("--patients", "1", "--hospitals", "B", "--spacing-mm", "6,6,6", "--split", "test=1",
          "--seed", "11")  # fmt: skip
DOSE = ("--plan", "photon-pelvis", "--plan", "proton-pelvis", "--hlut", "thomas-1999",
        "--hlut", "stoichiometric-schneider", "--dose-grid-mm", "6")  # fmt: skip


def make(folder: Path) -> Path:
    """Make the cohort and its evaluation below a folder; return the record."""
    _suite(folder, "phantom", "cohort", *COHORT)
    _suite(folder, "evaluate", "cohort", "oracle:twin", "--out", "record", "--workers", "1", *DOSE)
    return folder / "record"


def _suite(folder: Path, *words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": ""}
    subprocess.run(
        [sys.executable, "-m", "qa_suite.cli", *words],
        cwd=folder,
        env=environment,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True)
    target = parser.parse_args().write
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = make(Path(scratch))
        for name in KEPT:
            shutil.copy(made / name, target / name)
