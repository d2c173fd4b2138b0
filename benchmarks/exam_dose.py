"""Examine the dose profile: plant what changes dose, and write the table into the docs.

python benchmarks/exam_dose.py --write docs/dose/exam.md --out exam-dose

With --out an exam that was ended carries on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from exam_table import run_and_write

from qa_suite.core.executors.crew import Crew
from qa_suite.lab.exam.settings import REPORTED_SEED, ExamSettings

FAULTS = (
    "hu_bias",
    "hu_scale",
    "bone_rims_missing",
    "bone_clipped",
    "spacing",
    "one_site",
    "one_patient",
    "wrong_patient",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=REPORTED_SEED)
    parser.add_argument("--clean-cohorts", type=int, default=5)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--candidates", default="twin,realistic")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for exam.json and the journal")
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    parser.add_argument(
        "--judge-again", action="store_true", help="judge what lies in --out and measure nothing"
    )
    options = parser.parse_args()

    settings = ExamSettings(
        profile="mr-to-ct-pelvis-dose",
        seed=options.seed,
        clean_cohorts=options.clean_cohorts,
        faults=tuple(options.faults.split(",")),
        clinical_only=True,
        trials=3,
        alone=False,
        candidates=tuple(options.candidates.split(",")),
    )
    run_and_write(
        settings,
        out=options.out,
        page=options.write,
        crew=Crew(workers=options.workers),
        judge_again=options.judge_again,
    )


if __name__ == "__main__":
    main()
