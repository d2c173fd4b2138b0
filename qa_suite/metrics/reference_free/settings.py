"""What the checks without a reference can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Window = tuple[float, float]


class ReferenceFreeSettings(BaseModel):
    """Settings of the checks without a reference."""

    model_config = _STRICT

    only: tuple[str, ...] | None = Field(
        default=None, description="metrics to measure and no others; none is all"
    )
    plausible_hu: Window = Field(
        default=(-1025.0, 3071.0), description="12 bits with intercept -1024, 1 HU of tolerance"
    )
    isolated_hu: float = Field(
        default=1000.0, gt=0, description="above (below) all six neighbours: an isolated extreme"
    )
    fat_hu: Window = Field(default=(-200.0, -30.0), description="for volumes, not for levels")
    bone_hu: float = Field(default=250.0, description="and more is bone, as in the image bands")
    level_window_hu: Window = Field(
        default=(-300.0, 300.0), description="where the peaks of fat and muscle are looked for"
    )
    level_halfwidth_hu: float = Field(
        default=40.0, gt=0, description="a level is the median within this distance of its peak"
    )
    soft_window_hu: Window = Field(
        default=(-250.0, 250.0), description="where noise and slice jumps are looked at"
    )
    filled_hu: Window = Field(
        default=(-200.0, 150.0), description="soft tissue where the source shows a void"
    )
    depth_mm: float = Field(
        default=10.0, ge=0, description="below the skin: where the body cannot end by blur alone"
    )
    bins: int = Field(default=32, ge=8, le=64, description="of the mutual information")
    mirror_reach_mm: float = Field(
        default=8.0, ge=0, description="how far the middles of a body and its mirror may differ"
    )
    slice_bins: int = Field(default=12, ge=4, le=64, description="of that within one slice")
    repeat_ratio: float = Field(
        default=0.25, gt=0, lt=1, description="of the usual difference of neighbouring slices"
    )

    @model_validator(mode="after")
    def _windows_open(self) -> ReferenceFreeSettings:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name != "only" and isinstance(value, tuple) and value[0] >= value[1]:
                raise ValueError(f"{name} must run from low to high, got {value}")
        return self
