"""Trains the tiny specification as one of the processes that torchrun starts."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from qa_suite.core.cohort import load_cohort
from qa_suite.learning.parallel import rank_of_environment
from translators.base import create
from translators.spec import parse_spec


def main(spec_file: str, cohort_folder: str, workdir: str) -> None:
    import json

    torch.set_num_threads(1)
    spec = parse_spec(json.loads(Path(spec_file).read_text()), subject=spec_file)
    translator = create(spec)
    folder = Path(cohort_folder)
    translator.fit(load_cohort(folder), folder, workdir=Path(workdir), device="cpu")
    if rank_of_environment() == 0:
        translator.save(Path(workdir) / "saved")


if __name__ == "__main__":
    main(*sys.argv[1:])
