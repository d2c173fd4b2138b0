"""Who is examined, and what is planted into whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Cohort
from qa_suite.core.records import Profile
from qa_suite.lab.exam.readings import Someone, Task
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.lab.exam.taken import dose_of
from qa_suite.lab.faults import FAULTS, ONE_PATIENT

_COHORT_STEP = 1000
"""Numbers of the patients of one clean cohort after another."""


def tasks_of(
    settings: ExamSettings, profile: Profile, cohort: Cohort | None, folder: Path | None
) -> list[list[Task]]:
    """Return the tasks of every clean cohort; the faults are planted into the first.

    Parameters
    ----------
    settings, profile
        Of the exam.
    cohort, folder
        A cohort to plant into instead of new patients; its clean cohorts are the same patients
        with fresh images.
    """
    dose = dose_of(profile, settings)
    found = []
    for number in range(settings.clean_cohorts):
        people = _with_sides(_people(settings, number, cohort, folder))
        plan = plan_of(settings, people) if number == 0 else {}
        looked = _spread(people, settings.alone_images) if settings.alone and number == 0 else ()
        checked = settings.checked if number == 0 else ()
        found.append(
            [
                Task(
                    someone=who,
                    candidates=(*settings.candidates, *checked),
                    plain=checked,
                    faults=tuple(plan.get(who.case, ())),
                    profile=profile,
                    alone=settings.alone and number <= 1,
                    alone_many=who.case in looked,
                    dose=dose,
                )
                for who in people
            ]
        )
    return found


def plan_of(
    settings: ExamSettings, people: Sequence[Someone]
) -> dict[str, list[tuple[str, float]]]:
    """Say what is planted into whom, by case: (fault, severity) in turn.

    A fault hits everybody, the smallest site, the two largest sites in opposite ways, or a few
    patients, one at a time.
    """
    smallest = _sites(people)[-1]
    plan: dict[str, list[tuple[str, float]]] = {someone.case: [] for someone in people}
    for fault in settings.fault_names:
        hits = FAULTS[fault].facts.hits
        hit = [someone.case for someone in people]
        if hits == "site":
            hit = [someone.case for someone in people if someone.site == smallest]
        if hits == "sites":
            hit = [someone.case for someone in people if someone.side]
        if hits in ONE_PATIENT:
            rng = np.random.default_rng([settings.seed, *fault.encode()])
            hit = list(rng.permutation(hit)[: settings.trials])
        for case in hit:
            plan[case] += [(fault, severity) for severity in settings.severities(fault)]
    return plan


def _people(
    settings: ExamSettings, number: int, cohort: Cohort | None, folder: Path | None
) -> list[Someone]:
    if cohort is not None:
        members = [case for case in cohort.cases if case.import_problem is None]
        return [
            Someone(case=c.case, site=c.site, cohort=cohort, folder=folder, member=c, number=number)
            for c in members
        ]
    return [
        Someone(
            case=f"{hospital}-{number * _COHORT_STEP + i:05d}",
            site=f"hospital-{hospital}",
            hospital=hospital,
            index=number * _COHORT_STEP + i,
            seed=settings.seed,
            spacing_mm=settings.spacing_mm,
        )
        for hospital, count in settings.patients.items()
        for i in range(1, count + 1)
    ]


def _sites(people: Sequence[Someone]) -> list[str]:
    """Return the sites, the largest first."""
    sizes = Counter(someone.site for someone in people)
    return sorted(sizes, key=lambda site: (sizes[site], site), reverse=True)


def _with_sides(people: Sequence[Someone]) -> list[Someone]:
    """Give the two largest sites opposite signs, and the only one's patients by turns."""
    sites = _sites(people)
    if len(sites) == 1:
        return [replace(who, side=1 if n % 2 else -1) for n, who in enumerate(people)]
    signs = {sites[0]: 1, sites[1]: -1}
    return [replace(who, side=signs.get(who.site, 0)) for who in people]


def _spread(people: Sequence[Someone], count: int) -> frozenset[str]:
    """Return the cases of some patients, spread evenly over the cohort."""
    step = max(1, len(people) // count)
    return frozenset(who.case for who in people[::step][:count])
