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


class FarPatient(BaseModel):
    """How far one patient's source image lies, in SD, and whether that is unlike the training."""

    model_config = STRICT

    site: str
    distance: float
    unlike: bool | None = None


class FollowPlot(BaseModel):
    """One measure against the distance of the source image: the points and what they say."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    magnitude: bool = False
    points: tuple[tuple[str, float, float], ...] = Field(description="site, distance, value")


class AuditDistances(BaseModel):
    """How far each patient's source image lies from those of the training."""

    model_config = STRICT

    against: str = Field(description="what they are compared with, as words")
    usual: tuple[float, ...] = Field(description="of those compared with, each from the others")
    limit: float | None = Field(description="which so many of those stay within")
    patients: tuple[FarPatient, ...]
    sentences: tuple[str, ...] = Field(description="one a hospital")


class AuditShift(BaseModel):
    """All of it, for one audit."""

    model_config = STRICT

    spoken_of: str = Field(description="patients, scanners and protocols, and who is not in it")
    images: tuple[MovedImage, ...]
    whose: tuple[BehindGap, ...]
    levels: tuple[str, ...] = Field(
        default=(), description="references whose tissues lie outside of what is expected"
    )
    distances: AuditDistances | None = Field(
        default=None, description="None in audits from before they were told"
    )
    protocols: tuple[str, ...] = Field(
        default=(), description="tags never trained on and shares that differ, one a hospital"
    )
    lacking: tuple[str, ...] = Field(
        default=(), description="what these records, or the model's registration, do not tell"
    )
    plots: tuple[FollowPlot, ...] = ()
    follows: tuple[str, ...] = Field(
        default=(), description="how errors go with the distance of the source image"
    )
