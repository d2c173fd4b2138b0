"""Faults of value inside a right outline: the structure is there, where it belongs, and wrong."""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Volume
from qa_suite.lab.faults.anatomy import GAS_SIGNAL, TISSUE_HU, darker, gas_place, radius_mm
from qa_suite.lab.faults.base import (
    AIR_HU,
    FAULTS,
    FaultFacts,
    Planted,
    Scene,
    ball,
    blend,
    changed,
    depth_mm,
    place,
)
from qa_suite.lab.faults.numbers import DOSE_RULE

POCKET_CC = 10.0
IMPLANT_MM, IMPLANT_HU = 30.0, 3000.0
SCLEROSIS_MM, SCLEROSIS_HU = 30.0, 1300.0
_DEPTH = (("beam_depth_error", "body"), ("arc_depth_error", "body"))


@FAULTS.add(
    "pocket_value",
    FaultFacts(
        title="Gas of a wrong value",
        unit="HU",
        severities=(-850, -700, -550, -400),
        clinical=-700,
        why_clinical=f"{DOSE_RULE}; a pocket of 10 cc, 27 mm, at that value is 8 mm of water off",
        hits="patient",
        changes_dose=True,
        answers=(
            ("value_depth", "air"),
            ("value_error", "air"),
            ("largest_missed_depth", "air"),
            *_DEPTH,
        ),
        answers_alone=("void_filled", "tissue_volume"),
    ),
)
def pocket_value(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient 10 cc of gas in the pelvis, and draw it where it is at a wrong value."""
    radius = radius_mm(POCKET_CC)
    share = ball(scene.grid, place(gas_place(scene), scene.grid, radius, rng, "gas"), radius)
    return _in_both(scene, share, AIR_HU, severity, GAS_SIGNAL, f"gas at {severity:g} HU")


@FAULTS.add(
    "bone_value",
    FaultFacts(
        title="Dense bone of a wrong value",
        unit="HU",
        severities=(1000, 700, 400, 200),
        clinical=700,
        why_clinical=f"{DOSE_RULE}; 30 mm of 1300 HU drawn at 700 HU are 9 mm of water off",
        hits="patient",
        changes_dose=True,
        answers=(
            ("value_depth", "dense"),
            ("value_error", "dense"),
            ("value_depth", "bone"),
            ("value_error", "bone"),
            ("largest_missed_depth", "bone"),
            ("largest_missed_depth", "bone_lesion"),
            ("largest_false_depth", "bone_lesion"),
            ("me", "cortical"),
            *_DEPTH,
        ),
        answers_alone=("hu_range_99_9",),
    ),
)
def bone_value(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient 30 mm of sclerotic bone, and draw it where it is at a lower value."""
    centre = _bone_centre(scene, rng)
    share = ball(scene.grid, centre, SCLEROSIS_MM / 2)
    return _in_both(scene, share, SCLEROSIS_HU, severity, 0.2, f"dense bone at {severity:g} HU")


@FAULTS.add(
    "metal_value",
    FaultFacts(
        title="Metal of a wrong value",
        unit="HU",
        severities=(2700, 2400, 2000, 1200),
        clinical=2400,
        why_clinical=f"{DOSE_RULE}; 30 mm of 3000 HU drawn at 2400 HU are 9 mm of water off",
        hits="patient",
        changes_dose=True,
        answers=(
            ("value_depth", "metal"),
            ("value_error", "metal"),
            ("me", "metal"),
            ("value_depth", "bone"),
            ("value_error", "bone"),
            ("largest_missed_depth", "bone_lesion"),
            *_DEPTH,
        ),
        answers_alone=("hu_range_99_9",),
    ),
)
def metal_value(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient a head of metal in one hip, and draw it where it is at a lower value."""
    share = _implant(scene, IMPLANT_MM, rng)
    return _in_both(scene, share, IMPLANT_HU, severity, GAS_SIGNAL, f"metal at {severity:g} HU")


@FAULTS.add(
    "metal_removed",
    FaultFacts(
        title="Metal removed",
        unit="mm",
        severities=(12, 20, 30, 45),
        clinical=20,
        why_clinical=f"{DOSE_RULE}; 20 mm of 3000 HU are as bone 25 mm of water off",
        hits="patient",
        changes_dose=True,
        answers=(
            ("value_depth", "metal"),
            ("value_error", "metal"),
            ("me", "metal"),
            ("value_depth", "bone"),
            ("value_error", "bone"),
            ("largest_missed_depth", "bone_lesion"),
            ("largest_missed_depth", "bone"),
            *_DEPTH,
        ),
        answers_alone=("hu_range_99_9",),
    ),
)
def metal_removed(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient a head of metal in one hip, and let the translator draw bone instead."""
    share = _implant(scene, severity, rng)
    with_it = _in_both(scene, share, IMPLANT_HU, 0.0, GAS_SIGNAL, f"metal of {severity:g} mm")
    synthetic = changed(scene.clean, scene.clean.array, f"metal of {severity:g} mm removed")
    return Planted(
        synthetic=synthetic, reference=with_it.reference, clean=with_it.clean, source=with_it.source
    )


@FAULTS.add(
    "bone_contrast",
    FaultFacts(
        title="Bone too pale",
        unit="%",
        severities=(10, 20, 45, 70),
        clinical=45,
        why_clinical=f"{DOSE_RULE}; interpolated: 5.1 mm in the beam that crosses most bone",
        hits="all",
        changes_dose=True,
        answers=(
            ("me", "bone"),
            ("me", "cortical"),
            ("mae", "bone"),
            ("mae", "cortical"),
            ("slope_error", "body"),
            ("volume_difference", "seg:Bone"),
            *_DEPTH,
        ),
        answers_alone=("hu_range_99_9", "tissue_volume", "tissue_ratio"),
    ),
)
def bone_contrast(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Lower what bone has above soft tissue by a share."""
    return _scaled_bone(scene, 1 - severity / 100)


@FAULTS.add(
    "bone_overdrawn",
    FaultFacts(
        title="Bone too dense",
        unit="%",
        severities=(10, 20, 45, 70),
        clinical=45,
        why_clinical=f"{DOSE_RULE}; interpolated: 5.1 mm in the beam that crosses most bone",
        hits="all",
        changes_dose=True,
        answers=(
            ("me", "bone"),
            ("me", "cortical"),
            ("mae", "bone"),
            ("mae", "cortical"),
            ("slope_error", "body"),
            ("volume_difference", "seg:Bone"),
            *_DEPTH,
        ),
        answers_alone=("hu_range_99_9", "tissue_volume", "tissue_ratio"),
    ),
)
def bone_overdrawn(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise what bone has above soft tissue by a share."""
    return _scaled_bone(scene, 1 + severity / 100)


@FAULTS.add(
    "histogram_forced",
    FaultFacts(
        title="Histogram of the reference forced onto the MR",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="every value is plausible and none is in its place: marrow, fat and bone swap",
        hits="patient",
        changes_dose=True,
        answers=(
            ("mae", "body"),
            ("ncc", "body"),
            ("me", "bone"),
            ("mae", "bone"),
            ("dice", "seg:Bone"),
            ("largest_missed_depth", "bone"),
            ("largest_false_depth", "bone"),
            *_DEPTH,
        ),
        answers_alone=(
            "air_error",
            "muscle_level",
            "fat_level",
            "sharpness",
            "noise_level",
            "tissue_volume",
        ),
    ),
)
def histogram_forced(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give the body's MR values, in their order, the HU of the clean image; outside is air."""
    body = scene.body
    signal = np.asarray(scene.source.array, dtype=np.float64)[body]
    matched = np.empty(signal.size, dtype=np.float32)
    matched[np.argsort(signal, kind="stable")] = np.sort(scene.clean.array[body])
    array = np.full(scene.grid.shape, AIR_HU, dtype=np.float32)
    array[body] = matched
    return changed(scene.clean, array, "the histogram of a CT forced onto the MR")


def _in_both(
    scene: Scene, share: Float32Array, true_hu: float, drawn_hu: float, signal: float, what: str
) -> Planted:
    """Plant a structure of a value; in the faulted image it has another one."""
    reference = changed(scene.reference, blend(scene.reference.array, share, true_hu), what)
    clean = changed(scene.clean, blend(scene.clean.array, share, true_hu), what)
    synthetic = changed(scene.clean, blend(scene.clean.array, share, drawn_hu), what)
    source = darker(scene.source, share, signal)
    return Planted(synthetic=synthetic, reference=reference, clean=clean, source=source)


def _scaled_bone(scene: Scene, factor: float) -> Volume:
    array = scene.clean.array
    high = np.where(scene.bone, np.maximum(array - np.float32(TISSUE_HU), 0), 0)
    scaled = array + high * np.float32(factor - 1)
    return changed(scene.clean, scaled.astype(np.float32), f"bone contrast times {factor:g}")


def _bone_centre(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return a place in the thickest bone: one of the tenth of its voxels that lie deepest."""
    depth = depth_mm(scene.bone, scene.grid)
    deep = np.argwhere(depth >= np.quantile(depth[scene.bone], 0.9))
    return np.asarray(deep[rng.integers(len(deep))], dtype=np.float64)


def _implant(scene: Scene, diameter_mm: float, rng: np.random.Generator) -> Float32Array:
    """Return a ball in one of the two femoral heads."""
    side = "LR"[int(rng.integers(2))]
    centre = np.argwhere(scene.structure(f"Femur_Head_{side}")).mean(axis=0)
    return ball(scene.grid, centre, diameter_mm / 2)
