"""What an audit says of shift: whose images moved, and whom it speaks of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT


class MovedImage(BaseModel):
    """Whether the images of one hospital are unlike those that they are compared with."""

    model_config = STRICT

    image: Literal["source", "reference", "synthetic"]
    site: str
    patients: int
    against: str = Field(default="", description="nearest hospital of the comparison")
    moved: bool | None = Field(default=None, description="None where it cannot be told")
    why: str = Field(default="", description="why it cannot")
    p_adjusted: float | None = Field(default=None, description="by Holm over images and sites")
    features: dict[str, float] = Field(
        default_factory=dict, description="farthest features, in SD of patients within a hospital"
    )
    sentence: str


class BehindGap(BaseModel):
    """Which images moved where a hospital has a gap."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    site: str
    answer: str
    sentence: str


class AuditShift(BaseModel):
    """All of it, for one audit."""

    model_config = STRICT

    spoken_of: str = Field(description="patients, scanners and protocols, and who is not in it")
    images: tuple[MovedImage, ...]
    whose: tuple[BehindGap, ...]
    levels: tuple[str, ...] = Field(
        default=(), description="references whose tissues lie outside of what is expected"
    )
    follows: tuple[str, ...] = Field(
        default=(), description="how errors go with the distance of the source image"
    )
