"""The golden record: what one virtual patient is measured to be, dose included, kept in the tests.

A change of the code that is not meant to change a number must leave it as it is. One that is
meant to writes it anew, and says in the changelog which numbers changed and why:

    python -m tests.golden --write tests/data/golden
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import tempfile
from pathlib import Path

KEPT = ("measurements.parquet", "curves.parquet")
COHORT = ("--patients", "1", "--hospitals", "B", "--spacing-mm", "6,6,6", "--split", "test=1",
          "--seed", "11")  # fmt: skip
DOSE = ("--plan", "photon-pelvis", "--plan", "proton-pelvis", "--hlut", "thomas-1999",
        "--hlut", "stoichiometric-schneider", "--dose-grid-mm", "6")  # fmt: skip


def make(folder: Path) -> Path:
    """Make the cohort and its evaluation below a folder; return the record."""
    record = folder / "record"
    _suite("phantom", str(folder / "cohort"), *COHORT)
    evaluate = ("evaluate", str(folder / "cohort"), "oracle:twin", "--out", str(record))
    _suite(*evaluate, "--workers", "1", "--no-track", *DOSE)
    return record


def _suite(*words: str) -> None:
    import torch

    from qa_suite.cli import run

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        if status := run(list(words)):
            raise SystemExit(f"qa-suite {' '.join(words)} ended with {status}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True)
    target = parser.parse_args().write
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = make(Path(scratch))
        for name in KEPT:
            shutil.copy(made / name, target / name)
