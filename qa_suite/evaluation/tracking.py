"""Evaluations in MLflow: a run each, linked to its model and its cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import Evaluation, MeasurementStatus, PreflightStatus, preflight_status
from qa_suite.core.verdict_files import Overall, overall, worst

EXPERIMENT = "evaluations"
RECORD_PATH = "record"
_BATCH = 500  # metrics in one call; one by one is a hundred times slower


def log_evaluation(folder: Path) -> str:
    """Log an evaluation, its verdicts and its report as a run; return the run's identifier.

    The run is linked to the logged model and to the cohort as a dataset. Logging the same
    evaluation again updates its run.

    Raises
    ------
    InputError
        If the store cannot be reached; the evaluation stays whole in its folder.
    """
    from mlflow.exceptions import MlflowException

    try:
        with store.impatient():
            store.connect().MlflowClient().search_experiments(max_results=1)
        return _log(folder)
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The evaluation is whole in {folder} but was not logged to {store.tracking_uri()} "
            f"({reason}); 'qa-suite report {folder} --profile NAME' logs it when it answers."
        ) from None


def _log(folder: Path) -> str:
    mlflow = store.connect()
    evaluation = read_evaluation(folder)
    judged = overall(folder)
    experiment_id = store.experiment(EXPERIMENT)
    known = mlflow.search_runs(
        experiment_ids=[experiment_id],
        filter_string=f"tags.`qa.evaluation` = '{evaluation.evaluation}'",
        output_format="list",
    )
    run_id = known[0].info.run_id if known else None
    name = f"{evaluation.model.name} on {evaluation.cohort.name}"
    with mlflow.start_run(run_id=run_id, experiment_id=experiment_id, run_name=name) as run:
        mlflow.set_tags(_tags(evaluation, judged) | _status_tags(folder))
        if run_id is None:
            mlflow.log_params(_parameters(evaluation))
            _link(mlflow, run, evaluation)
            _log_means(mlflow, run.info.run_id, folder)
        for path in sorted(folder.iterdir()):
            if path.name == "journal":
                continue
            if path.is_dir():
                mlflow.log_artifacts(str(path), f"{RECORD_PATH}/{path.name}")
            else:
                mlflow.log_artifact(str(path), RECORD_PATH)
    return str(run.info.run_id)


def _tags(evaluation: Evaluation, judged: Overall) -> dict[str, str]:
    """Tell what was examined and what it comes to: the worst of the verdicts that stand."""
    tags = {
        "qa.kind": "evaluation",
        "qa.evaluation": evaluation.evaluation,
        "qa.model": evaluation.model.uri,
        "qa.cohort": evaluation.cohort.name,
        "qa.direction": evaluation.cohort.direction,
        "qa.anatomy": evaluation.cohort.anatomy,
    }
    if not judged.written:
        return tags
    by_profile: dict[str, list[str]] = {one.verdict.profile.name: [] for one in judged.written}
    for one in judged.standing:
        by_profile[one.verdict.profile.name].append(one.outcome)
    tags |= {
        f"qa.outcome.{name}": worst(outcomes) if outcomes else "superseded"
        for name, outcomes in by_profile.items()
    }
    tried = [profile for profile in judged.tried if profile.bounds]
    return tags | {"qa.outcome": judged.outcome, "qa.profiles_tried": str(len(tried))}


def _status_tags(folder: Path) -> dict[str, str]:
    """Tell what the logged means cannot: cases and measurements by what became of them."""
    cases: Counter[str] = Counter(
        preflight_status(case.preflight) for case in read_cases(folder) if case.preflight
    )
    rows = Counter(read_measurements(folder)["status"])
    return {
        "qa.preflight": _counts(cases, get_args(PreflightStatus)),
        "qa.measurements": _counts(rows, get_args(MeasurementStatus)),
    }


def _counts(found: Mapping[str, int], words: Sequence[str]) -> str:
    return ", ".join(f"{found[word]} {word}" for word in words if found.get(word)) or "none"


def _parameters(evaluation: Evaluation) -> dict[str, str]:
    return {
        "cohort_digest": evaluation.cohort.digest,
        "split": evaluation.cohort.split,
        "sites": ", ".join(evaluation.cohort.sites),
        "weights_sha256": evaluation.model.weights_sha256 or "none",
        "suite_version": evaluation.code.suite_version,
        "git_commit": evaluation.code.git_commit or "none",
        **{f"cases_{what}": str(count) for what, count in evaluation.case_counts.items()},
    }


def _link(mlflow: Any, run: Any, evaluation: Evaluation) -> None:
    """Link the run to the cohort (a dataset) and to the model it examined."""
    facts = pd.DataFrame([{k: str(v) for k, v in evaluation.cohort.model_dump().items()}])
    dataset = mlflow.data.from_pandas(
        facts, name=evaluation.cohort.name, digest=evaluation.cohort.digest[:36]
    )
    mlflow.log_input(dataset, context="evaluation")
    if evaluation.model.mlflow_run_id is None:
        return
    from mlflow.entities import LoggedModelInput

    client = mlflow.MlflowClient()
    source = client.get_run(evaluation.model.mlflow_run_id)
    logged = [output.model_id for output in source.outputs.model_outputs]
    client.log_inputs(run.info.run_id, models=[LoggedModelInput(model_id=m) for m in logged])


def _log_means(mlflow: Any, run_id: str, folder: Path) -> None:
    """Log each measure's mean over the patients, pooled and by site; a gap is no number."""
    from mlflow.entities import Metric

    rows = [
        Metric(key=store.metric_name(name), value=value, timestamp=0, step=0)
        for name, value in patient_means_of(read_measurements(folder)).items()
    ]
    client = mlflow.MlflowClient()
    for start in range(0, len(rows), _BATCH):
        client.log_batch(run_id, metrics=rows[start : start + _BATCH])


def patient_means_of(table: pd.DataFrame) -> dict[str, float]:
    """Return each measure's mean over the patients, pooled (``all``) and by site, by its name.

    A mean that would contain a censored value is none, and is left out.
    """
    keys = ["metric", "region", "variant"]
    found = {}
    for site, part in [("all", table), *table.groupby("site")]:
        unknown = (part["status"] == "censored").groupby([part[key] for key in keys])
        known = part[(part["status"] == "ok") & ~unknown.transform("any").astype(bool)]
        means = known.groupby([*keys, "patient"])["value"].mean().groupby(keys).mean()
        for (metric, region, variant), value in means.items():
            suffix = "" if variant == "default" else f".{variant}"
            found[f"{site}/{metric}.{region}{suffix}"] = float(value)
    return found
