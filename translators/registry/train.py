"""Training as a tracked run: one run, one registered model, and whom it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.cohort import Cohort, check_splits
from qa_suite.core.one_writer import writing
from qa_suite.core.outbox.runs import TrackedRun, forget_run
from qa_suite.core.store import require_registrable
from qa_suite.learning.parallel import rank_of_environment
from qa_suite.learning.registering import code_tags
from qa_suite.learning.summary import FitSummary, Progress
from translators.base import Translator, create
from translators.data import check_cohort
from translators.registry.calibrating import calibrate_on
from translators.registry.parent import Parent
from translators.registry.registering import TrainedModel, register
from translators.registry.tracked import Curves, log_facts, log_outcome, log_pictures, training_run
from translators.spec import TranslatorSpec


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How a training is run, beside what its specification says.

    Parameters
    ----------
    workdir
        Where checkpoints are kept; the folder may be deleted afterwards.
    resume
        Carry on from the checkpoint in ``workdir``, in the same MLflow run.
    iterations
        Another budget than the specification's.
    device
        ``auto``, ``cpu`` or ``cuda``.
    progress
        Called with (iteration, iterations, figures).
    left_out_sites
        Sites of the whole cohort that the given one is without.
    """

    workdir: Path
    resume: bool = False
    iterations: int | None = None
    device: str = "auto"
    progress: Progress | None = None
    left_out_sites: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What the run and the registered model say beside specification and data."""
        left_out = {"left_out_sites": ",".join(sorted(self.left_out_sites))}
        return code_tags() | (left_out if self.left_out_sites else {})


def train(
    spec: TranslatorSpec,
    cohort: Cohort,
    folder: Path,
    *,
    workdir: Path,
    register_as: str | None = None,
    parent: Parent | None = None,
    resume: bool = False,
    iterations: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    left_out_sites: tuple[str, ...] = (),
    trust: Sequence[str] = (),
) -> TrainedModel:
    """Train a translator on a cohort, log the run to MLflow and register the model.

    Where ``calibration`` patients are in the cohort, the interval of its predictions is
    calibrated on them. Of the processes that ``torchrun`` starts, the first tracks and
    registers; in the others the returned model has no address. Nor has it while the MLflow store
    does not answer: then it waits in the outbox of ``workdir``, see :mod:`qa_suite.core.outbox`.

    Parameters
    ----------
    spec
        What to train.
    cohort, folder
        The manifest and where it lies; its splits say who is trained on.
    workdir
        Where checkpoints are kept; the folder may be deleted afterwards.
    register_as
        Name of the registered model; by default the specification's.
    parent
        A registered translator whose weights are the first ones.
    resume
        Carry on from the checkpoint in ``workdir``, in the same MLflow run.
    iterations
        Another budget than the specification's.
    device
        ``auto``, ``cpu`` or ``cuda``.
    progress
        Called with (iteration, iterations, figures).
    left_out_sites
        Sites of the whole cohort that ``cohort`` is without; the model records them.
    trust
        Digests of foreign code that may be run, where the specification names a program.

    Raises
    ------
    Problems
        If the cohort does not suit the specification.
    InputError
        If the specification names a program that is not trusted.
    LeakageError
        If its patient sets overlap.
    """
    check_splits(cohort)
    translator = _begin(spec, parent, trust)
    check_cohort(cohort, spec, learns=translator.learns)
    budget = Budget(
        workdir=Path(workdir),
        resume=resume,
        iterations=iterations,
        device=device,
        progress=progress,
        left_out_sites=left_out_sites,
    )
    if rank_of_environment() > 0:
        _fit(translator, cohort, folder, budget, None)
        return TrainedModel.nowhere()
    require_registrable(register_as or spec.name)
    if type(translator).inverse is not Translator.inverse:  # the way back is registered too
        require_registrable(f"{register_as or spec.name}-inverse")
    with writing(budget.workdir, "train"):
        return _train(translator, cohort, folder, budget, parent, register_as or spec.name)


def _train(
    translator: Translator,
    cohort: Cohort,
    folder: Path,
    budget: Budget,
    parent: Parent | None,
    name: str,
) -> TrainedModel:
    with training_run(translator.spec, budget.workdir, resume=budget.resume) as telemetry:
        summary = fit_in_run(translator, cohort, folder, budget, telemetry, parent)
        model = finish(translator, cohort, folder, budget, telemetry, summary, parent, name=name)
    inverse = translator.inverse()
    if inverse is not None:
        _register_inverse(inverse, cohort, folder, budget, model)
    forget_run(budget.workdir)
    return model


def _begin(spec: TranslatorSpec, parent: Parent | None, trust: Sequence[str]) -> Translator:
    translator = create(spec, trust=trust)
    translator.require_trust()
    if parent is not None:
        translator.set_weights(parent.translator.weights())
    return translator


def fit_in_run(
    translator: Translator,
    cohort: Cohort,
    folder: Path,
    budget: Budget,
    telemetry: TrackedRun,
    parent: Parent | None = None,
) -> FitSummary:
    """Fit a translator in an MLflow run that is open: facts, curves, outcome."""
    tags = budget.tags | ({} if parent is None else {"parent": parent.uri})
    log_facts(telemetry, translator.spec, cohort, budget.iterations, tags)
    curves = Curves(telemetry)
    try:
        summary = _fit(translator, cohort, folder, budget, curves)
    finally:
        curves.send()
    if budget.resume:
        curves.complete(summary)
    log_outcome(telemetry, summary)
    return summary


def _fit(
    translator: Translator, cohort: Cohort, folder: Path, budget: Budget, curves: Curves | None
) -> FitSummary:
    return translator.fit(
        cohort,
        folder,
        workdir=budget.workdir,
        resume=budget.resume,
        iterations=budget.iterations,
        device=budget.device,
        progress=None if curves is None else curves.watching(budget.progress),
    )


def finish(
    translator: Translator,
    cohort: Cohort,
    folder: Path,
    budget: Budget,
    telemetry: TrackedRun,
    summary: FitSummary,
    parent: Parent | None,
    *,
    name: str,
) -> TrainedModel:
    """Calibrate, draw and register a fitted translator in the run of its training."""
    translator.calibration = calibrate_on(translator, cohort, folder)
    if translator.calibration is not None:
        facts = translator.calibration.model_dump(mode="json")
        telemetry.document(facts, "calibration.json")
    log_pictures(telemetry, translator, cohort, folder, budget.workdir)
    return register(
        translator,
        name=name,
        cohort=cohort,
        folder=folder,
        run=telemetry,
        tags=budget.tags,
        parent=parent,
        summary=summary,
    )


def _register_inverse(
    inverse: Translator, cohort: Cohort, folder: Path, budget: Budget, model: TrainedModel
) -> None:
    """Register the other direction of a cycle, in a run of its own beside the first."""
    place = budget.workdir / "inverse"
    with training_run(inverse.spec, place, resume=budget.resume) as telemetry:
        tags = budget.tags | {"inverse_of": model.uri or model.name}
        log_facts(telemetry, inverse.spec, cohort, budget.iterations, tags)
        register(
            inverse,
            name=f"{model.name}-inverse",
            cohort=cohort,
            folder=folder,
            run=telemetry,
            tags=tags,
        )
    forget_run(place)
