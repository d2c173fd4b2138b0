"""Faults of a stranger fitted to the outline: the skin is the patient's, what is inside is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import AIR_HU, FAULTS, FaultFacts, Mask, Scene, changed

_ANGLES = 72
_SKIN_HU = -400.0
_ANSWERS = (
    ("mae", "body"),
    ("ncc", "body"),
    ("dice", "seg:Bone"),
    ("local_shift_95", "body"),
    ("hd95", "seg:Bone"),
    ("contour_distance_95", "seg:Bone"),
    ("largest_false_depth", "bone"),
    ("largest_missed_depth", "bone"),
    ("beam_depth_error", "body"),
)


@FAULTS.add(
    "atlas_fitted",
    FaultFacts(
        title="Atlas fitted to the outline",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="nothing beneath the skin is of this patient",
        hits="all",
        changes_dose=True,
        answers=_ANSWERS,
        answers_alone=("source_mutual_information", "sharpness", "source_shift"),
    ),
)
def atlas_fitted(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Deform the mean CT of others so that its outline is this patient's."""
    array = fitted(np.asarray(scene.average().array, dtype=np.float32), scene.body)
    return changed(scene.clean, array, "an atlas fitted to the outline")


@FAULTS.add(
    "training_patient_fitted",
    FaultFacts(
        title="Training patient fitted to the outline",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="nothing beneath the skin is of this patient",
        hits="patient",
        changes_dose=True,
        answers=_ANSWERS,
        answers_alone=("source_mutual_information", "source_shift"),
    ),
)
def training_patient_fitted(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Deform the image of another patient so that its outline is this patient's."""
    array = fitted(np.asarray(scene.stranger().array, dtype=np.float32), scene.body)
    return changed(scene.clean, array, "another patient fitted to the outline")


def fitted(other: Float32Array, body: Mask) -> Float32Array:
    """Stretch another image slice by slice, along rays from the middle of the body.

    Parameters
    ----------
    other
        In HU, shape of ``body``.
    body
        Whose outline it gets; slices without a body are air.
    """
    from scipy import ndimage

    found = np.full(other.shape, AIR_HU, dtype=np.float32)
    for k in range(other.shape[2]):
        theirs = ndimage.binary_fill_holes(_largest(other[..., k] > _SKIN_HU))
        ours = body[..., k]
        if not ours.any() or not theirs.any():
            continue
        centre, origin = (np.argwhere(mask).mean(axis=0) for mask in (ours, theirs))
        x, y = np.meshgrid(*(np.arange(n) for n in ours.shape), indexing="ij")
        dx, dy = x - centre[0], y - centre[1]
        angle = np.arctan2(dy, dx)
        turns = np.linspace(-np.pi, np.pi, _ANGLES + 1)
        ratio = _reach(theirs, origin, turns) / np.maximum(_reach(ours, centre, turns), 1e-6)
        scale = np.interp(angle, turns, ratio)
        where = np.stack([origin[0] + dx * scale, origin[1] + dy * scale])
        inside = ndimage.map_coordinates(other[..., k], where, order=1, mode="nearest")
        found[..., k] = np.where(ours, np.maximum(inside, _SKIN_HU), AIR_HU)
    return found


def _largest(mask: Mask) -> Mask:
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))


def _reach(
    mask: Mask, centre: NDArray[np.float64], turns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far a mask reaches from a place in every direction, in voxels."""
    from scipy import ndimage

    steps = np.arange(0, max(mask.shape), 0.5)
    rays = centre[:, None, None] + np.stack([np.cos(turns), np.sin(turns)])[:, :, None] * steps
    hit = ndimage.map_coordinates(mask.astype(np.float32), rays, order=1, cval=0) >= 0.5
    return np.asarray(steps[hit.shape[1] - 1 - hit[:, ::-1].argmax(axis=1)])
