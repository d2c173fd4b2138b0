"""Body and bone by a HU threshold: no learning, no random numbers, the same for every image."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.masks import filled_slices, large_parts

BODY_THRESHOLD_HU = -500.0
BONE_THRESHOLD_HU = 250.0


class ThresholdSettings(BaseModel):
    """A structure by a HU threshold.

    Parameters
    ----------
    threshold_hu
        Voxels at or above it belong to the structure.
    smallest_cc
        Connected parts (26 neighbours) below this volume are removed.
    smallest_share
        Connected parts (26 neighbours) below this share of the largest one are removed.
    fill_slices
        Fill the holes of every slice across the last axis, such as lungs and bowel gas.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    threshold_hu: float
    smallest_cc: float = Field(default=0.0, ge=0)
    smallest_share: float = Field(default=0.0, ge=0, le=1)
    fill_slices: bool = False

    @classmethod
    def for_body(cls) -> ThresholdSettings:
        """Body: half way between air and soft tissue, its large parts, filled."""
        return cls(threshold_hu=BODY_THRESHOLD_HU, smallest_share=0.1, fill_slices=True)

    @classmethod
    def for_bone(cls) -> ThresholdSettings:
        """Bone: dense bone; specks below 0.1 cm³ (noise, calcifications) are removed."""
        return cls(threshold_hu=BONE_THRESHOLD_HU, smallest_cc=0.1)


def body(volume: Volume, *, domain: Mask | None = None) -> Mask:
    """Body of a CT with the default settings, anywhere or inside ``domain``."""
    where = np.ones(volume.grid.shape, dtype=bool) if domain is None else domain
    return segment_threshold(volume, where, ThresholdSettings.for_body())


def bone(volume: Volume, *, domain: Mask | None = None) -> Mask:
    """Dense bone of a CT with the default settings, anywhere or inside ``domain``."""
    where = np.ones(volume.grid.shape, dtype=bool) if domain is None else domain
    return segment_threshold(volume, where, ThresholdSettings.for_bone())


def segment_threshold(volume: Volume, domain: Mask, settings: ThresholdSettings) -> Mask:
    """Segment one structure by a threshold.

    Parameters
    ----------
    volume
        In HU, finite inside the domain.
    domain
        Where the structure may lie; bool, of the grid's shape.
    settings
        Threshold and what is cleaned up.

    Returns
    -------
    ndarray of bool, of the grid's shape; empty where nothing reaches the threshold.

    Raises
    ------
    InputError
        If the volume is not in HU, or not finite inside the domain.
    GeometryError
        If the domain is not a bool array of the volume's shape.
    """
    if volume.quantity != "HU":
        raise InputError(f"Threshold segmentation needs HU, got {volume.quantity}.")
    if domain.shape != volume.grid.shape or domain.dtype != np.bool_:
        raise GeometryError(
            f"The domain must be a bool array of shape {volume.grid.shape}, got {domain.dtype} "
            f"of shape {domain.shape}."
        )
    result = np.zeros(volume.grid.shape, dtype=bool)
    box = bounding_box(domain)
    if box is None:
        return result
    inside = domain[box]
    values = volume.array[box]
    wrong = int(np.count_nonzero(~np.isfinite(values) & inside))
    if wrong:
        raise InputError(f"Cannot segment an image with {wrong} voxels that are not finite.")
    found = (values >= settings.threshold_hu) & inside
    found = large_parts(
        found,
        least_voxels=settings.smallest_cc / volume.grid.voxel_volume_cc,
        least_share=settings.smallest_share,
        corners=True,
    )
    if settings.fill_slices:
        found = filled_slices(found, volume.grid.long_axis, outside=~inside)
    result[box] = found
    return result
