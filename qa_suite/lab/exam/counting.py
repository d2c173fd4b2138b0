"""Counting: verdicts over one fault at one severity, and over clean cohorts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qa_suite.core.errors import InputError
from qa_suite.core.records import Profile
from qa_suite.lab.exam.no_reference import AloneLimits, look_alone, looked_at
from qa_suite.lab.exam.readings import CLEAN, ImageReading
from qa_suite.lab.exam.result import Cell, CleanCohorts
from qa_suite.lab.exam.verdicts import Judged, answering, judge_readings
from qa_suite.lab.faults import FAULTS, ONE_PATIENT


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the faults of one candidate are held against.

    Parameters
    ----------
    clean
        Clean readings of the cohort that the faults are planted into.
    profile
        Who judges.
    limits
        Of the look without a reference; empty where nobody looks.
    judged
        What the profile says of the clean cohort.
    """

    clean: Sequence[ImageReading]
    profile: Profile
    limits: AloneLimits = field(default_factory=dict)
    judged: Judged

    @classmethod
    def of(cls, clean: Sequence[ImageReading], profile: Profile, limits: AloneLimits) -> Ground:
        """Judge the clean cohort once."""
        judged = judge_readings(clean, profile)
        return cls(clean=clean, profile=profile, limits=limits, judged=judged)


def count_fault(
    ground: Ground, fault: str, severity: float, planted: Iterable[ImageReading]
) -> Cell:
    """Judge every cohort with one fault at one severity.

    Parameters
    ----------
    ground
        Of the candidate.
    fault, severity
        Of the cell.
    planted
        Its readings, and those of the clean images that the fault needed.

    Raises
    ------
    InputError
        If no patient has a place for it.
    """
    facts = FAULTS[fault].facts
    mine = list(planted)
    hit = [r for r in mine if r.clean_of is None]
    own = [r for r in mine if r.clean_of is not None]
    if not hit:
        raise InputError(
            f"No patient of the exam has a place for the fault '{fault}' of {severity:g} "
            f"{facts.unit}; take more patients."
        )
    groups = _by_patient(hit) if facts.hits in ONE_PATIENT else [hit]
    turned = caught = misnamed = passed = 0
    answered: Counter[str] = Counter()
    for group in groups:
        patients = {reading.patient for reading in group}
        clean = _judged_clean(ground, [r for r in own if r.patient in patients])
        judged = judge_readings(_replaced(ground.clean, group), ground.profile)
        named = answering(judged, facts, group, clean.spoilt)
        turned += judged.outcome != "pass"
        caught += judged.outcome == "fail" and bool(named)
        misnamed += judged.outcome == "fail" and not named
        passed += clean.outcome == "pass"
        answered.update(named)
    alone = [look_alone(r, ground.limits) for r in hit if ground.limits and looked_at(r)]
    return Cell(
        fault=fault,
        severity=severity,
        clinical=facts.matters(severity),
        verdicts=len(groups),
        turned=turned,
        caught=caught,
        misnamed=misnamed,
        answered_by=ranked(answered),
        clean_passed=passed if own else None,
        alone_images=len(alone),
        alone_caught=sum(bool(set(found) & set(facts.answers_alone)) for found in alone),
        alone_by=ranked(Counter(m for found in alone for m in found if m in facts.answers_alone)),
    )


def count_clean(
    cohorts: Sequence[Sequence[ImageReading]], profile: Profile, limits: AloneLimits
) -> CleanCohorts:
    """Judge every clean cohort of a candidate."""
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
        alarmed_by=ranked(by),
        alone_images=len(alone),
        alone_alarms=sum(bool(found) for found in alone),
        alone_by=ranked(Counter(m for found in alone for m in found)),
    )


def ranked(counts: Counter[str]) -> dict[str, int]:
    """Return the counts, the most frequent first, those alike in alphabetical order."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _judged_clean(ground: Ground, own: Sequence[ImageReading]) -> Judged:
    """Judge the clean cohort with the clean images that a fault needed."""
    if not own:
        return ground.judged
    return judge_readings(_replaced(ground.clean, own), ground.profile)


def _by_patient(readings: Sequence[ImageReading]) -> list[list[ImageReading]]:
    found: dict[str, list[ImageReading]] = {}
    for reading in readings:
        found.setdefault(reading.patient, []).append(reading)
    return list(found.values())


def _replaced(clean: Sequence[ImageReading], hit: Sequence[ImageReading]) -> list[ImageReading]:
    """Return the clean cohort with the given readings in place of its own, or added to it."""
    instead = {reading.case: reading for reading in hit}
    cohort = [instead.pop(reading.case, reading) for reading in clean]
    return [*cohort, *instead.values()]
