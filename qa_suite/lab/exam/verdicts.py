"""From readings to a verdict: the profile's own judge, and whether it names the fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from qa_suite.core.records import (
    CaseRecord,
    CodeFacts,
    CohortFacts,
    Criterion,
    Evaluation,
    Finding,
    Measurement,
    ModelFacts,
    Outcome,
    Profile,
    When,
)
from qa_suite.judging.judge import judge_tables
from qa_suite.lab.exam.readings import ImageReading
from qa_suite.lab.exam.taken import wanted
from qa_suite.lab.faults import ONE_PATIENT, FaultFacts
from qa_suite.metrics.run import METRICS

SPLIT = "test"
_COLUMNS = list(Measurement.model_fields)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the profile says of one cohort.

    Parameters
    ----------
    outcome
        Of the verdict.
    findings
        All of them.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings that fail."""
        return tuple(f for f in self.findings if f.outcome == "fail")

    @property
    def named(self) -> tuple[str, ...]:
        """Criteria that fail, or else those that are undecided."""
        undecided = tuple(f for f in self.findings if f.outcome == "inconclusive")
        return _names(self.failed or undecided)

    @property
    def spoilt(self) -> frozenset[str]:
        """Criteria that do not pass everywhere."""
        return frozenset(f.criterion.name for f in self.findings if f.outcome != "pass")


def judge_readings(readings: Sequence[ImageReading], profile: Profile) -> Judged:
    """Judge one cohort: one reading an examination."""
    rows = [
        [getattr(row, column) for column in _COLUMNS]
        for reading in readings
        for row in wanted(reading.rows, profile, alone=False)
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["value"] = table["value"].astype(float)
    cases = [
        CaseRecord(case=r.case, patient=r.patient, site=r.site, split=SPLIT, status="evaluated")
        for r in readings
    ]
    verdict = judge_tables(_evaluation(readings, profile), table, cases, profile, gaps=False)
    return Judged(outcome=verdict.outcome, findings=verdict.findings)


def answering(
    judged: Judged,
    facts: FaultFacts,
    faulted: Sequence[ImageReading],
    spoilt: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Return the failed criteria that are the fault's own and point at whom it was planted into.

    A finding over all patients or over a site answers for the fault of many; for the fault of
    one patient the finding must name him, or his site. A criterion of ``spoilt`` answers for
    nothing: the candidate's clean images do not pass it either.
    """
    who = {name for reading in faulted for name in (reading.case, reading.patient, reading.site)}
    return _names(
        finding
        for finding in judged.failed
        if _is_own(finding.criterion, facts)
        and finding.criterion.name not in spoilt
        and (facts.hits not in ONE_PATIENT or finding.scope_name in who)
    )


def _names(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.criterion.name for finding in findings))


def _is_own(criterion: Criterion, facts: FaultFacts) -> bool:
    """Whether a criterion names a fault: one of its answers, or of the dose that it changes."""
    if (criterion.metric, criterion.region) in facts.answers:
        return True
    return facts.changes_dose and METRICS[criterion.metric].facts.family == "dose"


def _evaluation(readings: Sequence[ImageReading], profile: Profile) -> Evaluation:
    sites = tuple(sorted({reading.site for reading in readings}))
    name = readings[0].candidate
    patients = len({reading.patient for reading in readings})
    return Evaluation(
        evaluation="exam",
        model=ModelFacts(uri=f"candidate:{name}", name=name, family="candidate"),
        cohort=CohortFacts(
            name="exam",
            digest="",
            direction=profile.direction,
            anatomy=profile.anatomy,
            split=SPLIT,
            cases=len(readings),
            patients=patients,
            sites=sites,
        ),
        code=CodeFacts(suite_version="", git_commit=None, git_dirty=None, python="", packages={}),
        settings={},
        definitions={
            metric: METRICS[metric].facts.model_dump(mode="json")
            for metric in sorted({criterion.metric for criterion in profile.criteria})
            if metric in METRICS
        },
        case_counts={"evaluated": len(readings)},
        when=When(started="", finished=""),
    )
