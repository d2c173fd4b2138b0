"""Run the whole exam of a profile and write its table into the docs.

python benchmarks/exam_table.py --write docs/exam.md --out exam

After --write, `python -m benchmarks.exam_facts` brings the table into the reports.

With --out an exam that was ended carries on, and it may be run in stages: a candidate or the
clinical severities first, and the whole at last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qa_suite.core.executors.crew import Crew
from qa_suite.core.record_files import write_model
from qa_suite.lab.exam.run import TWO, run_exam
from qa_suite.lab.exam.settings import REPORTED_SEED, ExamSettings
from qa_suite.lab.exam.table import markdown

BEGIN, END = "<!-- exam table: begin -->", "<!-- exam table: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=REPORTED_SEED)
    parser.add_argument("--clean-cohorts", type=int, default=59)
    parser.add_argument("--candidates", default="twin,realistic")
    parser.add_argument(
        "--clinical-only", action="store_true", help="each at its clinical severity"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for exam.json and the journal")
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    parser.add_argument(
        "--judge-again", action="store_true", help="judge what lies in --out and measure nothing"
    )
    options = parser.parse_args()

    settings = ExamSettings(
        seed=options.seed,
        clean_cohorts=options.clean_cohorts,
        candidates=tuple(options.candidates.split(",")),
        clinical_only=options.clinical_only,
    )
    run_and_write(
        settings,
        out=options.out,
        page=options.write,
        crew=Crew(workers=options.workers),
        judge_again=options.judge_again,
    )


def run_and_write(
    settings: ExamSettings,
    *,
    out: Path | None,
    page: Path | None,
    crew: Crew = TWO,
    judge_again: bool = False,
) -> None:
    """Run an exam, print its table, keep it in a folder and on a page where they are given."""

    def told(done: int, total: int, what: str) -> None:
        if done % 20 == 0:
            print(f"{done}/{total} {what}", flush=True)

    found = run_exam(settings, progress=told, out=out, crew=crew, judge_again=judge_again)
    text = markdown(found)
    print(text)
    print(
        f"{found.seconds / 60:.1f} minutes, {found.cpu_seconds / 60:.1f} of the processors'; "
        f"{'passed' if found.passed else 'NOT PASSED'}"
    )
    if out is not None:
        write_model(out / "exam.json", found)
    if page is not None:
        head, rest = page.read_text().split(BEGIN)
        page.write_text(f"{head}{BEGIN}\n{text}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
