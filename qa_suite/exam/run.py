"""The exam: plant, measure, judge, and count what was caught."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from qa_suite.cohort import Cohort
from qa_suite.criteria import load_profile
from qa_suite.errors import InputError
from qa_suite.exam.alone import AloneFindings, limits_from, look_alone
from qa_suite.exam.doses import dose_of
from qa_suite.exam.readings import CLEAN, Reading, Someone, Task, examine
from qa_suite.exam.result import Cell, CleanCohorts, ExamResult
from qa_suite.exam.settings import ExamSettings
from qa_suite.exam.verdicts import answering, judge_readings
from qa_suite.judge import profile_digest
from qa_suite.measures.base import Instruments
from qa_suite.phantom.faults import FAULTS
from qa_suite.provenance import code_facts
from qa_suite.records import Profile

Progress = Callable[[int, int, str], None]
_COHORT_STEP = 1000
"""Numbers of the patients of one clean cohort after another."""


def run_exam(
    settings: ExamSettings,
    *,
    cohort: Cohort | None = None,
    folder: Path | None = None,
    instruments: Instruments | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> ExamResult:
    """Examine the examiner: plant every fault at every severity and see what the verdict says.

    Parameters
    ----------
    settings
        Which patients, faults and criteria.
    cohort, folder
        A cohort of virtual patients to plant into instead of new ones; its clean cohorts are
        the same patients with fresh twins.
    instruments
        What the measures may use beside the images, such as norms.
    workers
        Processes; the result does not depend on it.
    progress
        Called with (patients done, patients in all, what).

    Returns
    -------
    ExamResult

    Raises
    ------
    InputError
        If a patient of the cohort is not virtual, or no patient has a place for a fault.
    """
    started = time.perf_counter()
    profile = load_profile(settings.profile)
    cohorts = [
        _people(settings, number, cohort, folder) for number in range(settings.clean_cohorts)
    ]
    plan = _plan(settings, cohorts[0])
    dose = dose_of(profile, settings)
    tasks = [
        Task(someone=someone, faults=tuple(plan[someone.case]) if number == 0 else (),
             profile=profile, alone=settings.alone and number <= 1, dose=dose)
        for number, people in enumerate(cohorts)
        for someone in people
    ]  # fmt: skip
    readings: list[list[Reading]] = []
    impossible: list[str] = []
    for done, (found, lacking) in enumerate(_each(tasks, instruments, workers), 1):
        readings.append(found)
        impossible += lacking
        if progress is not None:
            progress(done, len(tasks), found[0].case)
    size = len(cohorts[0])
    clean = [
        [found[0] for found in readings[start : start + size]]
        for start in range(0, len(readings), size)
    ]
    planted = [reading for found in readings[:size] for reading in found[1:]]
    limits = limits_from(clean[1]) if settings.alone else {}
    return ExamResult(
        settings=settings,
        patients_from="virtual" if cohort is None else cohort.name,
        profile_sha256=profile_digest(profile),
        code=code_facts(),
        cells=tuple(
            _cell(fault, severity, clean[0], planted, profile, limits)
            for fault in settings.fault_names
            for severity in settings.severities(fault)
        ),
        clean=_clean(clean, profile, limits),
        impossible=tuple(impossible),
        seconds=time.perf_counter() - started,
    )


# ---------------------------------------------------------------------------------------
# Who, and what is planted into whom


def _people(
    settings: ExamSettings, number: int, cohort: Cohort | None, folder: Path | None
) -> list[Someone]:
    if cohort is not None:
        members = [case for case in cohort.cases if case.import_problem is None]
        return [
            Someone(case=c.case, site=c.site, cohort=cohort, folder=folder, member=c, twin=number)
            for c in members
        ]
    return [
        Someone(
            case=f"{hospital}-{number * _COHORT_STEP + i:05d}", site=f"hospital-{hospital}",
            hospital=hospital, index=number * _COHORT_STEP + i, seed=settings.seed,
            spacing_mm=settings.spacing_mm,
        )
        for hospital, count in settings.patients.items()
        for i in range(1, count + 1)
    ]  # fmt: skip


def _plan(settings: ExamSettings, people: Sequence[Someone]) -> dict[str, list[tuple[str, float]]]:
    """Say what is planted into whom: everybody, the smallest site, or a few, one at a time."""
    sites = Counter(someone.site for someone in people)
    smallest = min(sites, key=lambda site: (sites[site], site))
    plan: dict[str, list[tuple[str, float]]] = {someone.case: [] for someone in people}
    for fault in settings.fault_names:
        facts = FAULTS[fault].facts
        hit = [someone.case for someone in people]
        if facts.hits == "site":
            hit = [someone.case for someone in people if someone.site == smallest]
        if facts.hits == "patient":
            rng = np.random.default_rng([settings.seed, *fault.encode()])
            hit = list(rng.permutation(hit)[: settings.trials])
        for case in hit:
            plan[case] += [(fault, severity) for severity in settings.severities(fault)]
    return plan


# ---------------------------------------------------------------------------------------
# Measuring, in processes of its own

_INSTRUMENTS: list[Instruments | None] = [None]


def _each(
    tasks: Sequence[Task], instruments: Instruments | None, workers: int
) -> Iterator[tuple[list[Reading], list[str]]]:
    """Examine the patients in their order, in this process or in several."""
    if workers <= 1:
        yield from (examine(task, instruments) for task in tasks)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(instruments,)
    ) as pool:
        yield from pool.map(_examine, tasks)


def _begin(instruments: Instruments | None) -> None:
    import torch

    torch.set_num_threads(1)
    _INSTRUMENTS[0] = instruments


def _examine(task: Task) -> tuple[list[Reading], list[str]]:
    return examine(task, _INSTRUMENTS[0])


# ---------------------------------------------------------------------------------------
# Counting


def _cell(
    fault: str,
    severity: float,
    clean: Sequence[Reading],
    planted: Iterable[Reading],
    profile: Profile,
    limits: AloneFindings,
) -> Cell:
    facts = FAULTS[fault].facts
    mine = list(planted)
    hit = [r for r in mine if (r.fault, r.severity) == (fault, severity)]
    twins = [r for r in mine if r.twin_of == (fault, severity)]
    if not hit:
        raise InputError(
            f"No patient of the exam has a place for the fault '{fault}' of {severity:g} "
            f"{facts.unit}; take more patients."
        )
    groups = [[r] for r in hit] if facts.hits == "patient" else [hit]
    turned = caught = 0
    answered: Counter[str] = Counter()
    for group in groups:
        judged = judge_readings(_replaced(clean, group), profile)
        named = answering(judged, facts, group)
        turned += judged.outcome != "pass"
        caught += judged.outcome == "fail" and bool(named)
        answered.update(named)
    passed = [judge_readings(_replaced(clean, [twin]), profile).outcome == "pass" for twin in twins]
    alone = [look_alone(reading, limits) for reading in hit] if limits else []
    by = Counter(m for found in alone for m in found if m in facts.answers_alone)
    return Cell(
        fault=fault,
        severity=severity,
        clinical=facts.matters(severity),
        verdicts=len(groups),
        turned=turned,
        caught=caught,
        answered_by=dict(answered.most_common()),
        twins_passed=sum(passed) if twins else None,
        alone_images=len(alone),
        alone_caught=sum(bool(set(found) & set(facts.answers_alone)) for found in alone),
        alone_by=dict(by.most_common()),
    )


def _replaced(clean: Sequence[Reading], hit: Sequence[Reading]) -> list[Reading]:
    """Return the clean cohort with the faulted patients in place of their clean twins."""
    instead = {reading.case: reading for reading in hit}
    return [instead.get(reading.case, reading) for reading in clean]


def _clean(
    cohorts: Sequence[Sequence[Reading]], profile: Profile, limits: AloneFindings
) -> CleanCohorts:
    alarms = 0
    by: Counter[str] = Counter()
    for readings in cohorts:
        assert all(reading.fault == CLEAN for reading in readings)
        judged = judge_readings(readings, profile)
        if judged.outcome != "pass":
            alarms += 1
            by.update(judged.named)
    alone = [look_alone(reading, limits) for reading in cohorts[0]] if limits else []
    return CleanCohorts(
        cohorts=len(cohorts),
        patients=len(cohorts[0]),
        alarms=alarms,
        alarmed_by=dict(by.most_common()),
        alone_images=len(alone),
        alone_alarms=sum(bool(found) for found in alone),
        alone_by=dict(Counter(m for found in alone for m in found).most_common()),
    )
