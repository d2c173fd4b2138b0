"""Faults of organs: they lie elsewhere, are larger, or stand on the wrong side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.lab.faults.anatomy import GAS_SIGNAL, darker, gas_place, radius_mm
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
    place,
)
from qa_suite.lab.faults.numbers import DOSE_RULE

FADE_MM = 25.0
"""Over which distance the surroundings of a moved organ give way."""
_MOVED = (
    ("structure_shift", "structures"),
    ("local_shift_95", "body"),
    ("largest_false_contrast", "lesion"),
    ("largest_missed_contrast", "lesion"),
    ("largest_false_depth", "air"),
    ("largest_missed_depth", "air"),
    ("percentile_99_error", "soft"),
)
MARGIN_RULE = (
    "the margin of 5 to 7 mm that is commonly left around a prostate is used up, and the target "
    "lies at the edge of the dose"
)


@FAULTS.add(
    "prostate_moved",
    FaultFacts(
        title="Prostate moved",
        unit="mm",
        severities=(3, 6, 10, 15),
        clinical=10,
        why_clinical=MARGIN_RULE,
        hits="patient",
        answers=_MOVED,
        answers_alone=("source_mutual_information",),
    ),
)
def prostate_moved(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Draw prostate and tumour elsewhere; what is around gives way, the body stays."""
    return _with_organ_moved(scene, ("Prostate", "GTV"), severity, rng)


@FAULTS.add(
    "bladder_moved",
    FaultFacts(
        title="Bladder moved",
        unit="mm",
        severities=(5, 10, 15, 20),
        clinical=15,
        why_clinical=MARGIN_RULE,
        hits="patient",
        answers=_MOVED,
        answers_alone=("source_mutual_information",),
    ),
)
def bladder_moved(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Draw the bladder elsewhere; what is around gives way, the body stays."""
    return _with_organ_moved(scene, ("Bladder",), severity, rng)


@FAULTS.add(
    "gas_moved",
    FaultFacts(
        title="Gas moved",
        unit="mm",
        severities=(10, 20, 30, 40),
        clinical=20,
        why_clinical=f"{DOSE_RULE}; rays through the old and the new place are 20 mm of water off",
        hits="patient",
        changes_dose=True,
        answers=(
            ("largest_missed_depth", "air"),
            ("largest_false_depth", "air"),
            ("value_depth", "air"),
            ("value_error", "air"),
            ("beam_depth_error", "body"),
        ),
        answers_alone=("void_filled", "source_mutual_information"),
    ),
)
def gas_moved(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give the patient 10 cc of gas in the pelvis, and draw it elsewhere in soft tissue."""
    radius = radius_mm(10.0)
    soft = gas_place(scene)
    here = place(soft, scene.grid, radius, rng, "a gas pocket")
    there = _elsewhere(scene, soft, here, severity, rng)
    reference, clean, synthetic = (
        changed(v, blend(v.array, ball(scene.grid, centre, radius), AIR_HU), what)
        for v, centre, what in (
            (scene.reference, here, "gas of 10 cc"),
            (scene.clean, here, "gas of 10 cc"),
            (scene.clean, there, f"gas of 10 cc, {severity:g} mm off"),
        )
    )
    source = darker(scene.source, ball(scene.grid, here, radius), GAS_SIGNAL)
    return Planted(synthetic=synthetic, reference=reference, clean=clean, source=source)


@FAULTS.add(
    "heads_exchanged",
    FaultFacts(
        title="Femoral heads exchanged",
        unit="mm",
        severities=(12, 18, 24, 30),
        clinical=18,
        why_clinical=(
            "what is in one hip is shown in the other: the wrong side is treated or spared; and "
            f"{DOSE_RULE}"
        ),
        hits="patient",
        changes_dose=True,
        answers=(
            ("mirror_evidence", "body"),
            ("largest_false_depth", "bone_lesion"),
            ("largest_missed_depth", "bone_lesion"),
            ("value_depth", "dense"),
            ("value_error", "dense"),
            ("value_depth", "bone"),
            ("value_error", "bone"),
            ("beam_depth_error", "body"),
        ),
        answers_alone=("mirror_evidence",),
    ),
)
def heads_exchanged(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Give one femoral head a dense place, and draw each head as the mirror image of the other."""
    side = "LR"[int(rng.integers(2))]
    heads = {s: scene.structure(f"Femur_Head_{s}") for s in "LR"}
    centres = {s: np.argwhere(heads[s]).mean(axis=0) for s in "LR"}
    share = ball(scene.grid, centres[side], severity / 2)
    what = f"a dense place of {severity:g} mm in head {side}"
    reference, clean = (
        changed(v, blend(v.array, share, 1200.0), what) for v in (scene.reference, scene.clean)
    )
    array = clean.array.copy()
    for here, there in (("L", "R"), ("R", "L")):
        weight = _within(scene, heads[here], 6.0)
        array += weight * (_mirrored(clean.array, centres[here], centres[there]) - clean.array)
    return Planted(
        synthetic=changed(clean, array, "femoral heads exchanged"),
        reference=reference,
        clean=clean,
        source=darker(scene.source, share, 0.3),
    )


def _with_organ_moved(
    scene: Scene, names: tuple[str, ...], distance_mm: float, rng: np.random.Generator
) -> Volume:
    from scipy import ndimage

    organ = np.logical_or.reduce([scene.structure(name) for name in names])
    way = rng.standard_normal(3) * (1, 1, 0.5)
    way *= distance_mm / np.linalg.norm(way)
    # nothing moves at the skin: the shift fades out with the distance to organ and to skin
    weight = _within(scene, organ, FADE_MM)
    index = np.indices(scene.grid.shape, dtype=np.float32)
    for axis, step in enumerate(way / np.asarray(scene.grid.spacing_mm)):
        index[axis] -= weight * np.float32(step)
    clean = scene.clean.array
    moved = ndimage.map_coordinates(clean, index, order=3, mode="nearest")
    moved = np.where(weight > 0, np.clip(moved, clean.min(), clean.max()), clean)
    return changed(scene.clean, moved.astype(np.float32), f"{names[0]} {distance_mm:g} mm off")


def _within(scene: Scene, mask: Mask, fade_mm: float) -> Float32Array:
    """1 inside a mask, falling to 0 over a distance from it."""
    from scipy import ndimage

    away = ndimage.distance_transform_edt(~mask, sampling=scene.grid.spacing_mm)
    return np.clip(1 - away / fade_mm, 0, 1).astype(np.float32)


def _elsewhere(
    scene: Scene,
    soft: Mask,
    here: NDArray[np.float64],
    distance_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return a place in soft tissue at about that distance from another."""
    places = np.argwhere(soft)
    away = np.linalg.norm((places - here) * scene.grid.spacing_mm, axis=1)
    near = np.flatnonzero(np.abs(away - distance_mm) <= max(scene.grid.spacing_mm) / 2)
    if len(near) == 0:
        raise InputError(f"There is no soft tissue {distance_mm:g} mm beside the gas.")
    return np.asarray(places[near[rng.integers(len(near))]], dtype=np.float64)


def _mirrored(
    array: Float32Array, here: NDArray[np.float64], there: NDArray[np.float64]
) -> Float32Array:
    """Image that shows at ``here + x`` what lies at ``there`` + x with left and right exchanged."""
    from scipy import ndimage

    offset = np.array([there[0] + here[0], there[1] - here[1], there[2] - here[2]])
    return np.asarray(
        ndimage.affine_transform(
            array, np.array([-1.0, 1.0, 1.0]), offset=offset, order=1, mode="nearest"
        ),
        dtype=np.float32,
    )
