"""What the segmentation measures can be told; see ``docs/measures/segmentation.md``."""

from __future__ import annotations

from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qa_suite.imaging.threshold import ThresholdSettings
from qa_suite.metrics.segmentation.synthrad import BodyRegion

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
    bone_curve_thresholds_hu
        Thresholds of the curve of Dice against threshold, increasing. Its span is also that
        of the search for the synthetic image's best threshold.
    bone_search_step_hu
        Step of that search, from the standard threshold.
    synthrad_region
        Region of the body whose list of classes the scores of SynthRAD2025 are taken over
        (abdomen, head and neck, thorax), with a segmenter that knows all of them, such as
        TotalSegmentator; None gives no such scores.
    """

    model_config = _STRICT

    body: ThresholdSettings = ThresholdSettings.for_body()
    bone: ThresholdSettings = ThresholdSettings.for_bone()
    body_margin_mm: float = Field(default=10.0, ge=0)
    surface_tolerances_mm: tuple[float, ...] = Field(default=(2.0,), min_length=1)
    bone_curve_thresholds_hu: tuple[float, ...] = Field(
        default=tuple(float(hu) for hu in range(100, 601, 25)), min_length=1
    )
    bone_search_step_hu: float = Field(default=5.0, gt=0)
    synthrad_region: BodyRegion | None = None

    @field_validator("bone_curve_thresholds_hu")
    @classmethod
    def _increasing(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(after <= before for before, after in pairwise(values)):
            raise ValueError("the thresholds of the curve must increase")
        return values
