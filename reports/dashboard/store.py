"""What the dashboard reads from the MLflow store; plain functions without Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import CaseRecord, Evaluation, Verdict
from qa_suite.core.verdict_files import Overall, overall
from reports.facts.pictures import PictureCase, choose_pictures

EVALUATIONS = "evaluations"
RECORD_PATH = "record"
REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version of a registered model and what its tags say."""

    name: str
    version: str
    uri: str
    created_ms: int
    run_id: str | None
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationRun:
    """One evaluation as its MLflow run tells it."""

    run_id: str
    evaluation: str
    model: str
    cohort: str
    outcome: str
    outcomes: tuple[tuple[str, str], ...]
    started_ms: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluation, opened: the record, its verdicts and its report."""

    folder: Path
    evaluation: Evaluation
    cases: tuple[CaseRecord, ...]
    judged: Overall
    report: Path | None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every verdict, the oldest first."""
        return tuple(one.verdict for one in self.judged.written)


def model_versions() -> tuple[ModelVersion, ...]:
    """Return every version of every registered model, newest first within a name."""
    with store.reached():
        versions = _all_pages(store.connect().MlflowClient().search_model_versions)
    found = []
    for version in versions:
        found.append(
            ModelVersion(
                name=version.name,
                version=str(version.version),
                uri=f"models:/{version.name}/{version.version}",
                created_ms=int(version.creation_timestamp),
                run_id=version.run_id or None,
                tags=tuple(sorted(version.tags.items())),
            )
        )
    return tuple(sorted(found, key=lambda v: (v.name, -int(v.version))))


def _all_pages(search: Callable[..., Any]) -> list[Any]:
    page = search(max_results=1000)
    items = list(page)
    while page.token:
        page = search(max_results=1000, page_token=page.token)
        items += page
    return items


def evaluations() -> tuple[EvaluationRun, ...]:
    """Return every evaluation of the store, newest first; none is no error."""
    with store.reached():
        mlflow = store.connect()
        experiment = mlflow.get_experiment_by_name(EVALUATIONS)
        if experiment is None:
            return ()
        runs = mlflow.search_runs(
            experiment_ids=[experiment.experiment_id],
            filter_string="tags.`qa.kind` = 'evaluation'",
            order_by=["attributes.start_time DESC"],
            output_format="list",
        )
    return tuple(_evaluation_run(run.info, run.data.tags) for run in runs)


def _evaluation_run(info: Any, tags: dict[str, str]) -> EvaluationRun:
    prefix = "qa.outcome."
    return EvaluationRun(
        run_id=str(info.run_id),
        evaluation=tags.get("qa.evaluation", ""),
        model=tags.get("qa.model", "unknown"),
        cohort=tags.get("qa.cohort", "unknown"),
        outcome=tags.get("qa.outcome", "not judged"),
        outcomes=tuple(
            sorted((k.removeprefix(prefix), v) for k, v in tags.items() if k.startswith(prefix))
        ),
        started_ms=int(info.start_time or 0),
        name=str(info.run_name or info.run_id),
    )


def chosen(
    runs: Sequence[EvaluationRun],
    *,
    models: Sequence[str] = (),
    cohorts: Sequence[str] = (),
    outcomes: Sequence[str] = (),
) -> tuple[EvaluationRun, ...]:
    """Keep the runs that a filter lets through; an empty filter lets all through."""
    return tuple(
        run
        for run in runs
        if (not models or run.model in models)
        and (not cohorts or run.cohort in cohorts)
        and (not outcomes or run.outcome in outcomes)
    )


@lru_cache(maxsize=16)
def _artifacts(uri: str, run_id: str, written: int) -> Path:
    """Return where the record of a run lies on this machine; a remote one is fetched once.

    ``written`` (milliseconds) is when the run was last written, so that an evaluation that
    was judged again is fetched again.
    """
    mlflow = store.connect()
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=RECORD_PATH))


def open_record(run_id: str) -> Record:
    """Open the record of an evaluation run.

    Raises
    ------
    InputError
        If the run carries no whole record.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = store.connect().get_run(run_id)
        folder = _artifacts(store.tracking_uri(), run_id, int(run.info.end_time or 0))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"The record of run {run_id} cannot be fetched: {reason}") from None
    report = folder / REPORT_FILE
    return Record(
        folder=folder,
        evaluation=read_evaluation(folder),
        cases=read_cases(folder),
        judged=overall(folder),
        report=report if report.is_file() else None,
    )


def pictures(record: Record) -> tuple[PictureCase, ...]:
    """Return the cases of a record that have pictures to show."""
    table = read_measurements(record.folder)
    return choose_pictures(record.folder, table, record.cases, record.evaluation)
