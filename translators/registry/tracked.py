"""What a training leaves in MLflow: parameters, data, code, curves, figures and pictures."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_suite.core.cohort import Cohort
from qa_suite.core.memory import peak_mib
from qa_suite.core.outbox.runs import TrackedRun, tracked_run
from qa_suite.learning.summary import FitSummary, Progress
from translators.base import Translator
from translators.data import SEEN_SPLITS, PreparedPair, load_pairs
from translators.spec import TranslatorSpec

EXPERIMENT = "training"

_SEND_EVERY_S = 30.0
_PICTURES = 2


class Curves:
    """Collects the figures of a training and tells them to MLflow in batches."""

    def __init__(self, telemetry: TrackedRun) -> None:
        self._telemetry = telemetry
        self._waiting: list[tuple[str, float, int, int]] = []
        self._sent_at = time.monotonic()

    def watching(self, progress: Progress | None) -> Progress:
        """Return a callback that collects, and passes on to ``progress``."""

        def note(done: int, total: int, figures: dict[str, float]) -> None:
            now = int(time.time() * 1000)
            self._waiting += [(name, float(value), now, done) for name, value in figures.items()]
            if time.monotonic() - self._sent_at > _SEND_EVERY_S:
                self.send()
            if progress is not None:
                progress(done, total, figures)

        return note

    def complete(self, summary: FitSummary) -> None:
        """Send what a killed training had computed and not noted yet."""
        now = int(time.time() * 1000)
        for name, points in summary.curves.items():
            known = self._telemetry.noted_steps(name)
            self._waiting += [
                (name, value, now, step) for step, value in points if step not in known
            ]
        self.send()

    def send(self) -> None:
        """Note what was collected, and send it if the server listens."""
        self._telemetry.metrics(self._waiting)
        self._telemetry.send()
        self._waiting = []
        self._sent_at = time.monotonic()


@contextmanager
def training_run(
    spec: TranslatorSpec, workdir: Path, *, resume: bool, parent: TrackedRun | None = None
) -> Iterator[TrackedRun]:
    """Begin the MLflow run of a training; see :func:`qa_suite.core.outbox.runs.tracked_run`."""
    with tracked_run(
        EXPERIMENT, spec.name, workdir, resume=resume, parent=parent, system_metrics=parent is None
    ) as telemetry:
        yield telemetry


def log_facts(
    telemetry: TrackedRun,
    spec: TranslatorSpec,
    cohort: Cohort,
    iterations: int | None,
    tags: dict[str, str],
) -> None:
    """Tell what is known before the training: specification, data and code."""
    flat = {key: str(value)[:500] for key, value in spec.flat().items()}
    if iterations is not None:
        flat["budget.iterations"] = str(iterations)
    telemetry.params(flat)
    digest = cohort.data_digest(*SEEN_SPLITS)
    patients = {s: len({c.patient for c in cohort.in_split(s)}) for s in SEEN_SPLITS}
    telemetry.tags(
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
    telemetry.dataset(cohort.name, digest)
    telemetry.document(spec.model_dump(mode="json"), "spec.json")
    telemetry.send(now=True)


def log_outcome(telemetry: TrackedRun, summary: FitSummary) -> None:
    """Tell how long a training took and what it reached."""
    figures = {
        "training_seconds": summary.seconds,
        "iterations_done": float(summary.iterations),
        "best_iteration": float(summary.best_iteration),
        "iterations_per_second": summary.iterations / max(summary.seconds, 1e-9),
        "peak_memory_mb": peak_mib(),
    }
    if summary.best_validation is not None:
        figures["best_validation_mae"] = summary.best_validation
    now = int(time.time() * 1000)
    telemetry.metrics([(name, value, now, 0) for name, value in figures.items()])
    telemetry.tags({"stopped_early": str(summary.stopped_early)})
    telemetry.send()


def log_pictures(
    telemetry: TrackedRun, translator: Translator, cohort: Cohort, folder: Path, workdir: Path
) -> None:
    """Tell pictures of the first validation patients, or of train patients where none are."""
    from translators.training.pictures import sample_picture

    for pair in shown_pairs(translator, cohort, folder):
        found = translator.infer(pair.prepared)
        path = workdir / "samples" / f"{pair.case.case}.png"
        sample_picture(
            pair, found.mean, pair.prepared.frame.spacing_mm, translator.spec.target, path
        )
        telemetry.file(path, "samples")
    telemetry.send()


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
