"""The verb ``preflight``, and the same checks before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Options, add_verb, argument, option
from qa_suite.core.wording import count

if TYPE_CHECKING:
    from qa_suite.core.cohort import Case, Cohort
    from qa_suite.preflight import PreflightResult

_SHOWN = ("alignment_displacement_95", "alignment_shift", "alignment_rotation", "body_overlap")
_EXIT_STATUS = {"refused": 1, "undetermined": 3}


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, preflight, PreflightOptions)


class PreflightOptions(Options):
    """Which cohort is checked, and how strictly."""

    cohort: Path = argument(REQUIRED, "The cohort: its folder or manifest.")
    max_misalignment_mm: float = option(10.0, "Refuse cases that are further apart.", ge=0)
    workers: int = option(2, "Cases checked at a time.", ge=1)
    as_json: bool = option(False, "Print every value as JSON.", "json")


def preflight(asked: PreflightOptions) -> int:
    """Check every case of a cohort before anything is trained or measured, and say what is odd.

    Exit status: 1 where a case is refused, else 3 where one is undetermined.

    Example: `qa-suite preflight cohorts/sts`
    """
    from qa_suite.core.cohort import load_cohort

    material = load_cohort(asked.cohort)
    cases = [case for case in material.cases if case.import_problem is None]
    for case in material.cases:
        if case.import_problem is not None:
            console.say(f"  not imported, not checked: {case.case}: {case.import_problem}")
    results = check_cases(
        material,
        asked.cohort,
        cases,
        max_misalignment_mm=asked.max_misalignment_mm,
        workers=asked.workers,
    )
    found: Counter[str] = Counter(result.status for result in results.values())
    if asked.as_json:
        console.show_json([_facts(case, results[case.case]) for case in cases])
    else:
        _show(cases, results, found)
    return next((code for status, code in _EXIT_STATUS.items() if found[status]), 0)


def _show(
    cases: Sequence[Case], results: Mapping[str, PreflightResult], found: Mapping[str, int]
) -> None:
    """Print every case with its status and sentence, and the checks that some cannot answer."""
    rows = []
    for case in sorted(cases, key=lambda case: (case.site, case.case)):
        result = results[case.case]
        shown = [_value(result, name) for name in _SHOWN]
        rows.append((case.case, case.site, case.split, *shown, result.status, result.sentence))
    counts = [f"{found.get(s, 0)} {s}" for s in ("refused", "undetermined", "warning", "ok")]
    console.show_table(
        f"{count(len(cases), 'case')}: {', '.join(counts)}",
        ("case", "site", "set", "displaced", "shift", "rotation", "overlap", "status", "why"),
        rows,
    )
    _show_open(results)


def _show_open(results: Mapping[str, PreflightResult]) -> None:
    """Print the checks that some cases cannot answer, with the reason and how many."""
    open_checks = Counter(
        (name, why) for result in results.values() for name, why in result.undetermined.items()
    )
    if open_checks:
        console.show_table(
            "Checks that could not be answered",
            ("check", "cases", "why"),
            [(name, n, why) for (name, why), n in sorted(open_checks.items())],
        )


def check_cases(
    cohort: Cohort,
    folder: Path,
    cases: Sequence[Case],
    *,
    max_misalignment_mm: float = 10.0,
    workers: int = 2,
) -> dict[str, PreflightResult]:
    """Run preflight on cases; what cannot be read at all is refused with its reason."""
    from qa_suite.core.cohort import manifest_path
    from qa_suite.core.errors import QAError
    from qa_suite.core.failures import is_of_the_run, unfinished
    from qa_suite.io.cases import load_case
    from qa_suite.preflight import PreflightSettings, unreadable
    from qa_suite.preflight import preflight as check

    settings = PreflightSettings(max_misalignment_mm=max_misalignment_mm)
    place = manifest_path(folder).parent

    def work(case: Case) -> tuple[str, PreflightResult]:
        try:
            loaded = load_case(cohort, case, place)
        except QAError as error:
            if is_of_the_run(error):
                raise unfinished(f"The case {case.case} could not be checked", error) from error
            return case.case, unreadable(error)
        return case.case, check(loaded, cohort, settings)

    results: dict[str, Any] = {}
    with console.progress_bar("Preflight") as progress, ThreadPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(work, case) for case in cases]):
            name, result = future.result()
            results[name] = result
            progress(len(results), len(cases), name)
    return {case.case: results[case.case] for case in cases}  # not as the threads ended


def without_refused(
    cohort: Cohort, folder: Path, *, max_misalignment_mm: float, sources_alone: bool = False
) -> Cohort:
    """Take the cases to learn from or calibrate on that preflight refuses out of their sets.

    Train cases without a reference stay where ``sources_alone`` may be learnt from: there is
    nothing to compare.
    """
    cases = [
        case
        for case in cohort.in_split("train", "validation", "calibration")
        if not (sources_alone and case.split == "train" and case.reference is None)
    ]
    results = check_cases(cohort, folder, cases, max_misalignment_mm=max_misalignment_mm)
    refused = {name: result.reason for name, result in results.items() if result.refused}
    for name, reason in sorted(refused.items()):
        console.say(f"  not trained on: {name}: {reason}")
    for name, result in sorted(results.items()):
        if result.status in ("undetermined", "warning"):
            console.say(f"  trained on, {result.status}: {name}: {result.sentence}")
    kept = tuple(
        case.model_copy(update={"split": None}) if case.case in refused else case
        for case in cohort.cases
    )
    return cohort.model_copy(update={"cases": kept})


def _value(result: PreflightResult, name: str) -> str:
    value = result.values.get(name)
    if value is None:
        return "not checked"
    unit = {"1": "", "deg": "°"}.get(value.unit, f" {value.unit}")
    digits = 2 if value.unit == "1" else 1
    if value.value is not None:
        return f"{value.value:.{digits}f}{unit}"
    if value.at_least is not None:
        return f"≥ {value.at_least:.{digits}f}{unit}"
    return value.status


def _facts(case: Case, result: PreflightResult) -> dict[str, Any]:
    return {
        "case": case.case,
        "site": case.site,
        "split": case.split,
        "status": result.status,
        "refused": result.refused,
        "reason": result.sentence,
        "values": {name: value.model_dump(mode="json") for name, value in result.values.items()},
    }
