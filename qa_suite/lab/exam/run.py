"""The exam: plant, measure, judge, and count what was caught."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Unfinished
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Executor, Job, Kit, WorkerDied, in_order, jobs_of
from qa_suite.core.one_writer import writing
from qa_suite.core.records import Profile
from qa_suite.core.wording import count as count_of
from qa_suite.core.wording import some
from qa_suite.evaluation.profiles import load_profile
from qa_suite.evaluation.provenance import code_facts
from qa_suite.judging.judge import profile_digest
from qa_suite.lab.exam.counting import Ground, count_clean, count_fault
from qa_suite.lab.exam.journal import Journal
from qa_suite.lab.exam.no_reference import limits_from
from qa_suite.lab.exam.plan import tasks_of
from qa_suite.lab.exam.readings import Answers, ImageReading, Task, examine
from qa_suite.lab.exam.result import CandidateResult, Cell, CleanCheck, ExamResult
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.lab.exam.verdicts import judge_readings
from qa_suite.lab.phantom.candidates import CANDIDATES
from qa_suite.metrics.base import Instruments

Progress = Callable[[int, int, str], None]
Found = dict[str, Answers]
"""What one patient gave, by candidate."""
TWO = Crew(workers=2)


def run_exam(
    settings: ExamSettings,
    *,
    cohort: Cohort | None = None,
    folder: Path | None = None,
    instruments: Instruments | None = None,
    crew: Crew = TWO,
    progress: Progress | None = None,
    out: Path | None = None,
    judge_again: bool = False,
) -> ExamResult:
    """Examine the examiner: plant every fault at every severity and see what the verdict says.

    Parameters
    ----------
    settings
        Which patients, candidates, faults and criteria.
    cohort, folder
        A cohort of virtual patients to plant into instead of new ones; its clean cohorts are
        the same patients with fresh images.
    instruments
        What the measures may use beside the images, such as norms.
    crew
        Who measures; the result does not depend on it.
    progress
        Called with (patients done, patients in all, what).
    out
        A folder for the journal: what it holds already is not measured again.
    judge_again
        Whether to judge what the folder's journal holds, whole, under the profile and by the rules
        of today, and to measure nothing. A measure that the profile did not ask for then has no
        value now.

    Returns
    -------
    ExamResult

    Raises
    ------
    InputError
        If a patient of the cohort is not virtual, no patient has a place for a fault, the folder
        holds the journal of another exam, or what is to be judged again is not whole.
    Unfinished
        If patients ended every worker that measured them. The others are in the journal, and the
        same call measures these alone.
    """
    with writing(out, "exam"):
        return _exam(settings, cohort, folder, instruments, crew, progress, out, judge_again)


def _exam(
    settings: ExamSettings,
    cohort: Cohort | None,
    folder: Path | None,
    instruments: Instruments | None,
    crew: Crew,
    progress: Progress | None,
    out: Path | None,
    judge_again: bool,
) -> ExamResult:
    started = time.perf_counter()
    profile = load_profile(settings.profile)
    patients_from = "virtual" if cohort is None else cohort.name
    code, digest = code_facts(), profile_digest(profile)
    journal = Journal(
        out,
        settings,
        profile_sha256=digest,
        patients_from=patients_from,
        code=code,
        again=judge_again,
    )
    tasks = tasks_of(settings, profile, cohort, folder)
    if judge_again:
        _require_whole(tasks, journal)
    with executor_of(crew, Kit(make=_instruments, material=instruments)) as executor:
        found = _measured(tasks, journal, executor, progress)
        results = [
            _result(name, found, settings, profile, executor) for name in settings.candidates
        ]
    everything = [answers for people in found for one in people for answers in one.values()]
    return ExamResult(
        settings=settings,
        patients_from=patients_from,
        profile_sha256=digest,
        code=code,
        measured_by=journal.measured_by,
        candidates=tuple(results),
        checks=tuple(_check(name, found[0], profile) for name in settings.checked),
        impossible=tuple(said for answers in everything for said in answers.impossible),
        seconds=time.perf_counter() - started,
        cpu_seconds=sum(answers.cpu_seconds for answers in everything),
    )


# ---------------------------------------------------------------------------------------
# Measuring


def _measured(
    cohorts: Sequence[Sequence[Task]],
    journal: Journal,
    executor: Executor,
    progress: Progress | None,
) -> list[list[Found]]:
    """Measure everybody, or take him from the journal; one list a cohort."""
    tasks = [task for people in cohorts for task in people]
    found = [journal.known(task) for task in tasks]
    lacking = {
        str(n): replace(task, candidates=left)
        for n, task in enumerate(tasks)
        if (left := tuple(name for name in task.candidates if name not in found[n]))
    }
    ended = len(tasks) - len(lacking)
    undone: list[str] = []
    for done in executor.run([Job(name=n, function=_examine, task=t) for n, t in lacking.items()]):
        task = lacking[done.name]
        if isinstance(done.error, WorkerDied):
            undone.append(f"{task.someone.case} ({done.error})")
        elif done.error is not None:
            raise done.error
        for one in done.answer or ():
            found[int(done.name)][one.candidate] = one
            journal.add(task, one)
        ended += 1
        if progress is not None:
            progress(ended, len(tasks), task.someone.case)
    if undone:
        raise Unfinished(
            f"{len(undone)} of {count_of(len(tasks), 'patient')} could not be measured, for a "
            f"reason of the run: {'; '.join(some(undone))}. With a folder for the journal the same "
            f"command measures these alone (with less at a time: --workers 1)."
        )
    ends = iter(found)
    return [[next(ends) for _ in people] for people in cohorts]


def _require_whole(cohorts: Sequence[Sequence[Task]], journal: Journal) -> None:
    """Refuse to judge again what was not measured to its end."""
    tasks = [task for people in cohorts for task in people]
    open_ = sum(len(journal.known(task)) < len(task.candidates) for task in tasks)
    if open_:
        raise InputError(
            f"The journal lacks {open_} of {count_of(len(tasks), 'patient')} of this exam; the "
            "exam that began "
            f"it, carried on by the same version of the suite, measures them."
        )


def _instruments(instruments: Instruments | None) -> Instruments | None:
    return instruments


def _examine(instruments: Instruments | None, task: Task) -> list[Answers]:
    return examine(task, instruments)


# ---------------------------------------------------------------------------------------
# Judging


def _result(
    name: str,
    found: Sequence[Sequence[Found]],
    settings: ExamSettings,
    profile: Profile,
    executor: Executor,
) -> CandidateResult:
    clean = [[one[name].readings[0] for one in people] for people in found]
    planted: dict[tuple[str, float], list[ImageReading]] = {}
    for one in found[0]:
        for reading in one[name].readings[1:]:
            key = reading.clean_of or (reading.fault, reading.severity)
            planted.setdefault(key, []).append(reading)
    limits = limits_from(clean[1]) if settings.alone else {}
    ground = Ground.of(clean[0], profile, limits)
    jobs = [
        (ground, fault, severity, planted.get((fault, severity), []))
        for fault in settings.fault_names
        for severity in settings.severities(fault)
    ]
    return CandidateResult(
        candidate=name,
        cells=tuple(in_order(executor, jobs_of(_count, jobs))),
        clean=count_clean(clean, profile, limits),
    )


def _count(_: object, job: tuple[Ground, str, float, list[ImageReading]]) -> Cell:
    return count_fault(*job)


def _check(name: str, people: Sequence[Found], profile: Profile) -> CleanCheck:
    judged = judge_readings([one[name].readings[0] for one in people], profile)
    facts = CANDIDATES[name].facts
    must = profile.name in facts.profiles
    beyond = {c.name for c in profile.criteria if not fnmatchcase(c.variant, facts.measures)}
    return CleanCheck(
        candidate=name,
        outcome=judged.outcome,
        must_pass=must,
        failed_by=tuple(sorted(judged.spoilt)),
        not_asked=tuple(sorted(judged.spoilt & beyond)) if must else (),
    )
