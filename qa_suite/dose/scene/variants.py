"""Other images of the same case: bulk densities, and the error of one kind of tissue at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from qa_suite.dose.scene.scene import DoseImage, DoseScene, Mask

Cause = Literal["outline", "air", "soft", "bone"]
CAUSES: tuple[Cause, ...] = ("outline", "air", "soft", "bone")
AIR_BELOW_HU = -200.0
BONE_FROM_HU = 150.0
BULK_HU: Mapping[str, float] = {"air": -950.0, "water": 0.0, "bone": 500.0}
"""HU of a bulk-density image: gas, water and a bone between spongy and cortical."""


def bulk_image(image: DoseImage) -> DoseImage:
    """Return an image of three densities: air, water and bone, told apart by HU.

    An independent check: a synthetic image that is further from the reference's dose than this
    one is worth less than no HU at all.
    """
    hu = np.full_like(image.hu, BULK_HU["water"])
    hu[image.hu < AIR_BELOW_HU] = BULK_HU["air"]
    hu[image.hu >= BONE_FROM_HU] = BULK_HU["bone"]
    return DoseImage(hu=hu, body=image.body)


def with_cause(scene: DoseScene, cause: Cause) -> DoseImage:
    """Return the reference with the synthetic image's error of one kind, and no other.

    ``outline``: where one of the two bodies has tissue and the other has none; ``air``: inside
    both bodies, where either image shows gas; ``bone``: elsewhere, where either shows bone;
    ``soft``: the rest. The four share out the whole difference of the two images.
    """
    where = cause_masks(scene)[cause]
    hu = np.where(where, scene.synthetic.hu, scene.reference.hu)
    body = np.where(where, scene.synthetic.body, scene.reference.body)
    return DoseImage(hu=hu, body=body)


def cause_masks(scene: DoseScene) -> dict[Cause, Mask]:
    """Share out the voxels of the two bodies among the causes."""
    one, other = scene.reference, scene.synthetic
    outline = one.body != other.body
    inside = one.body & other.body
    air = inside & ((one.hu < AIR_BELOW_HU) | (other.hu < AIR_BELOW_HU))
    bone = inside & ~air & ((one.hu >= BONE_FROM_HU) | (other.hu >= BONE_FROM_HU))
    return {"outline": outline, "air": air, "bone": bone, "soft": inside & ~air & ~bone}
