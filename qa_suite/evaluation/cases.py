"""The cases of an evaluation, each done by whoever there is and kept as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qa_suite.core.cohort import Case
from qa_suite.core.errors import Unfinished
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Done, Job, Kit, WorkerDied
from qa_suite.core.memory import peak_mib
from qa_suite.core.wording import count, some
from qa_suite.evaluation.case_run import CaseUndone, Examination, examine_case, preflight_key
from qa_suite.evaluation.eligibility import cases_with_dose
from qa_suite.evaluation.journal import CaseEntry, Journal
from qa_suite.preflight import PreflightResult

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a worker examines cases with: the examination, and where it keeps volumes."""

    examination: Examination
    out: Path


@dataclass(frozen=True, kw_only=True)
class CaseTask:
    """One case to examine, with what is known of its preflight already."""

    case: Case
    with_dose: bool
    preflights: dict[str, PreflightResult] = field(default_factory=dict)


def run_cases(
    examination: Examination,
    cases: Sequence[Case],
    out: Path,
    journal: Journal,
    *,
    crew: Crew,
    progress: Progress | None,
) -> None:
    """Examine what the journal does not hold yet.

    Whoever examines the cases, this process alone writes the journal.

    Raises
    ------
    Unfinished
        If cases failed for a reason of the run. The others were done first and are kept.
    OSError
        If what a case gave cannot be kept: that ends the run at once.
    """
    todo = [case for case in cases if not journal.holds(case.case)]
    kept = len(cases) - len(todo)
    undone: dict[str, str] = {}
    for done in _examined(examination, cases, todo, out, journal, crew) if todo else ():
        if isinstance(done.error, (CaseUndone, WorkerDied)):
            undone[done.name] = str(done.error)
        elif done.error is not None:
            raise done.error
        else:
            entry, known = done.answer
            journal.write(entry)
            examination.preflights.update(known)
            kept += 1
        if progress is not None:
            progress(kept, len(cases), done.name)
    _require_all(cases, undone, out)


def _examined(
    examination: Examination,
    cases: Sequence[Case],
    todo: Sequence[Case],
    out: Path,
    journal: Journal,
    crew: Crew,
) -> Iterator[Done]:
    """Yield what every case gave that is still to do, as it is done."""
    dosed = cases_with_dose(examination, cases, journal.read)
    jobs = [
        Job(name=case.case, function=examine, task=_task(examination, case, case.case in dosed))
        for case in todo
    ]
    bench = Bench(examination=replace(examination, preflights={}), out=out)
    with executor_of(crew, Kit(make=prepare, material=bench)) as executor:
        yield from executor.run(jobs)


def _task(examination: Examination, case: Case, with_dose: bool) -> CaseTask:
    key = preflight_key(examination, case)
    known = examination.preflights.get(key)
    return CaseTask(
        case=case, with_dose=with_dose, preflights={} if known is None else {key: known}
    )


def prepare(bench: Bench) -> Bench:
    """Load the translator, once a worker and before its first case."""
    load = getattr(bench.examination.translate, "load", None)
    if load is not None:
        load()
    return bench


def examine(bench: Bench, task: CaseTask) -> tuple[CaseEntry, dict[str, PreflightResult]]:
    """Examine one case; return what it gave, and what is known of its preflight now."""
    known = bench.examination.preflights
    known.update(task.preflights)
    entry = examine_case(bench.examination, task.case, bench.out, with_dose=task.with_dose)
    found = dict(known)
    known.clear()  # what is known of other cases stays with whoever asks
    return entry.model_copy(update={"peak_memory_mib": peak_mib()}), found


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
