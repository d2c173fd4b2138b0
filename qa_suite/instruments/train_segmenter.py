"""A segmenter from a cohort, and how good it is on real CTs: its noise floor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Cohort, Split
from qa_suite.core.errors import InputError
from qa_suite.instruments.base import Segmenter
from qa_suite.instruments.fit_segmenter import TrainingImage, fit_segmenter
from qa_suite.instruments.material import check_cohort, cohort_settings, load_images, training_facts
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.settings import SegmenterSettings
from qa_suite.learning.summary import Progress


def train_segmenter(
    cohort: Cohort,
    folder: Path,
    settings: SegmenterSettings | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    name: str = "ct-segmenter",
) -> TrainedSegmenter:
    """Train a segmenter on the reference CTs of a cohort and measure its noise floor.

    It learns from the ``train`` patients; ``validation`` decides when to stop. The noise floor
    is taken on ``calibration`` where that set has structures, else on ``validation``. A patient
    of ``test`` is never read.

    Parameters
    ----------
    cohort, folder
        The manifest and where it lies.
    settings, seed, device, progress, name
        See :func:`~qa_suite.instruments.fit_segmenter.fit_segmenter`.

    Returns
    -------
    TrainedSegmenter
        Not registered yet. Structures without a noise floor, or with one below
        ``settings.least_dice``, are left out; ``facts.settings["left_out"]`` says why.

    Raises
    ------
    Problems, LeakageError
        If the cohort cannot be learnt from.
    InputError
        If no structure is left.
    """
    settings = settings or SegmenterSettings()
    check_cohort(cohort)
    training = load_images(cohort, folder, "train")
    validation = load_images(cohort, folder, "validation")
    fitted = fit_segmenter(
        training, validation, settings, seed=seed, device=device, progress=progress, name=name
    )
    split: Split = "validation"
    judged = validation
    if any(case.structures for case in cohort.in_split("calibration")):
        split, judged = "calibration", load_images(cohort, folder, "calibration")
    floor, counts = noise_floor(fitted, judged)
    left_out = {}
    for structure in fitted.structures:
        if structure not in floor:
            left_out[structure] = f"no {split} patient has it, so its noise floor is unknown"
        elif floor[structure] < settings.least_dice:
            left_out[structure] = (
                f"its noise floor is {floor[structure]:.2f} and must be {settings.least_dice:g} "
                f"or more"
            )
    if set(left_out) == set(fitted.structures):
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"The segmenter learnt no structure well enough ({why}); train it longer or on more "
            f"patients."
        )
    facts = {
        **fitted.facts.settings,
        **cohort_settings(cohort),
        "noise_floor_set": split,
        "noise_floor_patients": counts,
    }
    found = fitted.with_facts(noise_floor=floor, settings=facts, **training_facts(cohort))
    return found.without(left_out)


def noise_floor(
    segmenter: Segmenter, images: Sequence[TrainingImage]
) -> tuple[dict[str, float], dict[str, int]]:
    """Agreement of a segmenter with the true labels on real CTs that it did not learn from.

    Returns
    -------
    tuple
        Structure to Dice (0 to 1; mean over the patients who have it, each the mean of his
        images), and structure to the number of these patients. A structure that no patient
        has is in neither.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for image in images:
        masks = segmenter.segment(image.volume, image.mask)
        for name, mask in masks.items():
            truth = image.structures.get(name)
            if truth is None or not (truth & image.mask).any():
                continue
            inside = truth & image.mask
            dice = 2 * np.count_nonzero(mask & inside) / (mask.sum() + inside.sum())
            found.setdefault(name, {}).setdefault(image.patient, []).append(float(dice))
    floor = {
        name: round(float(np.mean([np.mean(values) for values in patients.values()])), 6)
        for name, patients in sorted(found.items())
    }
    return floor, {name: len(found[name]) for name in floor}
