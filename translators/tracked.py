"""What a training leaves in MLflow: parameters, data, code, curves, figures and pictures."""

from __future__ import annotations

import json
import logging
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qa_suite import __version__
from qa_suite.cohort import Cohort
from qa_suite.processes import git_state
from qa_suite.store import connect, experiment
from translators.base import FitSummary, Progress, Translator
from translators.data import SEEN_SPLITS, PreparedPair, load_pairs
from translators.spec import TranslatorSpec

EXPERIMENT = "training"
RUN_FILE = "run.json"

_BATCH = 500  # metrics in one call to MLflow; one by one is a hundred times slower
_SEND_EVERY_S = 30.0
_PICTURES = 2

_log = logging.getLogger(__name__)


class Curves:
    """Collects the figures of a training and sends them to MLflow in batches."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._waiting: list[tuple[str, float, int, int]] = []
        self._sent_at = time.monotonic()

    def watching(self, progress: Progress | None) -> Progress:
        """Return a callback that collects, and passes on to ``progress``."""

        def note(done: int, total: int, figures: dict[str, float]) -> None:
            now = int(time.time() * 1000)
            self._waiting += [(name, value, now, done) for name, value in figures.items()]
            if time.monotonic() - self._sent_at > _SEND_EVERY_S:
                self.send()
            if progress is not None:
                progress(done, total, figures)

        return note

    def complete(self, summary: FitSummary) -> None:
        """Send what a killed training had computed and not sent yet."""
        client = connect().MlflowClient()
        now = int(time.time() * 1000)
        for name, points in summary.curves.items():
            known = {point.step for point in client.get_metric_history(self._run_id, name)}
            self._waiting += [
                (name, value, now, step) for step, value in points if step not in known
            ]
        self.send()

    def send(self) -> None:
        """Send what was collected."""
        from mlflow.entities import Metric

        mlflow = connect()
        client = mlflow.MlflowClient()
        rows = [Metric(key=k, value=v, timestamp=t, step=s) for k, v, t, s in self._waiting]
        for start in range(0, len(rows), _BATCH):
            client.log_batch(self._run_id, metrics=rows[start : start + _BATCH])
        self._waiting = []
        self._sent_at = time.monotonic()


@contextmanager
def training_run(
    spec: TranslatorSpec, workdir: Path, *, resume: bool, nested: bool = False
) -> Iterator[Any]:
    """Start an MLflow run with system metrics, or carry on with that of a killed training."""
    mlflow = connect()
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / RUN_FILE
    experiment_id = experiment(EXPERIMENT)
    known = None
    if resume and path.is_file():
        known = json.loads(path.read_text())["run_id"]
        if known not in {
            r.info.run_id
            for r in mlflow.search_runs(
                experiment_ids=[experiment_id], output_format="list", max_results=5000
            )
        }:
            known = None  # another store than the one it was begun in
    mlflow.set_system_metrics_sampling_interval(5)
    with mlflow.start_run(
        run_id=known,
        experiment_id=experiment_id,
        run_name=None if known else spec.name,
        log_system_metrics=not nested,
        nested=nested,
    ) as run:
        path.write_text(json.dumps({"run_id": run.info.run_id}))
        yield run


def log_facts(
    spec: TranslatorSpec, cohort: Cohort, iterations: int | None, tags: dict[str, str]
) -> None:
    """Log what is known before the training: specification, data and code."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    mlflow = connect()
    flat = {key: str(value)[:500] for key, value in spec.flat().items()}
    if iterations is not None:
        flat["budget.iterations"] = str(iterations)
    mlflow.log_params(flat)
    digest = cohort.data_digest(*SEEN_SPLITS)
    patients = {s: len({c.patient for c in cohort.in_split(s)}) for s in SEEN_SPLITS}
    mlflow.set_tags(
        tags
        | {
            "qa.kind": "training",
            "qa.cohort": cohort.name,
            "data_digest": digest,
            "cohort_digest": cohort.digest,
            "training_sites": ",".join(sorted({c.site for c in cohort.in_split(*SEEN_SPLITS)})),
            "direction": spec.direction,
            "anatomy": spec.anatomy,
            "family": spec.family,
            **{f"patients_{name}": str(count) for name, count in patients.items()},
            "python": platform.python_version(),
        }
    )
    source = CodeDatasetSource({"cohort": cohort.name, "data_digest": digest})
    mlflow.log_input(MetaDataset(source, name=cohort.name, digest=digest[:36]), context="training")
    mlflow.log_dict(spec.model_dump(mode="json"), "spec.json")


def log_outcome(run_id: str, summary: FitSummary) -> None:
    """Log how long a training took and what it reached."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "training_seconds": summary.seconds,
        "iterations_done": float(summary.iterations),
        "best_iteration": float(summary.best_iteration),
        "iterations_per_second": summary.iterations / max(summary.seconds, 1e-9),
        "peak_memory_mb": peak / (1024 if platform.system() == "Linux" else 1024**2),
    }
    if summary.best_validation is not None:
        figures["best_validation_mae"] = summary.best_validation
    mlflow = connect()
    mlflow.log_metrics(figures, run_id=run_id)
    mlflow.set_tag("stopped_early", str(summary.stopped_early))


def log_pictures(translator: Translator, cohort: Cohort, folder: Path, workdir: Path) -> None:
    """Log pictures of the first validation patients, or of train patients where none are."""
    from translators.pictures import sample_picture

    mlflow = connect()
    for pair in shown_pairs(translator, cohort, folder):
        found = translator.infer(pair.prepared)
        path = workdir / "samples" / f"{pair.case.case}.png"
        sample_picture(
            pair, found.mean, pair.prepared.frame.spacing_mm, translator.spec.target, path
        )
        mlflow.log_artifact(str(path), "samples")


def shown_pairs(
    translator: Translator, cohort: Cohort, folder: Path, count: int = _PICTURES
) -> tuple[PreparedPair, ...]:
    """Read the first validation pairs, or train pairs where there are none.

    Of finished volumes only those are shown that are there; they may all be of test patients.
    """
    for split in reversed(SEEN_SPLITS):
        shown: list[PreparedPair] = []
        for case in (c for c in cohort.in_split(split) if c.reference is not None):
            alone = cohort.model_copy(update={"cases": (case,)})
            (pair,) = load_pairs(alone, folder, translator.spec, split)
            if translator.has_answer(pair.scan):
                shown.append(pair)
            if len(shown) == count:
                break
        if shown:
            return tuple(shown)
    return ()


def code_tags() -> dict[str, str]:
    """Return the tags that say by which code a model was made."""
    commit, dirty = git_state(Path(__file__).resolve().parent.parent)
    return {
        "git_commit": commit or "unknown",
        "git_dirty": str(dirty),
        "suite_version": __version__,
    }
