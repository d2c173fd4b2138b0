"""Calibrating a fitted translator on the patients that are kept for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Cohort
from translators.base import Translator
from translators.calibration import Calibration, calibrate, patient_score, smallest_std
from translators.data import load_pairs


def calibrate_on(translator: Translator, cohort: Cohort, folder: Path) -> Calibration | None:
    """Calibrate the interval of a fitted translator on the ``calibration`` patients.

    The interval is scaled by σ where the translator gives one, else it is as wide everywhere.
    Voxels of the cohort's mask count, or all where a case has no mask.

    Returns
    -------
    Calibration or None
        None where the cohort has no calibration patient with a reference and an answer.
    """
    cases = tuple(c for c in cohort.in_split("calibration") if c.reference is not None)
    if not cases:
        return None
    spec, settings = translator.spec, translator.spec.uncertainty
    least = smallest_std(spec.target.low, spec.target.high)
    errors: dict[str, list[NDArray[np.float32]]] = {}
    stds: dict[str, list[NDArray[np.float32]]] = {}
    for case in cases:
        alone = cohort.model_copy(update={"cases": (case,)})
        (pair,) = load_pairs(alone, folder, spec, "calibration")
        if not translator.has_answer(pair.scan):
            continue
        found = translator.infer(pair.prepared)
        errors.setdefault(case.patient, []).append((pair.target - found.mean)[pair.mask])
        if found.std is not None:
            stds.setdefault(case.patient, []).append(found.std[pair.mask])
    if not errors:
        return None
    scores = {
        patient: patient_score(
            np.concatenate(parts),
            np.concatenate(stds[patient]) if stds else None,
            share=settings.voxel_share,
            least=least,
        )
        for patient, parts in errors.items()
    }
    return calibrate(
        scores,
        voxel_share=settings.voxel_share,
        level=settings.level,
        scaled_by="std" if stds else "constant",
        least=least,
    )
