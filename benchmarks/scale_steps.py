"""The steps whose cost grows with the number of cases, each in a process of its own.

    python -m benchmarks.scale_steps STEP CASES FOLDER

A step finds what the one before it left in the folder, and prints its :class:`Cost` as JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import shake_256
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from qa_suite.core.cohort import MANIFEST_FILE, Case, Cohort, load_cohort, save_cohort
from qa_suite.core.json_files import read_json_model
from qa_suite.core.memory import peak_mib
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.record_names import CASES_FILE, COSTS_FILE, CURVES_FILE, MEASUREMENTS_FILE
from qa_suite.core.records import Measurement
from qa_suite.evaluation.case_run import EvaluationSettings, Examination
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.evaluation.journal import JOURNAL_FOLDER, CaseEntry, Journal, RunPlan
from qa_suite.evaluation.profiles import load_profile
from qa_suite.evaluation.provenance import code_facts
from qa_suite.io.cases import load_case
from qa_suite.judging.judge import judge
from qa_suite.lab.oracles import oracle
from qa_suite.metrics.copies import refuse_others

PROFILE = "mr-to-ct-pelvis"
TABLES = (MEASUREMENTS_FILE, CASES_FILE, CURVES_FILE, COSTS_FILE)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a step took of the processor, the most memory of its process, what it left on disk."""

    cpu_seconds: float
    peak_mib: float
    disk_bytes: int


def cohort_of(folder: Path, cases: int) -> Cohort:
    """Give the virtual patients so many names, each with hashes of its own."""
    known = load_cohort(folder / "cohort")
    made = tuple(_renamed(case, n) for n, case in enumerate(islice(cycle(known.cases), cases)))
    return known.model_copy(update={"cases": made})


def _renamed(case: Case, n: int) -> Case:
    name = f"{case.site[-1]}-{n:07d}"
    return case.model_copy(
        update={
            "case": name,
            "patient": _digits(name, 16),
            "voxel_hashes": {role: _digits(role + name, 64) for role in case.voxel_hashes},
            "fingerprints": {
                role: _digits(name + role, len(text)) for role, text in case.fingerprints.items()
            },
        }
    )


def _digits(text: str, number: int) -> str:
    return shake_256(text.encode()).hexdigest(number // 2)


def entries_of(folder: Path, cohort: Cohort) -> Iterator[CaseEntry]:
    """Give every case what one of the measured ones gave, with values that differ a little."""
    paths = sorted((folder / "evaluation" / JOURNAL_FOLDER).glob("case-*.json"))
    known = [read_json_model(path, CaseEntry) for path in paths]
    rng = np.random.default_rng(1)
    for case, entry in zip(cohort.cases, cycle(known), strict=False):
        who = {"case": case.case, "patient": case.patient, "site": case.site}
        yield entry.model_copy(
            update={
                "record": entry.record.model_copy(
                    update={**who, "volumes": {}, "voxel_hashes": case.voxel_hashes}
                ),
                "measurements": tuple(_differing(row, who, rng) for row in entry.measurements),
                "curves": tuple(point.model_copy(update=who) for point in entry.curves),
                "costs": tuple(row.model_copy(update=who) for row in entry.costs),
            }
        )


def _differing(row: Measurement, who: dict[str, str], rng: np.random.Generator) -> Measurement:
    value = None if row.value is None else row.value * (1 - 1e-3 * rng.random())
    return row.model_copy(update={**who, "value": value})


def examination_of(folder: Path, cohort: Cohort) -> Examination:
    """The evaluation of those cases; nothing of it is translated, since the journal is whole."""
    facts, translate = oracle("oracle:twin")
    return Examination(
        cohort=cohort,
        folder=folder / "cohort",
        model=facts,
        translate=translate,
        settings=EvaluationSettings(keep_volumes="none"),
    )


# ------------------------------------------------------------------ the steps


def manifest(folder: Path, cases: int) -> int:
    """Write the manifest and read it."""
    place = folder / "cohort" / f"of-{cases}"
    place.mkdir(exist_ok=True)
    cohort = cohort_of(folder, cases)
    before = time.process_time()
    save_cohort(cohort, place)
    load_cohort(place, check_files=False)
    SPENT.append(time.process_time() - before)
    return (place / MANIFEST_FILE).stat().st_size


def journal(folder: Path, cases: int) -> int:
    """Write what every case gave."""
    cohort = cohort_of(folder, cases)
    out = folder / f"out-{cases}"
    shutil.rmtree(out, ignore_errors=True)
    code = code_facts()
    plan = RunPlan(
        evaluation=examination_of(folder, cohort).identifier,
        suite_version=code.suite_version,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        plugins=code.plugins,
        started="2026-01-01T00:00:00+00:00",
    )
    written = Journal(out, plan)
    for entry in entries_of(folder, cohort):
        before = time.process_time()
        written.write(entry)
        SPENT.append(time.process_time() - before)
    return sum(path.stat().st_size for path in (out / JOURNAL_FOLDER).iterdir())


def record(folder: Path, cases: int) -> int:
    """Read the whole journal and write the tables."""
    examination = examination_of(folder, cohort_of(folder, cases))
    out = folder / f"out-{cases}"
    before = time.process_time()
    evaluate(examination, out)
    SPENT.append(time.process_time() - before)
    return sum((out / name).stat().st_size for name in TABLES)


def reading(folder: Path, cases: int) -> int:
    """Read the record and hold it against its tables."""
    before = time.process_time()
    read_evaluation(folder / f"out-{cases}")
    SPENT.append(time.process_time() - before)
    return 0


def judging(folder: Path, cases: int) -> int:
    """Judge the record."""
    profile = load_profile(PROFILE)
    before = time.process_time()
    judge(folder / f"out-{cases}", profile)
    SPENT.append(time.process_time() - before)
    return 0


def others(folder: Path, cases: int) -> int:
    """Look whether one synthetic image is a scan of any other case."""
    known = load_cohort(folder / "cohort")
    image = load_case(known, known.cases[0], folder / "cohort").reference
    assert image is not None
    examination = examination_of(folder, cohort_of(folder, cases))
    case, scans = examination.cohort.cases[0].case, examination.scans
    refuse_others(image, case, scans)
    before = time.process_time()
    refuse_others(image, case, scans)
    SPENT.append(time.process_time() - before)
    return 0


SPENT: list[float] = []
STEPS: dict[str, Callable[[Path, int], int]] = {
    "the manifest": manifest,
    "the journal": journal,
    "writing the record": record,
    "reading the record": reading,
    "judging": judging,
    "looking for copies": others,
}


def main() -> None:
    """Do one step and say what it took."""
    step, cases, folder = sys.argv[1:]
    left = STEPS[step](Path(folder), int(cases))
    cost = Cost(cpu_seconds=sum(SPENT), peak_mib=peak_mib(), disk_bytes=left)
    print(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main()
