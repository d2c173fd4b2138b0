"""From readings to a verdict: the profile's own judge, and whether it names the fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from qa_suite.exam.readings import Reading
from qa_suite.judge import judge_tables
from qa_suite.measures.run import METRICS
from qa_suite.phantom.faults import FaultFacts
from qa_suite.records import (
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

SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the profile says of one cohort.

    Parameters
    ----------
    outcome
        Of the verdict.
    failed
        Findings that fail.
    undecided
        Findings that are inconclusive.
    """

    outcome: Outcome
    failed: tuple[Finding, ...]
    undecided: tuple[Finding, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """Criteria that fail, or else those that are undecided."""
        found = self.failed or self.undecided
        return tuple(dict.fromkeys(finding.criterion.name for finding in found))


def judge_readings(readings: Sequence[Reading], profile: Profile) -> Judged:
    """Judge one cohort: one reading a patient."""
    rows = [row.model_dump() for reading in readings for row in reading.rows]
    table = pd.DataFrame(rows, columns=list(Measurement.model_fields))
    table["value"] = table["value"].astype(float)
    cases = [
        CaseRecord(case=r.case, patient=r.case, site=r.site, split=SPLIT, status="evaluated")
        for r in readings
    ]
    verdict = judge_tables(_evaluation(readings, profile), table, cases, profile, gaps=False)
    return Judged(
        outcome=verdict.outcome,
        failed=tuple(f for f in verdict.findings if f.outcome == "fail"),
        undecided=tuple(f for f in verdict.findings if f.outcome == "inconclusive"),
    )


def answering(judged: Judged, facts: FaultFacts, faulted: Sequence[Reading]) -> tuple[str, ...]:
    """Return the failed criteria that are the fault's own and point at whom it was planted into.

    A finding over all patients or over a site answers for the fault of many; for the fault of
    one patient the finding must name him, or his site.
    """
    cases = {reading.case for reading in faulted}
    sites = {reading.site for reading in faulted}
    return tuple(
        dict.fromkeys(
            finding.criterion.name
            for finding in judged.failed
            if _is_own(finding.criterion, facts)
            and (facts.hits == "all" or finding.scope_name in cases | sites)
        )
    )


def _is_own(criterion: Criterion, facts: FaultFacts) -> bool:
    """Whether a criterion names a fault: one of its answers, or of the dose that it changes."""
    if (criterion.metric, criterion.region) in facts.answers:
        return True
    return facts.changes_dose and METRICS[criterion.metric].facts.family == "dose"


def _evaluation(readings: Sequence[Reading], profile: Profile) -> Evaluation:
    sites = tuple(sorted({reading.site for reading in readings}))
    return Evaluation(
        evaluation="exam",
        model=ModelFacts(uri="oracle:twin", name="oracle-twin", family="oracle"),
        cohort=CohortFacts(
            name="exam", digest="", direction=profile.direction, anatomy=profile.anatomy,
            split=SPLIT, cases=len(readings), patients=len(readings), sites=sites,
        ),
        code=CodeFacts(suite_version="", git_commit=None, git_dirty=None, python="", packages={}),
        settings={},
        case_counts={"evaluated": len(readings)},
        when=When(started="", finished=""),
    )  # fmt: skip
