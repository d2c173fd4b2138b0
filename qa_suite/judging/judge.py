"""Evaluation + criteria → verdict: pure, in milliseconds, as often as one likes.

Judging reads the record and computes no measurement, so a new profile re-judges an old
evaluation without images or model. The rules stand in ``docs/judging.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from qa_suite.core.measure_kinds import kind_in
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import (
    CaseRecord,
    Criterion,
    Evaluation,
    Finding,
    Profile,
    SiteGap,
    Verdict,
)
from qa_suite.core.records.profile import NO_EXAM
from qa_suite.judging.askable import require_askable
from qa_suite.judging.asked_rows import AskedRows, asked_of, asked_rows
from qa_suite.judging.built_in_rules import beyond_tables, not_asked, too_good
from qa_suite.judging.collect import collect, unsaid
from qa_suite.judging.dose_line import dose_sentences
from qa_suite.judging.examinations import as_one_patient, without_copies
from qa_suite.judging.expected_sites import like_named, missing_sites
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.judged_cases import (
    exclusions,
    is_examined,
    not_imported,
    require_fit,
    seen_in_training,
)
from qa_suite.judging.kinds import kinds_not_told
from qa_suite.judging.outcomes import overall_outcome
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.shift.whom import spoken_of
from qa_suite.judging.site_gaps import Better, GapMeasure, site_gaps
from qa_suite.judging.tables import distinct, require_sound_tables
from qa_suite.judging.verdict_sentence import verdict_sentence

_BETTER: dict[str, Better] = {"at_most": "lower", "at_least": "higher", "within": "zero"}


def judge(folder: Path, profile: Profile) -> Verdict:
    """Judge the evaluation in ``folder`` under a profile; nothing is written.

    Raises
    ------
    InputError
        If the folder is no whole evaluation, its tables were changed after measuring, or the
        profile is for another direction or anatomy.
    Problems
        If the tables contradict themselves or hold a value that is not finite; with every
        criterion that this record contradicts.
    """
    folder = Path(folder)
    return judge_record(folder, read_evaluation(folder), profile)


def judge_record(folder: Path, evaluation: Evaluation, profile: Profile) -> Verdict:
    """Judge the tables of an evaluation that was read, of which those rows alone that are asked.

    Errors are those of :func:`judge`.
    """
    cases = read_cases(folder)
    _require_fit(evaluation, profile)
    held_out = [case for case in cases if is_examined(case, evaluation)]
    asked = asked_rows(folder, profile, cases, held_out)
    if asked is None:
        return judge_tables(evaluation, read_measurements(folder), cases, profile)
    return _verdict(evaluation, asked, cases, profile, gaps=True)


def judge_tables(
    evaluation: Evaluation,
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    profile: Profile,
    *,
    gaps: bool = True,
) -> Verdict:
    """Judge tables that are at hand; the same input gives the same verdict.

    Parameters
    ----------
    evaluation, measurements, cases
        The record, see :mod:`qa_suite.core.records`. Cases outside the evaluation's split (imports
        that failed have none) are told in the notices and judged nowhere.
    profile
        The criteria.
    gaps
        Whether to compare the sites too; that takes most of the time and decides no outcome.
    """
    _require_fit(evaluation, profile)
    require_sound_tables(measurements, cases)
    held_out = [case for case in cases if is_examined(case, evaluation)]
    asked = asked_of(measurements, profile, held_out)
    return _verdict(evaluation, asked, cases, profile, gaps=gaps)


def _require_fit(evaluation: Evaluation, profile: Profile) -> None:
    found = (evaluation.cohort.direction, evaluation.model.direction)
    require_fit(
        profile,
        cohort=evaluation.cohort.name,
        anatomy=evaluation.cohort.anatomy,
        directions={direction for direction in found if direction is not None},
    )


def _verdict(
    evaluation: Evaluation,
    asked: AskedRows,
    cases: Sequence[CaseRecord],
    profile: Profile,
    *,
    gaps: bool,
) -> Verdict:
    """Judge tables that do not contradict themselves."""
    measurements = asked.rows
    require_askable(profile, evaluation, measurements)
    held_out = [case for case in cases if is_examined(case, evaluation)]
    missing = missing_sites(profile, evaluation, cases, held_out)
    outside = not_imported(cases, held_out)
    measurements, held_out, merged = as_one_patient(measurements, held_out)
    held_out, copies = without_copies(asked.alike, held_out)
    everyone = measurements[measurements["case"].isin({case.case for case in held_out})]
    excluded, undetermined = exclusions(profile, held_out)
    judged = [case for case in held_out if case.case not in excluded]
    rows = everyone[everyone["case"].isin({case.case for case in judged})]
    rules = Rules(
        max_refused_fraction=profile.max_refused_fraction,
        max_excluded_fraction=profile.max_excluded_fraction,
        max_absent_fraction=profile.max_absent_fraction,
        sites=tuple(sorted({case.site for case in held_out})),
        missing_sites=missing,
        training_sites=evaluation.model.training_sites,
        seen_in_training=seen_in_training(evaluation, judged),
    )
    findings: list[Finding] = []
    for criterion in profile.criteria:
        values = collect(
            everyone,
            held_out,
            Measure.of(criterion),
            excluded=excluded,
            min_coverage=least_coverage(
                criterion, evaluation.definitions.get(criterion.metric, {}), profile
            ),
            metrics=asked.metrics,
        )
        kind = kind_in(evaluation.definitions.get(criterion.metric))
        values = replace(values, kind=kind)
        findings += apply_criterion(criterion, values, rules) if judged else []
    findings += too_good(rows, judged, rules)
    findings += beyond_tables(rows, judged, rules)
    outcome = overall_outcome(finding.outcome for finding in findings)
    counts = {**evaluation.case_counts, "excluded": len(excluded), "judged": len(judged)}
    return Verdict(
        outcome=outcome,
        sentence=verdict_sentence(outcome, findings, judged, profile, excluded=len(excluded)),
        evaluation=evaluation.evaluation,
        profile=profile,
        profile_sha256=profile_digest(profile),
        findings=tuple(findings),
        site_gaps=_gaps(rows, judged, evaluation, profile) if gaps else (),
        excluded=excluded,
        case_counts=counts,
        speaks_of=spoken_of(
            judged,
            training=evaluation.model.training_sources,
            training_sites=evaluation.model.training_sites,
        ).sentence,
        dose=dose_sentences(rows, judged, profile.criteria),
        notices=(
            *evaluation.announced,
            *never_examined(profile),
            *kinds_not_told(profile, evaluation),
            *undetermined,
            *unsaid(everyone, held_out, [criterion.region for criterion in profile.criteria]),
            *merged,
            *copies,
            *not_asked(rows, judged),
            *outside,
            *like_named({case.site for case in cases} | {*missing, *rules.training_sites}),
        ),
    )


def never_examined(profile: Profile) -> tuple[str, ...]:
    """Say of a profile that carries decisions that no exam has shown what its bounds catch."""
    exam = profile.examined
    if not profile.clinical or exam is None or exam.on != NO_EXAM:
        return ()
    return (
        f"No exam has shown which faults the bounds of {profile.name} {profile.version} catch: "
        f"{exam.because}.",
    )


def profile_digest(profile: Profile) -> str:
    """SHA-256 of everything that a profile asks."""
    return digest_of(profile.asks)


# ---------------------------------------------------------------------------------------
# What is judged


def least_coverage(
    criterion: Criterion | None, definition: Mapping[str, Any], profile: Profile
) -> float:
    """Return which share of the region must have been measured for a value to count."""
    if criterion is not None and criterion.min_coverage is not None:
        return criterion.min_coverage
    return 0.0 if definition.get("sampled") else profile.min_coverage


def _gaps(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    evaluation: Evaluation,
    profile: Profile,
) -> tuple[SiteGap, ...]:
    measures = {Measure.of(c): _BETTER[c.direction] for c in profile.criteria}
    for measure in _described(measurements, profile):
        better = evaluation.definitions.get(measure.metric, {}).get("direction")
        if better in ("lower", "higher", "zero"):
            measures.setdefault(measure, better)
    return site_gaps(
        measurements,
        cases,
        [
            GapMeasure(
                measure=measure,
                better=better,
                kind=kind_in(evaluation.definitions.get(measure.metric)),
            )
            for measure, better in measures.items()
        ],
        training_sites=evaluation.model.training_sites,
        sound=True,
    )


def _described(measurements: pd.DataFrame, profile: Profile) -> list[Measure]:
    """Return the measures that the profile describes and the record holds."""
    if not profile.describe:
        return []
    keys = ["metric", "region", "variant"]
    held = set(distinct(measurements, keys).itertuples(index=False, name=None))
    wanted = [(one.metric, one.region, one.variant) for one in profile.describe]
    return [Measure(metric=m, region=r, variant=v) for m, r, v in wanted if (m, r, v) in held]
