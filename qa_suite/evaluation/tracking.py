"""Evaluations in MLflow: a run each, linked to its model and its cohort."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from qa_suite.core import store
from qa_suite.core.headline_measures import Measure, first_of
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import OUTBOX_FILE, REFUSED_FILE, Begin, Operation
from qa_suite.core.outbox.runs import in_batches, made_by
from qa_suite.core.outbox.sending import Sent, send
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import Evaluation, MeasurementStatus, PreflightStatus, preflight_status
from qa_suite.core.verdict_files import Overall, overall, worst
from qa_suite.evaluation.journal import JOURNAL_FOLDER

EXPERIMENT = "evaluations"
RECORD_PATH = Path("record")
_NOT_OF_THE_RECORD = (JOURNAL_FOLDER, OUTBOX_FILE, REFUSED_FILE)
MOST_FIGURES = 30
"""Of an evaluation in MLflow, beside its run and its model; all others stand in its tables."""


def log_evaluation(folder: Path) -> Sent:
    """Log an evaluation, its verdicts and its report as a run, now or when the store answers.

    The run is linked to the logged model and to the cohort as a dataset. All of it is noted in
    the folder's outbox at once and sent from there. Logging the same evaluation again updates its
    run; what waited of it until then is replaced.

    Returns
    -------
    Sent
        What came of it.

    Raises
    ------
    InputError
        If the folder holds no evaluation, or its outbox cannot be written; the evaluation stays
        whole in its folder.
    """
    evaluation = read_evaluation(folder)
    judged = overall(folder)
    begin = Begin(
        identity=("qa.evaluation", evaluation.evaluation),
        experiment=EXPERIMENT,
        name=f"{evaluation.model.name} on {evaluation.cohort.name}",
        started=int(time.time() * 1000),
        tags=made_by(),
    )
    with Outbox(folder) as outbox:
        outbox.begin(begin, _operations(folder, evaluation, judged))
        return send(outbox)


def _operations(folder: Path, evaluation: Evaluation, judged: Overall) -> list[Operation]:
    """Return all that is told of an evaluation, its end last."""
    told: list[tuple[str, Any]] = [
        *(("tags", part) for part in in_batches(_tags(evaluation, judged) | _status_tags(folder))),
        ("params", _parameters(evaluation)),
        ("dataset", _dataset(evaluation)),
    ]
    if evaluation.model.mlflow_run_id is not None:
        told.append(("examined", [evaluation.model.mlflow_run_id]))
    bounded = [
        (one.metric, one.region, one.variant)
        for written in judged.standing
        for one in written.verdict.profile.criteria
    ]
    means = patient_means_of(read_measurements(folder), bounded)
    told.append(
        ("figures", [(store.metric_name(name), value, 0, 0) for name, value in means.items()])
    )
    for path in _files(folder):
        place = path.relative_to(folder)
        told.append(("file", [str(place), str(RECORD_PATH / place.parent)]))
    told.append(("status", ["FINISHED", int(time.time() * 1000)]))
    return [Operation(id=uuid.uuid4().hex, kind=kind, what=what) for kind, what in told]


def _files(folder: Path) -> list[Path]:
    """Return the files of a record: neither what carries a run on nor what is hidden."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name in _NOT_OF_THE_RECORD or path.name.startswith("."):
            continue
        found += [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return found


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


def _dataset(evaluation: Evaluation) -> list[Any]:
    """Tell the cohort that was examined, as a dataset."""
    cohort = evaluation.cohort
    facts = {key: str(value) for key, value in cohort.model_dump(mode="json").items()}
    return [cohort.name, cohort.digest, "evaluation", facts]


def patient_means_of(table: pd.DataFrame, bounded: Sequence[Measure] = ()) -> dict[str, float]:
    """Return the means over all patients of the measures that are told first, by their names.

    A mean that would contain a censored value is none, and is left out.

    Parameters
    ----------
    table
        The measurements.
    bounded
        What the profiles of the standing verdicts bound.
    """
    keys = ["metric", "region", "variant"]
    unknown = (table["status"] == "censored").groupby([table[key] for key in keys])
    known = table[(table["status"] == "ok") & ~unknown.transform("any").astype(bool)]
    means = known.groupby([*keys, "patient"])["value"].mean().groupby(keys).mean()
    names: list[Measure] = [(str(one[0]), str(one[1]), str(one[2])) for one in list(means.index)]
    found = dict(zip(names, map(float, means), strict=True))
    told = {}
    for key in first_of(found, bounded, MOST_FIGURES):
        metric, region, variant = key
        told[f"{metric}.{region}{'' if variant == 'default' else f'.{variant}'}"] = found[key]
    return told
