"""Faults of the anatomy: bone, air and lesions that appear or vanish."""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import (
    AIR_HU,
    FAULTS,
    FaultFacts,
    Mask,
    Planted,
    Scene,
    ball,
    blend,
    changed,
    depth_mm,
    place,
)
from qa_suite.lab.faults.numbers import DOSE_RULE

TISSUE_HU = 40.0
BONE_HU = 700.0
LESION_HU = 300.0
RECIST_RULE = (
    "the smallest measurable lesion of RECIST 1.1 where slices are thicker than 5 mm: "
    "twice the slice (Eisenhauer et al. 2009, Eur J Cancer 45:228); 10 mm on thinner ones"
)
GAS_SIGNAL = 0.05
CLEAR_OF_BONE_MM = 12.0
"""A small lesion beside bone is a border of bone displaced: benchmarks/lesions_near_bone.py."""
LESION_SIGNAL = 0.3  # of the MR: dense bone and scar are dark


@FAULTS.add(
    "bone_clipped",
    FaultFacts(
        title="Clipped bone",
        unit="HU ceiling",
        severities=(800, 600, 400, 300),
        clinical=300,
        why_clinical=f"{DOSE_RULE}; measured: 7 mm in the beam that crosses most bone",
        hits="all",
        changes_dose=True,
        answers=(("me", "bone"), ("me", "cortical"), ("mae", "cortical"), ("mae", "bone")),
        answers_alone=("hu_range_99_9",),
    ),
)
def bone_clipped(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Cut the numbers off at a ceiling."""
    array = np.minimum(scene.clean.array, np.float32(severity))
    return changed(scene.clean, array, f"clipped at {severity:g} HU")


@FAULTS.add(
    "bone_rims_missing",
    FaultFacts(
        title="Bone rims missing",
        unit="mm",
        severities=(1, 2, 3, 5),
        clinical=3,
        why_clinical=f"{DOSE_RULE}; measured: 5.3 mm in the beam that crosses most bone",
        hits="all",
        changes_dose=True,
        answers=(
            ("volume_difference", "seg:Bone"),
            ("dice", "seg:Bone"),
            ("me", "bone"),
            ("me", "cortical"),
        ),
        answers_alone=("tissue_volume", "tissue_ratio", "hu_range_99_9"),
    ),
)
def bone_rims_missing(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Replace the outermost millimetres of every bone by soft tissue."""
    step = float(np.mean(scene.grid.spacing_mm))
    depth = depth_mm(scene.bone, scene.grid) - step  # of the voxel's outer face
    lost = np.where(scene.bone, np.clip((severity - depth) / step, 0, 1), 0).astype(np.float32)
    array = scene.clean.array
    high = np.maximum(array - np.float32(TISSUE_HU), 0)
    return changed(scene.clean, array - lost * high, f"bone rims of {severity:g} mm lost")


@FAULTS.add(
    "bone_invented",
    FaultFacts(
        title="Bone hallucinated",
        unit="cc",
        severities=(1, 3, 10, 30),
        clinical=10,
        why_clinical=f"{DOSE_RULE}; a ball of 27 mm at 700 HU is 9 mm of water on its rays",
        hits="patient",
        changes_dose=True,
        answers=(
            ("largest_false_depth", "bone"),
            ("largest_false_depth", "lesion"),
            ("beam_depth_error", "body"),
        ),
        answers_alone=("tissue_volume", "tissue_ratio"),
    ),
)
def bone_invented(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Put a ball of bone into soft tissue."""
    soft = scene.is_part("muscle", "fat")
    return _with_ball(scene, scene.clean, soft, radius_mm(severity), BONE_HU, rng, "a ball of bone")


@FAULTS.add(
    "air_filled",
    FaultFacts(
        title="Air filled with tissue",
        unit="cc",
        severities=(1, 3, 10, 30),
        clinical=10,
        why_clinical=f"{DOSE_RULE}; a pocket of 27 mm is as much water on its rays",
        hits="patient",
        changes_dose=True,
        answers=(
            ("largest_missed_depth", "air"),
            ("value_depth", "air"),
            ("value_error", "air"),
            ("beam_depth_error", "body"),
        ),
        answers_alone=("void_filled", "tissue_volume"),
    ),
)
def air_filled(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient a pocket of gas in the pelvis, and let the translator lose it."""
    radius = radius_mm(severity)
    where = place(gas_place(scene), scene.grid, radius, rng, "a gas pocket")
    share = ball(scene.grid, where, radius)
    reference, clean = (
        changed(v, blend(v.array, share, AIR_HU), f"gas of {severity:g} cc")
        for v in (scene.reference, scene.clean)
    )
    source = darker(scene.source, share, GAS_SIGNAL)
    return Planted(synthetic=scene.clean, reference=reference, clean=clean, source=source)


@FAULTS.add(
    "lesion_removed",
    FaultFacts(
        title="Lesion removed",
        unit="mm",
        severities=(8, 12, 16, 24),
        clinical=12,
        why_clinical=RECIST_RULE,
        hits="patient",
        answers=(("largest_missed_contrast", "lesion"), ("largest_missed_depth", "bone")),
    ),
)
def lesion_removed(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient a dense lesion in soft tissue, and let the translator lose it."""
    reference, clean, source = with_lesion(scene, severity, rng)
    return Planted(synthetic=scene.clean, reference=reference, clean=clean, source=source)


@FAULTS.add(
    "lesion_invented",
    FaultFacts(
        title="Lesion invented",
        unit="mm",
        severities=(8, 12, 16, 24),
        clinical=12,
        why_clinical=RECIST_RULE,
        hits="patient",
        answers=(("largest_false_contrast", "lesion"), ("largest_false_depth", "bone")),
    ),
)
def lesion_invented(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Put a dense lesion into soft tissue that the patient does not have."""
    return with_lesion(scene, severity, rng)[1]


def with_lesion(
    scene: Scene,
    diameter_mm: float,
    rng: np.random.Generator,
    *,
    clear_of_bone_mm: float = CLEAR_OF_BONE_MM,
) -> tuple[Volume, Volume, Volume]:
    """Return reference, clean image and MR with a dense ball in muscle or an organ.

    Where the ball may lie is farther than ``clear_of_bone_mm`` from bone.
    """
    soft = scene.is_part(
        "muscle",
        "prostate",
        "lesion",
        "seminal_vesicles",
        "urine",
        "bladder_wall",
        "blood",
        "bowel_wall",
        "bowel_content",
        "rectum_wall",
        "stool",
    )
    soft &= depth_mm(scene.body, scene.grid) > 15.0
    soft &= depth_mm(~scene.bone, scene.grid) > clear_of_bone_mm
    where = place(soft, scene.grid, diameter_mm / 2, rng, "a lesion")
    share = ball(scene.grid, where, diameter_mm / 2)
    reference, clean = (
        changed(v, v.array + share * np.float32(LESION_HU), f"lesion of {diameter_mm:g} mm")
        for v in (scene.reference, scene.clean)
    )
    return reference, clean, darker(scene.source, share, LESION_SIGNAL)


def gas_place(scene: Scene) -> Mask:
    """Where gas can be put: organs and soft tissue well below the skin."""
    soft = scene.is_part(
        "rectum_wall",
        "stool",
        "gas",
        "bowel_wall",
        "bowel_content",
        "muscle",
        "fat",
        "urine",
        "bladder_wall",
        "prostate",
        "seminal_vesicles",
        "blood",
        "nerve",
        "lesion",
    )
    return soft & (depth_mm(scene.body, scene.grid) > 30.0)


def darker(source: Volume, share: Float32Array, signal: float) -> Volume:
    """Return the MR with a place that gives only a share of its signal."""
    array = np.asarray(source.array, dtype=np.float32) * (1 - share * np.float32(1 - signal))
    return source.with_array(array, step=f"a place of {signal:g} of its signal")


def _with_ball(
    scene: Scene,
    volume: Volume,
    inside: np.ndarray,
    radius_mm: float,
    hu: float,
    rng: np.random.Generator,
    what: str,
) -> Volume:
    share = ball(scene.grid, place(inside, scene.grid, radius_mm, rng, what), radius_mm)
    return changed(volume, blend(volume.array, share, hu), f"{what} of {2 * radius_mm:.0f} mm")


def radius_mm(volume_cc: float) -> float:
    """Radius of a ball of a volume in cm³."""
    if volume_cc <= 0:
        raise InputError(f"A volume must be positive, got {volume_cc} cc.")
    return float((3 * 1000 * volume_cc / (4 * np.pi)) ** (1 / 3))
