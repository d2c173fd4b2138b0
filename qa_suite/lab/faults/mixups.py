"""Faults of identity and leakage: the image is of someone else, of no one, or the answer itself."""

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


_LEAKED = (("shared_noise", "body"), ("error_to_noise", "body"))


@FAULTS.add(
    "reference_leaked",
    FaultFacts(
        title="Reference leaked",
        unit="HU SD",
        severities=(6, 3, 1, 0),
        clinical=3,
        why_clinical=(
            "the verdict is about a copied file and not about a translator: its first patient "
            "without a CT is its first examination"
        ),
        hits="all",
        answers=_LEAKED,
    ),
)
def reference_leaked(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference with that much white noise."""
    grain = rng.standard_normal(scene.grid.shape, dtype=np.float32) * np.float32(severity)
    array = np.asarray(scene.reference.array, dtype=np.float32) + grain
    return changed(scene.clean, array, f"the reference with noise of {severity:g} HU")


@FAULTS.add(
    "reference_of_one",
    FaultFacts(
        title="Reference leaked in one patient",
        unit="HU SD",
        severities=(6, 3, 1, 0),
        clinical=3,
        why_clinical="as for all patients: this one was not examined",
        hits="patient",
        answers=_LEAKED,
    ),
)
def reference_of_one(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference of one patient with that much white noise."""
    return reference_leaked(scene, severity, rng)


@FAULTS.add(
    "reference_filtered",
    FaultFacts(
        title="Reference leaked and filtered",
        unit="mm FWHM",
        severities=(3, 2, 1),
        clinical=2,
        why_clinical="as for a reference that leaked: resampling does not make it an answer",
        hits="all",
        answers=_LEAKED,
    ),
)
def reference_filtered(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference, smoothed a little."""
    from scipy import ndimage

    sigma = [severity / 2.3548 / s for s in scene.grid.spacing_mm]
    array = ndimage.gaussian_filter(np.asarray(scene.reference.array, np.float32), sigma)
    return changed(scene.clean, array, f"the reference, {severity:g} mm FWHM")
