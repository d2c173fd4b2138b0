"""Examine the dose profile: plant what changes dose, and write the table into the docs.

python benchmarks/exam_dose.py --write docs/dose/exam.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qa_suite.exam.result import markdown
from qa_suite.exam.run import run_exam
from qa_suite.exam.settings import REPORTED_SEED, ExamSettings
from qa_suite.record_files import write_model

BEGIN, END = "<!-- exam table: begin -->", "<!-- exam table: end -->"
FAULTS = (
    "hu_bias", "hu_scale", "bone_rims_missing", "bone_clipped", "spacing", "one_site",
    "one_patient", "wrong_patient",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=REPORTED_SEED)
    parser.add_argument("--clean-cohorts", type=int, default=5)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--out", type=Path, help="folder for exam.json")
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    options = parser.parse_args()

    def told(done: int, total: int, what: str) -> None:
        if done % 20 == 0:
            print(f"{done}/{total} {what}", flush=True)

    settings = ExamSettings(
        profile="mr-to-ct-pelvis-dose",
        seed=options.seed,
        clean_cohorts=options.clean_cohorts,
        faults=tuple(options.faults.split(",")),
        clinical_only=True,
        trials=3,
        alone=False,
    )
    found = run_exam(settings, progress=told)
    text = markdown(found)
    print(text)
    print(f"{found.seconds / 60:.1f} minutes; {'passed' if found.passed else 'NOT PASSED'}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_model(options.out / "exam.json", found)
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{head}{BEGIN}\n{text}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
