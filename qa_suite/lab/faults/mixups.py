"""Faults of identity: the image is not of this patient, or of no patient."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed

_NOT_HIM = (
    ("mae", "body"),
    ("ncc", "body"),
    ("dice", "seg:Bone"),
    ("dice", "seg:Body"),
    ("contour_distance_95", "seg:Body"),
    ("local_shift_95", "body"),
)


@FAULTS.add(
    "wrong_patient",
    FaultFacts(
        title="Wrong patient",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="the dose is planned on another body",
        hits="patient",
        changes_dose=True,
        answers=_NOT_HIM,
        answers_alone=("source_mutual_information", "source_contour_distance", "source_body_dice"),
    ),
)
def wrong_patient(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give the image of another patient."""
    return changed(scene.clean, scene.stranger().array, "another patient's image")


@FAULTS.add(
    "other_modality",
    FaultFacts(
        title="Other modality",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="the numbers are no CT numbers; any dose is wrong",
        hits="patient",
        changes_dose=True,
        answers=(("me", "body"), ("mae", "body"), ("ncc", "body"), ("dice", "seg:Body")),
        answers_alone=("air_error", "histogram_distance", "muscle_level", "fat_level"),
    ),
)
def other_modality(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the source image as if its signal were HU."""
    return changed(scene.clean, np.asarray(scene.source.array, np.float32), "the source image")


@FAULTS.add(
    "mean_image",
    FaultFacts(
        title="Mean image of the cohort",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="nothing in it is of this patient",
        hits="all",
        changes_dose=True,
        answers=_NOT_HIM,
        answers_alone=("sharpness", "source_mutual_information", "source_contour_distance"),
    ),
)
def mean_image(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give every patient the mean CT of others."""
    return changed(scene.clean, scene.average().array, "the mean image of other patients")
