"""The experiment: train on real, on synthetic, on both; test on real; patients dealt crosswise.

A synthetic image is worth something if a network trained on it works on real ones. Every
patient is tested by segmenters that saw neither of his images, all three with one budget, one
seed and one set of training patients, so that a patient's difference is the images' alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.one_writer import writing
from qa_suite.core.record_files import read_model, write_model
from qa_suite.core.record_names import digest_of
from qa_suite.core.wording import count
from qa_suite.evaluation.case_run import Examination
from qa_suite.evaluation.eligibility import leakage_notices
from qa_suite.evaluation.provenance import code_facts
from qa_suite.instruments.base import Segmenter
from qa_suite.instruments.fit_segmenter import TrainingImage, fit_segmenter, learnable
from qa_suite.lab.utility.material import UtilityCase, deal, prepare
from qa_suite.lab.utility.result import (
    ARMS,
    RESULT_FILE,
    Arm,
    FitScores,
    UtilityResult,
    UtilitySettings,
)
from qa_suite.lab.utility.summary import notices_of, summarise

Progress = Callable[[int, int, str], None]
Fit = Callable[..., Segmenter]

_FITS_FOLDER = "fits"


@dataclass(frozen=True, kw_only=True)
class UtilityExperiment:
    """What is about to be done.

    Parameters
    ----------
    examination
        Cohort, translator and preflight settings.
    settings
        Folds, seeds and budget.
    fit
        Trains a segmenter; takes what
        :func:`~qa_suite.instruments.fit_segmenter.fit_segmenter` takes.
    """

    examination: Examination
    settings: UtilitySettings
    fit: Fit = fit_segmenter

    @property
    def identifier(self) -> str:
        """Digest of cohort, model and settings: what makes two experiments the same."""
        what = {
            "cohort": self.examination.cohort.digest,
            "model": self.examination.model.model_dump(mode="json", exclude={"mlflow_run_id"}),
            "preflight": self.examination.settings.preflight.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
        }
        return digest_of(what)[:16]


def measure_utility(
    experiment: UtilityExperiment, out: Path, *, progress: Progress | None = None
) -> UtilityResult:
    """Do the experiment; killed at any moment, the same call carries on.

    Parameters
    ----------
    experiment
        Cohort, translator, folds and budget.
    out
        Its folder: ``utility.json``, and ``fits/`` with what each segmenter scored.
    progress
        Called with (done, all, what): first the cases, then the segmenters.

    Returns
    -------
    UtilityResult
        As it stands in ``out/utility.json``.

    Raises
    ------
    LeakageError
        If the translator was trained on one of these patients and the settings of the
        examination do not allow it.
    InputError
        If too few patients can take part, no structure can be learnt, or ``out`` holds
        another experiment.
    """
    with writing(out, "utility"):
        return _measure(experiment, out, progress)


def _measure(experiment: UtilityExperiment, out: Path, progress: Progress | None) -> UtilityResult:
    started = time.perf_counter()
    examination, settings = experiment.examination, experiment.settings
    code = code_facts()  # once: what is checked out may change while it runs
    journal = out / _FITS_FOLDER / f"{experiment.identifier}-{(code.git_commit or 'none')[:8]}"
    known = _known(experiment, out, journal)
    if known is not None:
        return known
    cases = examination.cohort.in_split(settings.split)
    leaks = leakage_notices(examination, cases)
    ready, left_out = prepare(examination, cases, progress)
    _require_enough(ready, left_out, settings)
    plans = [(s, f) for s in _seeds(settings) for f in range(settings.folds)]
    folds = {seed: deal(ready, settings.folds, seed) for seed in _seeds(settings)}
    names, why_not = _structures(ready, folds, settings)
    scores: list[FitScores] = []
    for seed, fold in plans:
        test = [c for c in ready if folds[seed][c.patient] == fold]
        train = [c for c in ready if folds[seed][c.patient] != fold]
        for arm in ARMS:
            scores.append(_fitted(experiment, journal, train, test, names, seed, fold, arm))
            if progress is not None:
                progress(len(scores), len(plans) * len(ARMS), f"seed {seed} fold {fold} {arm}")
    structures = summarise(scores, {c.case: c.patient for c in ready}, settings)
    result = UtilityResult(
        utility=experiment.identifier,
        cohort=examination.cohort.name,
        cohort_digest=examination.cohort.digest,
        model=examination.model,
        code=code,
        settings=settings,
        patients=len({c.patient for c in ready}),
        cases=len(ready),
        seeds=_seeds(settings),
        structures=structures,
        scores=tuple(scores),
        left_out=left_out,
        structures_left_out=why_not,
        notices=(*leaks, *notices_of(structures, left_out, len(cases), settings)),
        seconds=round(time.perf_counter() - started, 1),
    )
    write_model(out / RESULT_FILE, result)
    return result


def _seeds(settings: UtilitySettings) -> tuple[int, ...]:
    return tuple(range(settings.first_seed, settings.first_seed + settings.seeds))


def _known(experiment: UtilityExperiment, out: Path, journal: Path) -> UtilityResult | None:
    """Return a finished result of the same experiment; refuse the folder of another one.

    The journal's name holds the code's commit: scores of other code are never mixed in.
    """
    path = out / RESULT_FILE
    if path.exists():
        found = read_model(path, UtilityResult)
        if found.utility == experiment.identifier:
            return found
    others = sorted(p for p in (out / _FITS_FOLDER).glob("*") if p != journal)
    if path.exists() or others:
        raise InputError(
            f"{out} was begun with another utility experiment, or by other code; choose another "
            f"--out, or remove the folder."
        )
    journal.mkdir(parents=True, exist_ok=True)
    return None


def _require_enough(
    ready: Sequence[UtilityCase], left_out: dict[str, str], settings: UtilitySettings
) -> None:
    patients = len({case.patient for case in ready})
    needed = max(settings.least_patients, settings.folds)
    if patients >= needed:
        return
    reasons = "; ".join(f"{case}: {why}" for case, why in left_out.items())
    raise InputError(
        f"{count(patients, 'patient')} of the set '{settings.split}' can take part and {needed} "
        "are "
        f"needed{f' ({reasons})' if reasons else ''}; add patients, or choose another --split."
    )


def _structures(
    ready: Sequence[UtilityCase], folds: dict[int, dict[str, int]], settings: UtilitySettings
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the structures that every training set can teach, and why others are left out."""
    kept, _ = learnable([case.real for case in ready], settings.segmenter)
    why: dict[str, str] = {}
    for dealt in folds.values():
        for fold in range(settings.folds):
            training = [case.real for case in ready if dealt[case.patient] != fold]
            found, missing = learnable(training, settings.segmenter)
            for name in sorted({n for c in ready for n in c.real.structures} - set(found)):
                why.setdefault(name, missing.get(name, "not delineated in a training set"))
    names = tuple(name for name in kept if name not in why)
    if not names:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(why.items()))
        raise InputError(f"No structure can be learnt in every fold ({reasons}).")
    return names, why


def _fitted(
    experiment: UtilityExperiment,
    journal: Path,
    train: Sequence[UtilityCase],
    test: Sequence[UtilityCase],
    names: Sequence[str],
    seed: int,
    fold: int,
    arm: Arm,
) -> FitScores:
    """Train one segmenter and test it, or read what it scored before."""
    path = journal / f"seed{seed}-fold{fold}-{arm}.json"
    if path.exists():
        return read_model(path, FitScores)
    started = time.perf_counter()
    segmenter = experiment.fit(
        _images(train, arm),
        [],
        experiment.settings.segmenter,
        seed=seed,
        structures=names,
        name=f"utility-{arm}",
    )
    scores = FitScores(
        seed=seed,
        fold=fold,
        arm=arm,
        training_patients=len({case.patient for case in train}),
        weights_sha256=segmenter.facts.weights_sha256,
        dice={case.case: _dice(segmenter, case.real, names) for case in test},
        seconds=round(time.perf_counter() - started, 1),
    )
    write_model(path, scores)
    return scores


def _images(train: Sequence[UtilityCase], arm: Arm) -> list[TrainingImage]:
    chosen: dict[Arm, list[TrainingImage]] = {
        "real": [case.real for case in train],
        "synthetic": [case.synthetic for case in train],
        "both": [image for case in train for image in (case.real, case.synthetic)],
    }
    return chosen[arm]


def _dice(segmenter: Segmenter, image: TrainingImage, names: Sequence[str]) -> dict[str, float]:
    """Dice of every structure that the patient has; 0 where it is not found at all."""
    masks: Any = segmenter.segment(image.volume, image.mask)
    found = {}
    for name in names:
        truth = image.structures.get(name)
        if truth is None or not (truth & image.mask).any():
            continue
        inside = truth & image.mask
        both = np.count_nonzero(masks[name] & inside)
        total = np.count_nonzero(masks[name]) + np.count_nonzero(inside)
        found[name] = float(2 * both / total)
    return found
