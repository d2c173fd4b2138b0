"""The U-Net of a specification."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from translators.spec.strict import STRICT


class NetworkSpec(BaseModel):
    """A U-Net.

    ``unet`` (MONAI) has residual units and strided convolutions; ``dynunet`` (MONAI) is the
    encoder-decoder of nnU-Net, with residual blocks where ``residual_units`` is not zero;
    ``residual`` is this suite's own, with at least one residual block a level, and the one that
    can be told a time (diffusion, bridge).
    """

    model_config = STRICT

    architecture: Literal["unet", "dynunet", "residual"] = "dynunet"
    dimensions: Literal["2D", "2.5D", "3D"] = "2D"
    slices: int = Field(default=1, ge=1, le=31, description="2.5D: axial slices seen at once")
    channels: tuple[int, ...] = Field(default=(16, 32, 64, 128), min_length=3)
    residual_units: int = Field(default=0, ge=0, le=8, description="a level")
    keep_z: int = Field(default=0, ge=0, description="3D: first levels that do not halve z")
    norm: Literal["batch", "instance", "group"] = "batch"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    output_gain: float = Field(
        default=0.25, gt=0, description="an output of 1 is this much of the half window"
    )

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSpec:
        if min(self.channels) < 1:
            raise ValueError("channels must be positive")
        if self.norm == "group" and any(c % 8 for c in self.channels):
            raise ValueError("group norm has 8 groups and needs channels divisible by 8")
        if self.dimensions == "2.5D" and (self.slices < 3 or self.slices % 2 == 0):
            raise ValueError(f"2.5D needs an odd number of slices from 3, got {self.slices}")
        if self.dimensions != "2.5D" and self.slices != 1:
            raise ValueError(f"slices belong to 2.5D; {self.dimensions} takes 1")
        if self.keep_z and (self.dimensions != "3D" or self.keep_z >= len(self.channels)):
            raise ValueError("keep_z belongs to 3D and must be below the number of levels")
        return self

    @property
    def axes(self) -> int:
        """Number of spatial axes of a patch: 3 for 3D, else 2."""
        return 3 if self.dimensions == "3D" else 2

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Step from each level to the next, along each spatial axis."""
        steps = range(len(self.channels) - 1)
        if self.axes == 2:
            return tuple((2, 2) for _ in steps)
        return tuple((2, 2, 1 if level < self.keep_z else 2) for level in steps)

    @property
    def divisors(self) -> tuple[int, ...]:
        """What a patch must be divisible by, along each spatial axis."""
        return tuple(math.prod(step[axis] for step in self.strides) for axis in range(self.axes))
