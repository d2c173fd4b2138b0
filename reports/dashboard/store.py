"""What the dashboard reads from the MLflow store; plain functions without Streamlit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.reach import require_artifacts
from qa_suite.core.records import CaseRecord, Evaluation, Verdict
from qa_suite.core.verdict_files import Overall

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
    status: str = "FINISHED"


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
        mlflow = store.connect(registry=False)
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
        status=str(info.status),
    )


def moment(milliseconds: int) -> str:
    """Write a moment of the store in ISO 8601, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="seconds")


def aliases() -> dict[str, str]:
    """Return the aliases of every version that has any, by its address."""
    with store.reached():
        models = _all_pages(store.connect().MlflowClient().search_registered_models)
    found: dict[str, list[str]] = {}
    for model in models:
        for alias, version in sorted(model.aliases.items()):
            found.setdefault(f"models:/{model.name}/{version}", []).append(alias)
    return {uri: ", ".join(names) for uri, names in found.items()}


def record_folder(run_id: str) -> Path:
    """Return where the record of a run lies on this machine; a remote one is fetched.

    Raises
    ------
    InputError
        If the run carries no record, or the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = store.connect(registry=False).get_run(run_id)
        require_artifacts(str(run.info.artifact_uri))
        return _artifacts(store.tracking_uri(), run_id, int(run.info.end_time or 0))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"The record of run {run_id} cannot be fetched: {reason}") from None


@lru_cache(maxsize=64)
def _artifacts(uri: str, run_id: str, written: int) -> Path:
    """Return where the record of a run lies; ``written`` (ms) is when it was written last."""
    mlflow = store.connect(registry=False)
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=RECORD_PATH))
