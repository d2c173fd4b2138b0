"""The cases of an evaluation, one after another or side by side, each kept as it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from qa_suite.core.cohort import Case
from qa_suite.core.errors import Unfinished
from qa_suite.core.wording import count, some
from qa_suite.evaluation.case_run import CaseUndone, Examination, examine_case
from qa_suite.evaluation.eligibility import cases_with_dose
from qa_suite.evaluation.journal import CaseEntry, Journal

Progress = Callable[[int, int, str], None]


def run_cases(
    examination: Examination,
    cases: Sequence[Case],
    out: Path,
    journal: Journal,
    *,
    workers: int,
    progress: Progress | None,
) -> list[CaseEntry]:
    """Examine what the journal does not hold yet; return every case in the order given.

    Raises
    ------
    Unfinished
        If cases failed for a reason of the run. The others were done first and are kept.
    OSError
        If what a case gave cannot be kept: that ends the run at once.
    """
    entries = {case.case: entry for case in cases if (entry := journal.read(case.case))}
    todo = [case for case in cases if case.case not in entries]
    undone: dict[str, str] = {}
    translating = threading.Lock()
    dosed = cases_with_dose(examination, cases, entries) if todo else frozenset[str]()

    def work(case: Case, alone: bool) -> CaseEntry:
        entry = examine_case(
            examination, case, out, translating, with_dose=case.case in dosed, alone=alone
        )
        journal.write(entry)
        return entry

    def done(case: Case, find: Callable[[], CaseEntry]) -> None:
        try:
            entries[case.case] = find()
        except CaseUndone as error:
            undone[case.case] = str(error)
        if progress is not None:
            progress(len(entries), len(cases), case.case)

    # with several workers the first case goes alone, so that its memory can be told
    first = 1 if workers > 1 else 0
    for case in todo[:first]:
        done(case, lambda case=case: work(case, True))  # type: ignore[misc]
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures: dict[Future[CaseEntry], Case] = {
            pool.submit(work, case, workers <= 1): case for case in todo[first:]
        }
        try:
            for future in as_completed(futures):
                done(futures[future], future.result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _require_all(cases, undone, out)
    return [entries[case.case] for case in cases]


def _require_all(cases: Sequence[Case], undone: Mapping[str, str], out: Path) -> None:
    """Say which cases are to be done again, and how; no record is written without them."""
    if not undone:
        return
    named = some([f"{case.case} ({undone[case.case]})" for case in cases if case.case in undone])
    kept = len(cases) - len(undone)
    raise Unfinished(
        f"{len(undone)} of {count(len(cases), 'case')} failed for a reason of the run and not of "
        f"the data: {'; '.join(named)}. {kept} are kept in {out}; when that is mended, the same "
        f"command does these alone and writes the record (with less at a time: --workers 1)."
    )
