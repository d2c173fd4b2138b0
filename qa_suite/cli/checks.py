"""The verb ``preflight``, and the same checks before training."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from qa_suite.cohort import Case, Cohort
    from qa_suite.preflight import PreflightResult

_SHOWN = ("alignment_shift", "alignment_rotation")


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("preflight")(preflight)


def preflight(
    cohort: Annotated[Path, typer.Argument(help="The cohort: its folder or manifest.")],
    max_misalignment_mm: Annotated[
        float, typer.Option(help="Refuse cases that are further apart.")
    ] = 10.0,
    workers: Annotated[int, typer.Option(help="Cases checked at a time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print every value as JSON.")] = False,
) -> int:
    """Check every case of a cohort before anything is trained or measured; names the refused.

    Example: `qa-suite preflight cohorts/sts`
    """
    from qa_suite.cohort import load_cohort

    material = load_cohort(cohort)
    cases = [case for case in material.cases if case.import_problem is None]
    results = check_cases(
        material, cohort, cases, max_misalignment_mm=max_misalignment_mm, workers=workers
    )
    if as_json:
        console.show_json([_facts(case, results[case.case]) for case in cases])
        return 0
    rows = []
    for case in sorted(cases, key=lambda case: (case.site, case.case)):
        result = results[case.case]
        shown = [_value(result, name) for name in _SHOWN]
        status = "refused" if result.refused else "ok"
        rows.append((case.case, case.site, case.split, *shown, status, result.reason))
    refused = sum(result.refused for result in results.values())
    console.show_table(
        f"{refused} of {len(cases)} cases refused",
        ("case", "site", "set", "shift", "rotation", "status", "reason"),
        rows,
    )
    return 0


def check_cases(
    cohort: Cohort,
    folder: Path,
    cases: Sequence[Case],
    *,
    max_misalignment_mm: float = 10.0,
    workers: int = 2,
) -> dict[str, PreflightResult]:
    """Run preflight on cases; what cannot be read at all is refused with its reason."""
    from qa_suite.cohort import manifest_path
    from qa_suite.errors import QAError
    from qa_suite.io.cases import load_case
    from qa_suite.preflight import PreflightSettings, unreadable
    from qa_suite.preflight import preflight as check

    settings = PreflightSettings(max_misalignment_mm=max_misalignment_mm)
    place = manifest_path(folder).parent

    def work(case: Case) -> tuple[str, PreflightResult]:
        try:
            loaded = load_case(cohort, case, place)
        except QAError as error:
            return case.case, unreadable(error)
        return case.case, check(loaded, cohort, settings)

    results: dict[str, Any] = {}
    with console.progress_bar("Preflight") as progress, ThreadPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(work, case) for case in cases]):
            name, result = future.result()
            results[name] = result
            progress(len(results), len(cases), name)
    return results


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
    kept = tuple(
        case.model_copy(update={"split": None}) if case.case in refused else case
        for case in cohort.cases
    )
    return cohort.model_copy(update={"cases": kept})


def _value(result: PreflightResult, name: str) -> str:
    value = result.values.get(name)
    if value is None:
        return "not checked"
    return value.status if value.value is None else f"{value.value:.1f} {value.unit}"


def _facts(case: Case, result: PreflightResult) -> dict[str, Any]:
    return {
        "case": case.case,
        "site": case.site,
        "split": case.split,
        "refused": result.refused,
        "reason": result.reason,
        "values": {name: value.model_dump(mode="json") for name, value in result.values.items()},
    }
