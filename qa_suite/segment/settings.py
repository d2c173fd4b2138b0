"""What the threshold segmenters can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

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
