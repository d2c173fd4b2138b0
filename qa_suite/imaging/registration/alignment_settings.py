"""What the estimate of a residual rigid motion can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AlignmentSettings(BaseModel):
    """Reach, resolution and evidence of the estimate of a rigid motion between two images."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_misalignment_mm: float = Field(
        default=10.0,
        gt=0,
        description="95th percentile of the displacement within the body, and mean shift, "
        "above which a case is refused",
    )
    alignment_resolution_mm: float = Field(
        default=3.0, ge=1.0, le=10.0, description="voxel size of the last step of the estimate"
    )
    alignment_reach_mm: float = Field(
        default=30.0, ge=0.0, le=100.0, description="largest shift that is searched for"
    )
    alignment_depth_mm: float = Field(
        default=5.0, ge=0.0, description="depth below the skin from which the body is looked at"
    )
    expected_rotation_deg: float = Field(
        default=12.0, gt=0, description="standard deviation of the rotations that are expected"
    )
    min_structure_drop: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of the similarity that a displaced position must lose, else the "
        "quick estimate of the measures takes the component to be without structure",
    )
    min_support: float = Field(
        default=2.5,
        ge=0,
        description="standard errors by which the blocks of the body must prefer one position "
        "to another, else it is undetermined which is right",
    )
