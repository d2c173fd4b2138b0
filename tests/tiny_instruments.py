"""A tiny cohort with structures, and settings with which an instrument is trained in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Cohort, save_cohort
from qa_suite.core.volume import Volume
from qa_suite.instruments.fit_segmenter import TrainingImage
from qa_suite.instruments.settings import Disturbance, ExtractorSettings, SegmenterSettings
from qa_suite.io.images import write_image
from tests.tiny_cohort import grid, make_tiny_cohort, pair, tissue_labels

STRUCTURES = {"Bone": 3, "Bowel_Gas": 4}
GENTLE = Disturbance(rotate_deg=3, zoom=0.03, shift_mm=8, blur_mm=2, noise_hu=10)


def segmenter_settings(**changes: object) -> SegmenterSettings:
    return SegmenterSettings.model_validate(
        {
            "working_spacing_mm": (8.0, 8.0, 8.0),
            "channels": (8, 16, 16),
            "margin_mm": 16,
            "iterations": 40,
            "batch": 4,
            "validate_every": 20,
            "least_patients": 1,
            "least_dice": 0.0,
            "disturbance": GENTLE.model_dump(),
            **changes,
        }
    )


def extractor_settings(**changes: object) -> ExtractorSettings:
    return ExtractorSettings.model_validate(
        {
            "working_spacing_mm": (8.0, 8.0, 8.0),
            "field_of_view_mm": (320, 256),
            "channels": (8, 12, 16),
            "iterations": 20,
            "batch": 4,
            **changes,
        }
    )


def masks(seed: int) -> dict[str, np.ndarray]:
    labels = tissue_labels(seed)
    found = {name: labels == number for name, number in STRUCTURES.items()}
    return {"Body": labels > 0, **found}


def image(seed: int, **structures: np.ndarray) -> TrainingImage:
    """A patient in memory, with other structures where they are given."""
    _, ct, body = pair(seed)
    return TrainingImage(
        volume=ct,
        mask=body.array > 0,
        structures={**masks(seed), **structures},
        patient=f"patient{seed}",
    )


def images(*seeds: int) -> list[TrainingImage]:
    return [image(seed) for seed in seeds]


def make_structured_cohort(folder: Path, splits: str = "tttvs") -> Cohort:
    """Write a tiny cohort whose cases bring their structures."""
    cohort = make_tiny_cohort(folder, splits)
    cases = []
    for number, case in enumerate(cohort.cases, 1):
        files = {}
        for name, mask in masks(number).items():
            files[name] = f"volumes/{case.case}_structure_{name}.nii.gz"
            volume = Volume(array=mask.astype(np.uint8), grid=grid(), quantity="label")
            write_image(volume, folder / files[name])
        cases.append(case.model_copy(update={"structures": files}))
    cohort = cohort.model_copy(update={"cases": tuple(cases)})
    save_cohort(cohort, folder)
    return cohort
