"""Faults of texture: the values are right in the mean, and the fine detail is made up or gone."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE

_ROSE = (
    "not by dose: by Rose's criterion (a contrast of five SD is seen: Rose 1948, J Opt Soc Am "
    "38:196) fat against muscle, 150 HU, is lost above 30 HU"
)
_DETAIL = (
    ("high_frequency_ratio", "body"),
    ("noise_level", "soft"),
    ("rmse", "soft"),
    ("mae", "soft"),
)


@FAULTS.add(
    "grain",
    FaultFacts(
        title="Made-up grain",
        unit="HU SD",
        severities=(15, 30, 45, 90),
        clinical=45,
        why_clinical=f"{DOSE_RULE}; interpolated: 5.3 mm in one beam",
        hits="all",
        changes_dose=True,
        answers=(
            *_DETAIL,
            ("percentile_99_error", "soft"),
            ("block_error", "body"),
            ("beam_depth_error", "body"),
            ("largest_false_contrast", "lesion"),
            ("largest_missed_contrast", "lesion"),
        ),
        answers_alone=("noise_level", "sharpness", "implausible_voxels"),
    ),
)
def grain(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Add a texture of grains of 15 mm to the body, as generative networks make up."""
    from scipy import ndimage

    sigma = [15.0 / 2.3548 / s for s in scene.grid.spacing_mm]
    white = rng.standard_normal(scene.grid.shape, dtype=np.float32)
    soft = ndimage.gaussian_filter(white, sigma, mode="wrap")
    soft *= np.float32(severity / max(float(soft.std()), 1e-9))
    return changed(scene.clean, scene.clean.array + soft * scene.body, f"grain of {severity:g} HU")


@FAULTS.add(
    "deconvolution_grid",
    FaultFacts(
        title="Grid of a transposed convolution",
        unit="HU, ±",
        severities=(20, 40, 80, 160),
        clinical=40,
        why_clinical=_ROSE,
        hits="all",
        answers=_DETAIL,
        answers_alone=("noise_level", "sharpness", "slice_jump", "streak_index"),
    ),
)
def deconvolution_grid(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise and lower neighbouring voxels of the body by turns along all three axes."""
    i, j, k = np.ix_(*(np.arange(n) for n in scene.grid.shape))
    sign = np.where((i + j + k) % 2, 1, -1).astype(np.float32)
    array = scene.clean.array + sign * scene.body * np.float32(severity)
    return changed(scene.clean, array, f"neighbours by turns ±{severity:g} HU")


@FAULTS.add(
    "posterised",
    FaultFacts(
        title="Few values",
        unit="HU step",
        severities=(50, 100, 200, 400),
        clinical=400,
        why_clinical=(
            f"{DOSE_RULE}; fat, muscle and marrow fall to one or two values that lie up to half a "
            "step off"
        ),
        hits="all",
        changes_dose=True,
        answers=(
            ("me", "soft"),
            ("me", "fat"),
            ("me", "body"),
            ("mae", "soft"),
            ("rmse", "soft"),
            ("beam_depth_error", "body"),
            ("arc_depth_error", "body"),
            ("shading", "body"),
            ("percentile_99_error", "soft"),
            ("high_frequency_ratio", "body"),
        ),
        answers_alone=("muscle_level", "fat_level", "noise_level", "sharpness"),
    ),
)
def posterised(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Round to steps, as a network that predicts classes; a step's middle lies at −1000 HU."""
    step = np.float32(severity)
    array = np.round((scene.clean.array + 1000) / step) * step - np.float32(1000)
    return changed(scene.clean, array.astype(np.float32), f"in steps of {severity:g} HU")


@FAULTS.add(
    "painted",
    FaultFacts(
        title="Smoothed to a painting",
        unit="mm",
        severities=(18, 30, 42),
        clinical=18,
        why_clinical=f"{DOSE_RULE}; measured: 8.6 mm in one beam",
        hits="all",
        changes_dose=True,
        answers=(
            ("high_frequency_ratio", "body"),
            ("me", "bone"),
            ("me", "cortical"),
            ("mae", "bone"),
            ("volume_difference", "seg:Bone"),
            ("largest_missed_depth", "bone"),
            ("largest_missed_depth", "air"),
            ("value_depth", "bone"),
            ("value_depth", "air"),
            ("beam_depth_error", "body"),
        ),
        answers_alone=("sharpness", "noise_level", "hu_range_99_9", "tissue_volume"),
    ),
)
def painted(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Take the median in a cube of that edge."""
    from scipy import ndimage

    size = [max(1, 2 * round((severity / s - 1) / 2) + 1) for s in scene.grid.spacing_mm]
    array = ndimage.median_filter(scene.clean.array, size=size, mode="nearest")
    return changed(scene.clean, array, f"median of {severity:g} mm")
