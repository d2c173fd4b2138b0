"""Runs the whole path in the working folder, where a cohort lies; see test_determinism.py."""

from __future__ import annotations

import contextlib
from pathlib import Path

STEPS = (
    ("phantom", "virtual", "--patients", "1", "--hospitals", "A", "--spacing-mm", "14,14,20"),
    ("train", "intensity", "cohort", "--name", "tiny", "--work", "work", "--no-preflight"),
    ("evaluate", "cohort", "models:/tiny/1", "--out", "out"),
    ("judge", "out", "--profile", "demo-pelvis"),
    ("report", "out", "--profile", "demo-pelvis"),
    *(("list", kind, "--json") for kind in ("metrics", "criteria", "translators", "faults")),
    ("evaluate", "cohort", "models:/tiny/1", "--plan", "nonesuch"),
)


def main() -> None:
    import torch

    from qa_suite.cli import run

    torch.set_num_threads(1)
    with (
        Path("said.txt").open("w") as said,
        Path("progress.txt").open("w") as progress,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(progress),
    ):
        for step in STEPS:
            print("$", *step)
            print("exit code", run(list(step)))


if __name__ == "__main__":
    main()
