"""Cohort × translator → evaluation: slow, resumable, and the only place that measures.

Each case is one unit of work, noted in the journal when it is done. Killed at any moment, the
same call carries on and ends with the same record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from qa_suite.core.answers import ODD
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.executors.crew import HERE, Crew
from qa_suite.core.memory import peak_mib
from qa_suite.core.one_writer import writing
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_files import (
    CASES_FILE,
    COSTS_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_evaluation,
    write_model,
    write_table,
)
from qa_suite.core.record_names import NORMS_FILE
from qa_suite.core.records import CaseRecord, CohortFacts, Evaluation, When
from qa_suite.core.wording import listing, some
from qa_suite.dose.engines import load_engines
from qa_suite.evaluation import kept_volumes as volumes
from qa_suite.evaluation.case_run import EvaluationSettings, Examination, blank_record
from qa_suite.evaluation.cases import Progress, run_cases
from qa_suite.evaluation.eligibility import (
    instrument_notices,
    leakage_notices,
    quantity_of,
    require_eligible,
)
from qa_suite.evaluation.gathering import Gathered, gather
from qa_suite.evaluation.journal import Journal, RunPlan
from qa_suite.evaluation.protocol import lock_of, note_examination, note_record
from qa_suite.evaluation.provenance import code_facts
from qa_suite.metrics.meaning import left_out
from qa_suite.metrics.run import METRICS, variants_of
from qa_suite.metrics.set_distances.family import measure_sets

__all__ = ["EvaluationSettings", "Examination", "evaluate"]


def evaluate(
    examination: Examination, out: Path, *, crew: Crew = HERE, progress: Progress | None = None
) -> Evaluation:
    """Measure a translator on the held-out patients of a cohort.

    Parameters
    ----------
    examination
        Cohort, model and settings.
    out
        The evaluation's folder; made if needed. Work that lies there already is kept.
    crew
        Who measures the cases: this process, several, or a cluster. The record does not depend
        on it, but for the time and memory of the translations.
    progress
        Called with (cases done, cases in all, case).

    Returns
    -------
    Evaluation
        As it stands in ``out/evaluation.json``.

    Raises
    ------
    InputError
        If the cohort has no case in the examined split, ``out`` holds another evaluation,
        another process writes there, or
        something was asked for that has no meaning for the cohort's real images.
    Problems
        If a lock lies in ``out`` and something differs from it.
    LeakageError
        If the model was trained on an examined patient or scan, and the settings do not
        allow it.
    Unfinished
        If cases failed for a reason of the run; the others are kept, and the same call does
        these alone.
    """
    with writing(out, "evaluate"):
        return _evaluate(examination, out, crew, progress)


def _evaluate(
    examination: Examination, out: Path, crew: Crew, progress: Progress | None
) -> Evaluation:
    if (out / EVALUATION_FILE).exists():
        known = read_evaluation(out)
        same_files = known.model.digest in (None, examination.model.digest)
        if known.evaluation == examination.identifier and same_files:
            return known
    cases = examination.cohort.in_split(examination.settings.split)
    if not cases:
        raise InputError(
            f"The cohort {examination.cohort.name} has no case in the set "
            f"'{examination.settings.split}'; deal the patients with 'qa-suite import --split'."
        )
    require_eligible(examination)
    lock = lock_of(examination, out)
    notices = leakage_notices(examination, cases) + instrument_notices(examination, cases)
    for choice in examination.settings.measures.dose.plans:
        load_engines(choice.template.engine)  # so that the record names the package it comes from
    code = code_facts()
    plan = RunPlan(
        evaluation=examination.identifier,
        model_digest=examination.model.digest,
        suite_version=code.suite_version,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        plugins=code.plugins,
        started=_now(),
        lock=lock,
    )
    journal = Journal(out, plan)
    notices += note_examination(examination, out, journal.plan)
    run_cases(examination, cases, out, journal, crew=crew, progress=progress)
    found = gather(journal, cases, out)
    evaluation = _write_record(examination, out, journal.plan, found, notices)
    note_record(examination, out, journal.plan, evaluation.when.finished)
    return evaluation


def _write_record(
    examination: Examination, out: Path, plan: RunPlan, found: Gathered, notices: tuple[str, ...]
) -> Evaluation:
    cohort, settings = examination.cohort, examination.settings
    records = volumes.settle(
        found.records,
        found.ranking,
        examination.cohort,
        examination.folder,
        out,
        policy=settings.keep_volumes,
    )
    broken = [case for case in cohort.cases if case.import_problem is not None]
    records += [
        blank_record(case).model_copy(
            update={"reason": f"could not be imported: {case.import_problem}"}
        )
        for case in broken
    ]
    tables = {name: found.sha256[name] for name in (MEASUREMENTS_FILE, CURVES_FILE)}
    tables[CASES_FILE] = write_table(out / CASES_FILE, records, CaseRecord)
    sets = measure_sets(found.featured, settings.measures.set_distances)
    units = found.units | {row.metric: row.unit for row in sets}
    norms = examination.instruments.norms
    if norms is not None:
        write_model(out / NORMS_FILE, norms)
        tables[NORMS_FILE] = sha256_of(out / NORMS_FILE)
    evaluation = Evaluation(
        evaluation=examination.identifier,
        model=examination.model,
        cohort=_cohort_facts(cohort, settings.split, found.records),
        code=code_facts(),
        settings=settings.model_dump(mode="json"),
        variants=variants_of(settings.measures, examination.instruments),
        definitions={
            entry.name: {**entry.facts.model_dump(mode="json"), "unit": units[entry.name]}
            for entry in METRICS
            if entry.name in units
        },
        instruments=examination.instrument_facts,
        set_measurements=sets,
        left_out=left_out(quantity_of(cohort), settings.families),
        case_counts=_counts(cohort, found.records, len(broken)),
        notices=(*notices, *_odd(records), *_remarked(records)),
        tables_sha256=tables,
        when=When(
            started=plan.started,
            finished=_now(),
            costs_sha256=found.sha256[COSTS_FILE],
            lock=plan.lock,
            seconds_by_case=found.seconds,
            peak_memory_mib=max(peak_mib(), found.peak_memory_mib),
            dose_device_by_case=found.dose_devices,
        ),
    )
    write_model(out / EVALUATION_FILE, evaluation)
    return evaluation


def _odd(records: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Announce synthetic images whose numbers are odd, the same oddity once."""
    cases: dict[str, list[str]] = {}
    for record in records:
        for step in dict.fromkeys(record.history):
            if step.startswith(ODD):
                cases.setdefault(step.removeprefix(ODD), []).append(record.case)
    return tuple(
        f"Odd numbers in the synthetic images of {listing(some(names))}: {what}."
        for what, names in sorted(cases.items())
    )


def _remarked(records: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Announce what must be known of how cases were measured, the same remark once."""
    cases: dict[str, list[str]] = {}
    for record in records:
        for remark in record.remarks:
            cases.setdefault(remark, []).append(record.case)
    return tuple(f"{listing(some(names))}: {what}." for what, names in cases.items())


def _cohort_facts(cohort: Cohort, split: str, records: Sequence[CaseRecord]) -> CohortFacts:
    return CohortFacts(
        name=cohort.name,
        digest=cohort.digest,
        direction=cohort.direction,
        anatomy=cohort.anatomy,
        split=split,
        cases=len(records),
        patients=len({record.patient for record in records}),
        sites=tuple(sorted({record.site for record in records})),
        expected_sites=_expected_sites(cohort, split),
    )


def _expected_sites(cohort: Cohort, split: str) -> tuple[str, ...]:
    """Return the sites to be judged: also those of which nothing could be imported.

    A site of which every case that was imported is in another patient set is not among them.
    """
    imported = {case.site for case in cohort.cases if case.import_problem is None}
    examined = {case.site for case in cohort.cases if case.split == split}
    return tuple(sorted(examined | (set(cohort.sites) - imported) | set(cohort.expected_sites)))


def _counts(cohort: Cohort, records: Sequence[CaseRecord], broken: int) -> dict[str, int]:
    status = [record.status for record in records]
    return {
        "imported": len(cohort.cases),
        "import_failed": broken,
        "held_out": len(records),
        "refused": status.count("refused"),
        "failed": status.count("failed"),
        "evaluated": status.count("evaluated"),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
