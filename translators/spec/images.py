"""What goes in and what comes out: scales, windows, and how the body is found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from qa_suite.core.volume import Quantity
from translators.spec.strict import STRICT


class BodySpec(BaseModel):
    """How the body is found in the *source* image, where its intensities are normalised.

    The image is smoothed and thresholded between its own air and its own bright tissue,
    closed, cleared of small pieces and filled slice by slice. No reference image is used:
    in a clinic without CT there is none.
    """

    model_config = STRICT

    smoothing_mm: float = Field(default=2.0, ge=0, description="Gaussian sigma")
    threshold_fraction: float = Field(
        default=0.10, gt=0, lt=1, description="of the way from the 1st to the 99th percentile"
    )
    closing_mm: float = Field(default=6.0, ge=0, description="radius of the closing")
    smallest_piece: float = Field(
        default=0.05, ge=0, le=1, description="pieces below this part of the largest are dropped"
    )


class SourceSpec(BaseModel):
    """What goes in, and how its scale is removed."""

    model_config = STRICT

    modality: str = "MR"
    quantity: Quantity = "arbitrary"
    normalisation: Literal["percentile", "zscore", "window"] = Field(
        default="percentile",
        description="percentile: low and high go to -1 and 1; zscore: mean and SD to 0 and 1, "
        "both inside the body; window: the fixed values low and high go to -1 and 1",
    )
    low: float = Field(default=1.0, description="percentile, or value of the window")
    high: float = Field(default=99.0, description="percentile, or value of the window")
    clip: tuple[float, float] = Field(default=(-1.5, 3.0), description="after normalisation")
    body: BodySpec = BodySpec()

    @model_validator(mode="after")
    def _ordered(self) -> SourceSpec:
        if self.low >= self.high or self.clip[0] >= self.clip[1]:
            raise ValueError("low must be below high, in the normalisation and in clip")
        if self.normalisation == "percentile" and not 0 <= self.low < self.high <= 100:
            raise ValueError("percentiles must lie between 0 and 100")
        return self


class TargetSpec(BaseModel):
    """What comes out: its unit and the fixed window that is mapped to [-1, 1].

    What lies outside the window is clipped, in training and in the answer.
    """

    model_config = STRICT

    modality: str = "CT"
    quantity: Quantity = "HU"
    low: float = -1024.0
    high: float = 3000.0
    transform: Literal["linear", "sqrt"] = Field(
        default="linear",
        description="sqrt: the root of the share of the window, where a few voxels are far above "
        "the others and noise grows with the value, as in PET",
    )
    scale: Literal["absolute", "percentile"] = Field(
        default="absolute",
        description="percentile: an image in arbitrary units is scaled so that its percentiles "
        "inside the mask go to low and high, and so is the answer",
    )
    percentiles: tuple[float, float] = Field(default=(1.0, 99.0), description="of scale percentile")
    outside: float = Field(default=-1000.0, description="value of the air around the patient")
    centre: float = Field(default=0.0, description="value that a network output of zero stands for")

    @model_validator(mode="after")
    def _inside_window(self) -> TargetSpec:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.scale == "percentile" and self.quantity != "arbitrary":
            raise ValueError(f"{self.quantity} has a scale of its own; scale must be absolute")
        if self.transform != "linear" and self.scale == "percentile":
            raise ValueError("transform belongs to scale absolute")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError("percentiles must rise between 0 and 100")
        for name in ("outside", "centre"):
            if not self.low <= getattr(self, name) <= self.high:
                raise ValueError(f"{name} must lie inside the window")
        return self

    @property
    def unit_centre(self) -> float:
        """Where ``centre`` lies on the unit scale, from -1 to 1."""
        share = (self.centre - self.low) / (self.high - self.low)
        return 2 * (share**0.5 if self.transform == "sqrt" else share) - 1
