"""Cohort × translator → evaluation: slow, resumable, and the only place that measures.

Each case is one unit of work: preflight, translate, measure, note in the journal. A case
that raises becomes a measurement with its reason and the run goes on. Killed at any moment,
the same call carries on and ends with the same record.
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from qa_suite import volumes
from qa_suite.cohort import HELD_OUT, Case, Cohort, Split
from qa_suite.errors import InputError, LeakageError, QAError
from qa_suite.io.cases import LoadedCase, Translate, load_case
from qa_suite.io.identity import SAME_SCAN_BITS, fingerprint_distance
from qa_suite.journal import Entry, Journal, Plan
from qa_suite.measures.base import Pair
from qa_suite.measures.run import measure_pair, variants_of
from qa_suite.measures.settings import MeasureSettings
from qa_suite.preflight import PreflightSettings, preflight
from qa_suite.provenance import code_facts
from qa_suite.records import (
    CASES_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    CaseRecord,
    CohortFacts,
    CurvePoint,
    Evaluation,
    Measurement,
    ModelFacts,
    When,
    digest_of,
    read_evaluation,
    write_model,
    write_table,
)
from qa_suite.volume import Prediction, require_same_grid

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]


class EvaluationSettings(BaseModel):
    """Everything that decides what is measured, and how; recorded whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split = HELD_OUT
    families: tuple[str, ...] | None = None
    preflight: PreflightSettings = PreflightSettings()
    measures: MeasureSettings = MeasureSettings()
    keep_volumes: Literal["worst", "all", "none"] = "worst"
    allow_leakage: bool = False


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One evaluation about to run: the material, the examined and the settings."""

    cohort: Cohort
    folder: Path
    model: ModelFacts
    translate: Translate
    settings: EvaluationSettings

    @property
    def identifier(self) -> str:
        """Digest of cohort, model and settings: what makes two evaluations the same."""
        what = {
            "cohort": self.cohort.digest,
            "model": self.model.model_dump(mode="json", exclude={"mlflow_run_id"}),
            "settings": self.settings.model_dump(mode="json"),
        }
        return digest_of(what)[:16]


def evaluate(
    examination: Examination,
    out: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a translator on the held-out patients of a cohort.

    Parameters
    ----------
    examination
        Cohort, model and settings.
    out
        The evaluation's folder; made if needed. Work that lies there already is kept.
    workers
        Cases measured at the same time; translating is one at a time in any case. The
        record does not depend on it.
    progress
        Called with (cases done, cases in all, case).

    Returns
    -------
    Evaluation
        As it stands in ``out/evaluation.json``.

    Raises
    ------
    InputError
        If the cohort has no case in the examined split, or ``out`` holds another evaluation.
    LeakageError
        If the model was trained on an examined patient or scan, and the settings do not
        allow it.
    """
    if (out / EVALUATION_FILE).exists():
        known = read_evaluation(out)
        if known.evaluation == examination.identifier:
            return known
    cases = examination.cohort.in_split(examination.settings.split)
    if not cases:
        raise InputError(
            f"The cohort {examination.cohort.name} has no case in the set "
            f"'{examination.settings.split}'; deal the patients with 'qa-suite import --split'."
        )
    notices = leakage_notices(examination, cases)
    code = code_facts()
    plan = Plan(
        evaluation=examination.identifier,
        suite_version=code.suite_version,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        started=_now(),
    )
    journal = Journal(out, plan)
    entries = _run_cases(examination, cases, out, journal, workers, progress)
    return _write_record(examination, out, journal.plan, entries, notices)


def leakage_notices(examination: Examination, cases: Sequence[Case]) -> tuple[str, ...]:
    """Refuse, or with the override announce, a model examined on what it was trained on."""
    model = examination.model
    patients = set(model.training_patients)
    voxels = set(model.training_voxel_hashes)
    seen = [
        case.case
        for case in cases
        if case.patient in patients
        or voxels.intersection(case.voxel_hashes.values())
        or _looks_like(case, model.training_fingerprints)
    ]
    if not seen:
        return ()
    text = f"{model.uri} was trained on {len(seen)} of the examined cases: {', '.join(seen)}"
    if not examination.settings.allow_leakage:
        raise LeakageError(f"{text}; examine it on other patients, or pass --allow-leakage.")
    return (f"{text}. Nothing below is a held-out result.",)


def _looks_like(case: Case, known: Iterable[str]) -> bool:
    return any(
        fingerprint_distance(mine, other) <= SAME_SCAN_BITS
        for mine in case.fingerprints.values()
        for other in known
    )


# ---------------------------------------------------------------------------------------
# One case


def examine_case(
    examination: Examination, case: Case, out: Path, translating: threading.Lock
) -> Entry:
    """Take one case through preflight, translation and measuring; never raises for bad data."""
    started = time.perf_counter()
    record = _blank_record(case)
    try:
        loaded = load_case(examination.cohort, case, examination.folder, truth=True)
        record = record.model_copy(
            update={
                "grid": loaded.source.grid.describe(),
                "strata": case.strata.model_dump(mode="json", exclude_none=True),
            }
        )
        checked = preflight(loaded, examination.cohort, examination.settings.preflight)
        record = record.model_copy(update={"preflight": checked.values})
    except QAError as error:
        return _entry(record, started, status="refused", reason=_reason(examination, error))
    except Exception as error:  # our mistake, not the case's: it failed, it was not refused
        log.debug("preflight of case %s", case.case, exc_info=True)
        return _failed(record, started, _reason(examination, error))
    if checked.refused:
        return _entry(record, started, status="refused", reason=checked.reason)
    try:
        with translating:
            prediction = examination.translate(loaded)
        pair = _pair(loaded, prediction)
        measurements = measure_pair(
            pair,
            families=examination.settings.families,
            settings=examination.settings.measures,
            case=case.case,
            patient=case.patient,
            site=case.site,
        )
    except Exception as error:  # becomes a measurement with its reason
        log.debug("case %s", case.case, exc_info=True)
        return _failed(record, started, _reason(examination, error))
    kept = {}
    if examination.settings.keep_volumes != "none":
        kept["synthetic"] = volumes.keep(prediction.mean, out)
    history = (*case.history, *prediction.mean.history)
    record = record.model_copy(update={"volumes": kept, "history": history})
    return _entry(record, started, status="evaluated", measurements=measurements)


def _pair(loaded: LoadedCase, prediction: Prediction) -> Pair:
    if loaded.reference is None:
        raise InputError("the case has no reference image to compare with")
    if loaded.mask is None:
        raise InputError("the case has no mask that says where it may be measured")
    require_same_grid({"the source": loaded.source, "the synthetic image": prediction.mean})
    return Pair(
        source=loaded.source,
        reference=loaded.reference,
        synthetic=prediction.mean,
        mask=loaded.mask,
        structures=loaded.structures,
        prediction=prediction,
    )


def _blank_record(case: Case) -> CaseRecord:
    return CaseRecord(
        case=case.case, patient=case.patient, site=case.site, split=case.split,
        examination=case.examination, status="refused", history=case.history,
    )  # fmt: skip


def _entry(
    record: CaseRecord,
    started: float,
    *,
    status: Literal["evaluated", "refused", "failed"],
    reason: str = "",
    measurements: Iterable[Measurement] = (),
    curves: Iterable[CurvePoint] = (),
) -> Entry:
    return Entry(
        record=record.model_copy(update={"status": status, "reason": reason}),
        measurements=tuple(measurements),
        curves=tuple(curves),
        seconds=time.perf_counter() - started,
    )


def _failed(record: CaseRecord, started: float, reason: str) -> Entry:
    row = Measurement(
        case=record.case, patient=record.patient, site=record.site, family="run",
        metric="translation", region="all", value=None, unit="", status="error", why=reason,
    )  # fmt: skip
    return _entry(record, started, status="failed", reason=reason, measurements=[row])


def _reason(examination: Examination, error: Exception) -> str:
    """Write an error on one line, its files relative to the cohort as in the manifest."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.replace(f"{examination.folder}/", "")
    return text if isinstance(error, QAError) else f"{type(error).__name__}: {text}"


# ---------------------------------------------------------------------------------------
# All cases, and the record


def _run_cases(
    examination: Examination,
    cases: Sequence[Case],
    out: Path,
    journal: Journal,
    workers: int,
    progress: Progress | None,
) -> list[Entry]:
    entries = {case.case: entry for case in cases if (entry := journal.read(case.case))}
    todo = [case for case in cases if case.case not in entries]
    translating = threading.Lock()

    def work(case: Case) -> Entry:
        entry = examine_case(examination, case, out, translating)
        journal.write(entry)
        return entry

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures = {pool.submit(work, case): case for case in todo}
        try:
            for future in as_completed(futures):
                entry = future.result()
                entries[entry.record.case] = entry
                if progress is not None:
                    progress(len(entries), len(cases), entry.record.case)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [entries[case.case] for case in cases]


def _write_record(
    examination: Examination,
    out: Path,
    plan: Plan,
    entries: Sequence[Entry],
    notices: tuple[str, ...],
) -> Evaluation:
    cohort, settings = examination.cohort, examination.settings
    measurements = [m for entry in entries for m in entry.measurements]
    records = [entry.record for entry in entries]
    records = volumes.settle(records, measurements, examination.cohort, examination.folder, out,
                             policy=settings.keep_volumes)  # fmt: skip
    broken = [case for case in cohort.cases if case.import_problem is not None]
    records += [
        _blank_record(case).model_copy(
            update={"reason": f"could not be imported: {case.import_problem}"}
        )
        for case in broken
    ]
    tables = {
        MEASUREMENTS_FILE: write_table(out / MEASUREMENTS_FILE, measurements, Measurement),
        CASES_FILE: write_table(out / CASES_FILE, records, CaseRecord),
        CURVES_FILE: write_table(
            out / CURVES_FILE, [c for entry in entries for c in entry.curves], CurvePoint
        ),
    }
    evaluation = Evaluation(
        evaluation=examination.identifier,
        model=examination.model,
        cohort=_cohort_facts(cohort, settings.split, entries),
        code=code_facts(),
        settings=settings.model_dump(mode="json"),
        variants=variants_of(settings.measures),
        case_counts=_counts(cohort, entries, len(broken)),
        notices=notices,
        tables_sha256=tables,
        when=When(
            started=plan.started,
            finished=_now(),
            seconds_by_case={e.record.case: round(e.seconds, 3) for e in entries},
            peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        ),
    )
    write_model(out / EVALUATION_FILE, evaluation)
    return evaluation


def _cohort_facts(cohort: Cohort, split: str, entries: Sequence[Entry]) -> CohortFacts:
    return CohortFacts(
        name=cohort.name,
        digest=cohort.digest,
        direction=cohort.direction,
        anatomy=cohort.anatomy,
        split=split,
        cases=len(entries),
        patients=len({entry.record.patient for entry in entries}),
        sites=tuple(sorted({entry.record.site for entry in entries})),
    )


def _counts(cohort: Cohort, entries: Sequence[Entry], broken: int) -> dict[str, int]:
    status = [entry.record.status for entry in entries]
    return {
        "imported": len(cohort.cases),
        "import_failed": broken,
        "held_out": len(entries),
        "refused": status.count("refused"),
        "failed": status.count("failed"),
        "evaluated": status.count("evaluated"),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
