"""A search over the ranges that a specification declares; every try is a child run in MLflow.

The tries are chosen by Optuna's tree-structured Parzen estimator (Akiba et al. 2019, KDD,
doi:10.1145/3292500.3330701; Bergstra et al. 2011, NeurIPS), seeded by the specification. The
aim is the validation error; the best try alone is registered.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from qa_suite.core.cohort import Cohort, check_splits
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.one_writer import writing
from qa_suite.core.outbox.runs import TrackedRun
from qa_suite.core.store import require_registrable
from qa_suite.learning.summary import FitSummary, Progress
from translators.base import Translator, create
from translators.data import check_cohort
from translators.registry.registering import TrainedModel
from translators.registry.tracked import training_run
from translators.registry.train import Budget, finish, fit_in_run
from translators.spec import SearchRange, TranslatorSpec, parse_spec


def search(
    spec: TranslatorSpec,
    cohort: Cohort,
    folder: Path,
    *,
    tries: int,
    workdir: Path,
    register_as: str | None = None,
    iterations: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    left_out_sites: tuple[str, ...] = (),
) -> TrainedModel:
    """Train a specification with other values of its ``search`` keys, and register the best.

    Parameters
    ----------
    spec
        With a ``search`` block; the other keys stay as they are.
    cohort, folder, workdir, register_as, iterations, device, progress, left_out_sites
        As in :func:`translators.registry.train.train`; each try has its own folder in ``workdir``.
    tries
        How many.

    Raises
    ------
    InputError
        If nothing may be searched, a key is unknown, or there is no validation error to
        compare.
    """
    import optuna

    require_searchable(spec, tries)
    check_splits(cohort)
    check_cohort(cohort, spec)
    require_registrable(register_as or spec.name)
    if not cohort.in_split("validation"):
        raise InputError(
            f"Cohort {cohort.name} has no validation patients, and a search compares by them."
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = spec.training.seed if spec.training else 0
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    budget = Budget(
        workdir=Path(workdir), iterations=iterations, device=device, left_out_sites=left_out_sites
    )
    best: tuple[float, Translator, FitSummary] | None = None
    with (
        writing(budget.workdir, "train"),
        training_run(spec, budget.workdir, resume=False) as telemetry,
    ):
        telemetry.tags(budget.tags | {"qa.kind": "search", "qa.cohort": cohort.name})
        for number in range(tries):
            trial = study.ask()
            values = {key: suggest(trial, key, span) for key, span in spec.search.items()}
            translator, summary = _try(
                with_values(spec, values),
                cohort,
                folder,
                _of_try(budget, number, tries, progress),
                telemetry,
            )
            if summary.best_validation is None:
                raise InputError(f"Family {spec.family} has no validation error to search by.")
            study.tell(trial, summary.best_validation)
            now = int(time.time() * 1000)
            telemetry.metrics([("validation_of_try", summary.best_validation, now, number)])
            telemetry.send()
            if best is None or summary.best_validation < best[0]:
                best = (summary.best_validation, translator, summary)
        assert best is not None
        found = {key: str(value) for key, value in study.best_params.items()}
        telemetry.params({f"best.{key}": value for key, value in found.items()})
        return finish(
            best[1], cohort, folder, budget, telemetry, best[2], None, name=register_as or spec.name
        )


def _of_try(budget: Budget, number: int, tries: int, progress: Progress | None) -> Budget:
    def note(done: int, total: int, figures: dict[str, float]) -> None:
        if progress is not None:
            progress(number * total + done, tries * total, figures)

    return replace(budget, workdir=budget.workdir / f"try-{number}", progress=note)


def _try(
    spec: TranslatorSpec, cohort: Cohort, folder: Path, budget: Budget, parent: TrackedRun
) -> tuple[Translator, FitSummary]:
    translator = create(spec)
    with training_run(spec, budget.workdir, resume=False, parent=parent) as telemetry:
        return translator, fit_in_run(translator, cohort, folder, budget, telemetry)


def require_searchable(spec: TranslatorSpec, tries: int) -> None:
    """Refuse a search of nothing, or over keys that the specification does not have."""
    if tries < 1:
        raise InputError(f"A search needs at least one try, got {tries}.")
    if not spec.search:
        raise InputError(
            f"Specification {spec.name} declares nothing to search; give it a block such as "
            f"'search: {{training.learning_rate: {{low: 1.0e-4, high: 1.0e-2, log: true}}}}'."
        )
    with_values(spec, {key: _example(span) for key, span in spec.search.items()})


def _example(span: SearchRange) -> Any:
    if span.values:
        return span.values[0]
    assert span.low is not None
    return int(span.low) if span.integer else span.low


def suggest(trial: Any, key: str, span: SearchRange) -> Any:
    """Ask a trial for the value of one key."""
    if span.values:
        return trial.suggest_categorical(key, list(span.values))
    if span.integer:
        return trial.suggest_int(key, int(span.low or 0), int(span.high or 0), log=span.log)
    return trial.suggest_float(key, span.low, span.high, log=span.log)


def with_values(spec: TranslatorSpec, values: dict[str, Any]) -> TranslatorSpec:
    """Return a specification with other values of ``block.key``; its ``search`` is left out.

    Raises
    ------
    QAError
        If a key does not lead to a value of the specification, or a value is impossible there.
    """
    data = spec.model_dump(mode="json")
    data["search"] = {}
    for path, value in values.items():
        *blocks, last = path.split(".")
        inner: Any = data
        for name in blocks:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise QAError(
                f"Specification {spec.name} has no {path!r} to search; keys look like "
                f"'training.learning_rate'."
            )
        inner[last] = value
    return parse_spec(data, subject=f"{spec.name} with {values}")
