"""What a report says, as data: taken from the record, arranged, nothing measured or judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.core.record_files import read_cases, read_curves, read_evaluation, read_measurements
from qa_suite.core.records import (
    CaseRecord,
    Evaluation,
    Verdict,
    preflight_sentence,
    preflight_status,
)
from qa_suite.core.signing.reviewers import Reviewers
from reports.facts.comparison import ComparisonRow, compare
from reports.facts.curves import CurveFigure, curve_figures
from reports.facts.dose import DoseReport, dose_report, without_dose
from reports.facts.measures import FamilyTable, cost_line, family_tables
from reports.facts.patients import Distribution, distributions
from reports.facts.pictures import PictureCase, choose_pictures
from reports.facts.standing import Standing, standing_of
from reports.facts.worst import Stratum, worst_stratum

MOST_ONE_BY_ONE = 60
"""Cases whose preflight values the page tells one by one; of more only those not in order."""


@dataclass(frozen=True, kw_only=True)
class FlowStep:
    """One box of the cohort flow, and what left the cohort before it (label, number)."""

    label: str
    count: int
    left: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SiteCounts:
    """What became of the held-out cases of one site."""

    site: str
    held_out: int
    refused: int
    failed: int
    excluded: int
    judged: int


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A case that the verdict does not rest on, and why."""

    case: str
    site: str
    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckCounts:
    """One preflight check over all cases: how many in each status, and who is not ok."""

    name: str
    counts: dict[str, int]
    cases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Everything that a report of one verdict says."""

    evaluation: Evaluation
    verdict: Verdict
    cases: tuple[CaseRecord, ...]
    flow: tuple[FlowStep, ...]
    site_counts: tuple[SiteCounts, ...]
    left_out: tuple[LeftOut, ...]
    notices: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    families: tuple[FamilyTable, ...]
    curves: tuple[CurveFigure, ...]
    dose: DoseReport | None
    pictures: tuple[PictureCase, ...]
    cost: str
    comparison: tuple[ComparisonRow, ...]
    companions: tuple[tuple[str, Evaluation], ...]
    standing: Standing
    worst_stratum: Stratum


def gather(
    folder: Path,
    verdict: Verdict,
    *,
    floor: Path | None = None,
    baseline: Path | None = None,
    reviewers: Reviewers | None = None,
) -> Readiness:
    """Read a record and arrange what its report says.

    Parameters
    ----------
    folder
        The evaluation.
    verdict
        Its verdict under one profile.
    floor, baseline
        Evaluations of the oracle and of the translator to beat, on the same cohort.
    reviewers
        Whose signatures count; without it none does.

    Raises
    ------
    InputError
        If the verdict is of another evaluation, a companion of another cohort, or a table
        missing or changed.
    """
    evaluation = read_evaluation(folder)
    if verdict.evaluation != evaluation.evaluation:
        raise InputError(
            f"The verdict is of evaluation {verdict.evaluation}, and {folder} holds "
            f"{evaluation.evaluation}; judge it again with "
            f"'qa-suite judge {folder} --profile {verdict.profile.name}'."
        )
    cases = read_cases(folder)
    table, curves = read_measurements(folder), read_curves(folder)
    judged = table[~table["case"].isin(set(verdict.excluded))]
    companions = tuple(
        (role, _companion(path, evaluation))
        for role, path in (("floor", floor), ("baseline", baseline))
        if path is not None
    )
    judged_curves = curves[~curves["case"].isin(set(verdict.excluded))]
    criteria = verdict.profile.criteria
    standing = standing_of(folder, evaluation, verdict, reviewers)
    said = (*standing.warnings, *evaluation.announced, *verdict.announced)
    return Readiness(
        evaluation=evaluation,
        verdict=verdict,
        cases=cases,
        flow=_flow(verdict, evaluation, cases),
        site_counts=_site_counts(cases, verdict, evaluation.cohort.sites),
        left_out=_left_out(cases, verdict),
        notices=tuple(dict.fromkeys(said)),
        distributions=distributions(judged, evaluation, verdict),
        families=family_tables(without_dose(judged), evaluation, criteria, verdict.findings),
        curves=curve_figures(without_dose(judged_curves), evaluation),
        dose=dose_report(
            folder, judged, judged_curves, evaluation, cases, criteria, verdict.findings
        ),
        pictures=choose_pictures(folder, table, cases, evaluation),
        cost=cost_line(table),
        comparison=compare(
            judged,
            evaluation.cohort.sites,
            floor=None if floor is None else read_measurements(floor),
            baseline=None if baseline is None else read_measurements(baseline),
        ),
        companions=companions,
        standing=standing,
        worst_stratum=worst_stratum(judged, cases, evaluation, verdict),
    )


def _companion(folder: Path, evaluation: Evaluation) -> Evaluation:
    other = read_evaluation(folder)
    if other.cohort.digest != evaluation.cohort.digest:
        raise InputError(
            f"{folder} was evaluated on cohort {other.cohort.name} ({other.cohort.digest[:12]}), "
            f"not on {evaluation.cohort.name} ({evaluation.cohort.digest[:12]}); evaluate "
            f"{other.model.name} on the same cohort to compare."
        )
    return other


def _flow(
    verdict: Verdict, evaluation: Evaluation, cases: tuple[CaseRecord, ...]
) -> tuple[FlowStep, ...]:
    def count(key: str) -> int:
        return evaluation.case_counts.get(key, 0)

    measured = {case.case for case in cases if case.status == "evaluated"}
    excluded = len(measured & set(verdict.excluded))

    elsewhere = count("imported") - count("import_failed") - count("held_out")
    measurable = count("held_out") - count("refused")
    steps = [
        FlowStep(label="in the cohort", count=count("imported")),
        FlowStep(
            label=f"held out ({evaluation.cohort.split})",
            count=count("held_out"),
            left=(("could not be imported", count("import_failed")), ("other sets", elsewhere)),
        ),
        FlowStep(
            label="passed preflight",
            count=measurable,
            left=(("refused by preflight", count("refused")),),
        ),
        FlowStep(label="evaluated", count=count("evaluated"), left=(("failed", count("failed")),)),
        FlowStep(
            label="measured, judged",
            count=count("evaluated") - excluded,
            left=(("excluded by the profile", excluded),),
        ),
    ]
    return tuple(steps)


def _site_counts(
    cases: tuple[CaseRecord, ...], verdict: Verdict, sites: tuple[str, ...]
) -> tuple[SiteCounts, ...]:
    rows = []
    for site in sites:
        here = [case for case in cases if case.site == site and case.split is not None]
        status = Counter(case.status for case in here)
        excluded = sum(c.case in verdict.excluded for c in here if c.status == "evaluated")
        rows.append(
            SiteCounts(
                site=site,
                held_out=len(here),
                refused=status["refused"],
                failed=status["failed"],
                excluded=excluded,
                judged=status["evaluated"] - excluded,
            )
        )
    return tuple(rows)


def _left_out(cases: tuple[CaseRecord, ...], verdict: Verdict) -> tuple[LeftOut, ...]:
    rows = []
    for case in cases:
        if case.status != "evaluated":
            stage = "refused by preflight" if case.status == "refused" else "failed"
            stage = stage if case.split is not None else "could not be imported"
            reason = case.reason or "undefined: no reason was recorded"
        elif case.case in verdict.excluded:
            stage, reason = "excluded by the profile", verdict.excluded[case.case]
        else:
            continue
        rows.append(LeftOut(case=case.case, site=case.site, stage=stage, reason=reason))
    return tuple(sorted(rows, key=lambda row: (row.stage, row.site, row.case)))


def preflight_counts(cases: tuple[CaseRecord, ...]) -> tuple[CheckCounts, ...]:
    """Count how each preflight check went, in the order in which the checks first appear."""
    names = dict.fromkeys(name for case in cases for name in case.preflight)
    rows = []
    for name in names:
        status = {
            case.case: case.preflight[name].status for case in cases if name in case.preflight
        }
        known = ("ok", "warning", "undetermined", "refused")
        rows.append(
            CheckCounts(
                name=name,
                counts={word: sum(s == word for s in status.values()) for word in known},
                cases=tuple(case for case, word in status.items() if word != "ok"),
            )
        )
    return tuple(rows)


def told_one_by_one(cases: tuple[CaseRecord, ...]) -> tuple[CaseRecord, ...]:
    """Return the cases whose every preflight value is told: all, or of many those not in order."""
    if len(cases) <= MOST_ONE_BY_ONE:
        return cases
    return tuple(
        case
        for case in cases
        if case.status != "evaluated" or preflight_status(case.preflight) != "ok"
    )


def preflight_doubts(cases: tuple[CaseRecord, ...]) -> tuple[LeftOut, ...]:
    """Return every case that is not ok as a whole, with its status in preflight and why."""
    rows = []
    for case in cases:
        status = preflight_status(case.preflight)
        if status != "ok":
            reason = preflight_sentence(case.preflight)
            rows.append(LeftOut(case=case.case, site=case.site, stage=status, reason=reason))
    return tuple(sorted(rows, key=lambda row: (row.stage, row.site, row.case)))
