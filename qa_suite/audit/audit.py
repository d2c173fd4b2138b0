"""Evaluations + criteria → audit: pure, without images or model, as often as one likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from qa_suite import __version__
from qa_suite.audit.asked import AuditSettings, Question, key_of, questions
from qa_suite.audit.findings import Looked, look
from qa_suite.audit.groups import Group, groups_of
from qa_suite.audit.joined import Material, join, read_source
from qa_suite.audit.left_out import join_left_out
from qa_suite.audit.naming import size_of, tests_of
from qa_suite.audit.new_hospital import new_hospitals
from qa_suite.audit.sentences import (
    cell_sentence,
    lead,
    overall,
    power_sentence,
    rules,
    why_no_interval,
)
from qa_suite.audit.shift import shift_of
from qa_suite.core.errors import InputError
from qa_suite.core.measure_kinds import kind_in
from qa_suite.core.record_files import write_model
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import Audit, AuditMeasure, CaseRecord, CellFinding, CellTest, Profile
from qa_suite.core.wording import count
from qa_suite.judging.collect import collect
from qa_suite.judging.expected_sites import missing_sites
from qa_suite.judging.findings import Rules
from qa_suite.judging.judge import least_coverage, profile_digest
from qa_suite.judging.judged_cases import exclusions, require_fit, seen_in_training
from qa_suite.judging.patient_values import PatientValues

AUDIT_FILE = "audit.json"


def audit(
    folders: Sequence[Path],
    profile: Profile,
    settings: AuditSettings | None = None,
    *,
    left_out: bool = False,
) -> Audit:
    """Audit the evaluations in some folders; nothing is written.

    Parameters
    ----------
    folders, profile, settings
        What is audited, by what, and what is asked.
    left_out
        Whether each evaluation is of a model that left out another site, and is taken at that
        site alone.

    Raises
    ------
    InputError
        If there is no evaluation, or none of a held-out case.
    Problems
        If the evaluations cannot be joined, or something is asked that the record does not hold.
    """
    if not folders:
        raise InputError("No evaluation was given; name the folder of at least one.")
    if left_out:
        return audit_material(join_left_out(folders), profile, settings)
    return audit_material(join([read_source(folder) for folder in folders]), profile, settings)


def audit_material(
    material: Material, profile: Profile, settings: AuditSettings | None = None
) -> Audit:
    """Audit what was joined; the same input gives the same audit, in whatever order it comes."""
    settings = settings or AuditSettings()
    for one in material.evaluations:
        require_fit(
            profile,
            cohort=one.cohort.name,
            anatomy=one.cohort.anatomy,
            directions={d for d in (one.cohort.direction, one.model.direction) if d is not None},
        )
    excluded, undetermined = exclusions(profile, material.cases)
    scans = [scan for scan in material.scans if scan.case.case not in excluded]
    if not scans:
        raise InputError("No case is left to audit: the profile excludes every one.")
    cases = [scan.case for scan in scans]
    asked, asked_notices = questions(material, profile, settings)
    model = material.evaluations[0].model
    groups, undivided = groups_of(
        scans,
        divided_by=settings.divided_by,
        training_sites=model.training_sites,
        small_below=settings.small_below,
    )
    judged_rules = Rules(
        max_refused_fraction=profile.max_refused_fraction,
        max_excluded_fraction=profile.max_excluded_fraction,
        max_absent_fraction=profile.max_absent_fraction,
        training_sites=model.training_sites,
        seen_in_training=_seen(material, cases),
    )
    told = {k: v for one in material.evaluations for k, v in one.definitions.items()}
    by_measure = {
        one: replace(
            collect(
                material.measurements,
                material.cases,
                one.measure,
                excluded=excluded,
                min_coverage=least_coverage(
                    one.criterion, told.get(one.measure.metric, {}), profile
                ),
            ),
            kind=kind_in(told.get(one.measure.metric)),
        )
        for one in asked
    }
    looked = [
        found
        for question, values in by_measure.items()
        for found in look(
            question,
            values,
            groups,
            judged_rules,
            confidence=settings.confidence,
            small_below=settings.small_below,
        )
    ]
    tests = tests_of(looked, confidence=settings.confidence, size_in_sd=settings.size_in_sd)
    tested = list(zip(looked, tests, strict=True))
    declared = sum(question.primary for question in asked)
    family = sum(test is not None for test in tests)
    missing = _missing_sites(material, profile)
    outcome, sentence = overall(tested, settings, declared, missing)
    first = [pair for pair in tested if pair[0].question.primary] or tested
    facts = material.facts
    return Audit(
        audit=_identifier([one.evaluation for one in facts], profile, settings),
        outcome=outcome,
        sentence=sentence,
        lead=lead(first, settings),
        power=power_sentence(tested, settings, declared),
        undivided=undivided,
        rules=rules(family, declared, settings),
        model=model.name,
        model_version=model.version,
        model_uri=model.uri,
        weights_sha256=model.weights_sha256,
        training_sites=model.training_sites,
        evaluations=facts,
        profile=f"{profile.name} {profile.version}",
        profile_sha256=profile_digest(profile),
        confidence=settings.confidence,
        small_below=settings.small_below,
        family=family,
        measures=tuple(
            _measure(question, values, looked, settings) for question, values in by_measure.items()
        ),
        cells=tuple(group.facts for group in groups),
        findings=tuple(_finding(one, test, settings) for one, test in tested),
        new_sites=new_hospitals(by_measure, model.training_sites, settings),
        shift=shift_of(
            material.measurements[material.measurements["case"].isin([c.case for c in cases])],
            cases,
            tested,
            model,
            confidence=settings.confidence,
        ),
        suite_version=__version__,
        notices=(
            *material.notices,
            *undetermined,
            *asked_notices,
            *_excluded(excluded),
            *(f"{site} has no patient here: {why}." for site, why in missing.items()),
            *_losses(groups, cases),
        ),
    )


def save_audit(found: Audit, folder: Path) -> Path:
    """Write an audit into a folder; return ``folder/audit.json``."""
    path = Path(folder) / AUDIT_FILE
    write_model(path, found)
    return path


def _identifier(evaluations: Sequence[str], profile: Profile, settings: AuditSettings) -> str:
    asked = {
        "evaluations": sorted(evaluations),
        "profile": profile_digest(profile),
        "settings": asdict(settings),
        "suite": __version__,
    }
    return digest_of(asked)[:16]


def _missing_sites(material: Material, profile: Profile) -> dict[str, str]:
    """Return the hospitals that were expected and have no case, each with why."""
    found: dict[str, str] = {}
    for one in material.evaluations:
        found |= missing_sites(profile, one, material.everybody, material.cases)
    return found


def _seen(material: Material, cases: Sequence[CaseRecord]) -> frozenset[str]:
    return frozenset().union(*(seen_in_training(one, cases) for one in material.evaluations))


def _measure(
    question: Question, values: PatientValues, looked: Sequence[Looked], settings: AuditSettings
) -> AuditMeasure:
    mine = next(one for one in looked if one.question is question)
    measured = values.patient_values()
    own = question.size is not None
    return AuditMeasure(
        metric=question.measure.metric,
        region=question.measure.region,
        variant=question.measure.variant,
        unit=question.unit,
        title=question.title,
        better=question.better,
        primary=question.primary,
        criterion=question.criterion,
        patients=len(values.measured),
        estimate=float(measured.mean()) if len(measured) and not values.censored else None,
        sd=mine.sd,
        size=size_of(mine, settings.size_in_sd),
        size_words=f"{question.size:g} {question.unit}" if own else f"{settings.size_in_sd:g} SD",
    )


def _finding(one: Looked, test: CellTest | None, settings: AuditSettings) -> CellFinding:
    found, measure = one.judged, one.question.measure
    small = found.patients < settings.small_below
    bounded = one.question.criterion is not None and not small
    return CellFinding(
        metric=measure.metric,
        region=measure.region,
        variant=measure.variant,
        dimension=one.group.facts.dimension,
        cell=one.group.facts.cell,
        patients=found.patients,
        missing=found.missing,
        censored=found.censored,
        estimate=found.estimate,
        low=None if small else found.low,
        high=None if small else found.high,
        no_interval=why_no_interval(found, settings.small_below),
        method=found.method,
        outcome=found.outcome if bounded else None,
        to_training=one.to_training,
        to_rest=one.to_rest,
        within_hospitals=one.within,
        test=test,
        untested=one.untested,
        sentence=cell_sentence(one, test, small_below=settings.small_below),
    )


def _excluded(excluded: dict[str, str]) -> list[str]:
    return [f"{case} is excluded by the profile: {why}." for case, why in excluded.items()]


def _losses(groups: Sequence[Group], cases: Sequence[CaseRecord]) -> list[str]:
    """Say where cases were refused or failed more often than one in five."""
    lost = {case.case for case in cases if case.status != "evaluated"}
    found = []
    for group in groups:
        mine = len(group.cell.cases & lost)
        repeated = group.facts.untested.startswith("the same cases")
        if mine > 0.2 * len(group.cell.cases) and not (repeated or group.facts.small):
            found.append(
                f"{group.name}: {mine} of {count(len(group.cell.cases), 'case')} were refused "
                "or failed, "
                f"so what is measured there speaks of the others."
            )
    return found


__all__ = ["AUDIT_FILE", "AuditSettings", "audit", "audit_material", "key_of", "save_audit"]
