"""Faults that cancel between sites, or between examinations of one patient."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE
from qa_suite.lab.faults.placement import MM_RULE, moved

_BIAS = (("me", "body"), ("me", "soft"))
_LEVELS = ("muscle_level", "fat_level", "air_error")


def _bias(scene: Scene, severity: float) -> Volume:
    bias = severity * scene.side
    return changed(scene.clean, scene.clean.array + np.float32(bias), f"{bias:+g} HU")


def _scale(scene: Scene, severity: float) -> Volume:
    factor = np.float32(1 + scene.side * severity / 100)
    array = (scene.clean.array + np.float32(1000)) * factor - np.float32(1000)
    return changed(scene.clean, array, f"HU + 1000 times {factor:g}")


@FAULTS.add(
    "sites_cancel",
    FaultFacts(
        title="Two sites biased in opposite ways",
        unit="HU, ±",
        severities=(10, 20, 30, 60),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; measured: 3.2 mm in the mean, for the patients of each site",
        hits="sites",
        changes_dose=True,
        answers=_BIAS,
        answers_alone=_LEVELS,
    ),
)
def sites_cancel(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise the HU at one site and lower them at another; the mean over both stays."""
    return _bias(scene, severity)


@FAULTS.add(
    "sites_scale_cancel",
    FaultFacts(
        title="Two sites scaled in opposite ways",
        unit="%, ±",
        severities=(1, 2, 3, 6),
        clinical=3,
        why_clinical=f"{DOSE_RULE}; measured: 3.1 mm in the mean, for the patients of each site",
        hits="sites",
        changes_dose=True,
        answers=(("slope_error", "body"), *_BIAS),
        answers_alone=_LEVELS[:2],
    ),
)
def sites_scale_cancel(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Stretch the scale about air at one site and shrink it at another."""
    return _scale(scene, severity)


@FAULTS.add(
    "examinations_cancel",
    FaultFacts(
        title="Two examinations of a patient biased in opposite ways",
        unit="HU, ±",
        severities=(10, 20, 30, 60),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; measured: 3.2 mm in the mean, in each examination",
        hits="examinations",
        changes_dose=True,
        answers=_BIAS,
        answers_alone=_LEVELS,
    ),
)
def examinations_cancel(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise the HU of one examination and lower those of the other; the patient's mean stays."""
    return _bias(scene, severity)


@FAULTS.add(
    "examinations_shifted",
    FaultFacts(
        title="Two examinations of a patient shifted in opposite ways",
        unit="mm, ±",
        severities=(1, 2, 5),
        clinical=2,
        why_clinical=MM_RULE,
        hits="examinations",
        answers=(
            ("positioning_shift", "body"),
            ("local_shift_95", "body"),
            ("contour_distance_95", "seg:Body"),
            ("local_shift_median", "body"),
        ),
        answers_alone=("source_shift", "excess_shift", "source_contour_distance"),
    ),
)
def examinations_shifted(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Move one examination and the other by as much in the opposite direction."""
    direction = rng.standard_normal(3)
    direction *= scene.side * severity / np.linalg.norm(direction)
    array = moved(scene, np.eye(3), direction)
    return changed(scene.clean, array, f"moved by {severity:g} mm")
