"""What the segmentation measures can be told; see ``docs/measures/segmentation.md``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.segment.settings import ThresholdSettings

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SegmentationSettings(BaseModel):
    """Settings of the segmentation measures.

    Parameters
    ----------
    body, bone
        The two threshold segmenters.
    body_margin_mm
        How far beyond the mask the body outline is looked for; farther out lie couch and
        padding, which no translator has to show.
    surface_tolerances_mm
        Tolerances of the surface Dice; each is a variant of its own (``tol2mm``).
    """

    model_config = _STRICT

    body: ThresholdSettings = ThresholdSettings.for_body()
    bone: ThresholdSettings = ThresholdSettings.for_bone()
    body_margin_mm: float = Field(default=10.0, ge=0)
    surface_tolerances_mm: tuple[float, ...] = Field(default=(2.0,), min_length=1)
