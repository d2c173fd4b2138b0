"""The bounds of preflight: what is refused, what is only a warning; kept in every record."""

from __future__ import annotations

from pydantic import Field, model_validator

from qa_suite.imaging.registration.alignment_settings import AlignmentSettings

Window = tuple[float, float]


class PreflightSettings(AlignmentSettings):
    """Bounds of the checks that a case must pass before it is measured.

    Only the unreadable, the impossible and gross misalignment are refused; everything else is
    a warning with its value, which a criteria profile may exclude by when it judges.
    """

    max_rotation_deg: float = Field(
        default=10.0, gt=0, description="residual rotation above which a case is warned about"
    )
    estimate_alignment: bool = Field(
        default=True, description="whether the residual shift and rotation are estimated"
    )
    min_consensus: float = Field(
        default=0.67,
        ge=0,
        le=1,
        description="share of the body's evidence that must agree with a gross misalignment; "
        "with less it is a deformation, and a warning",
    )
    min_overlap_fraction: float = Field(
        default=0.5, ge=0, le=1, description="share of the source's body that the reference covers"
    )
    min_body_overlap: float = Field(
        default=0.85,
        ge=0,
        le=1,
        description="Dice of the bodies in source and reference where both were scanned",
    )
    impossible_body_overlap: float = Field(
        default=0.7, ge=0, le=1, description="the same, below which a case is refused"
    )
    sane_spacing_mm: Window = (0.2, 10.0)
    impossible_spacing_mm: Window = Field(
        default=(0.02, 50.0), description="outside it the header is not in mm: refused"
    )
    max_anisotropy: float = Field(default=10.0, ge=1)
    air_hu: Window = (-1100.0, -900.0)
    soft_tissue_hu: Window = (-150.0, 150.0)
    hu_slope: Window = Field(
        default=(0.85, 1.2), description="(soft tissue − air) / 1000 HU of a plausible CT"
    )
    impossible_soft_tissue_hu: Window = (-400.0, 400.0)
    impossible_hu_slope: Window = (0.7, 1.5)
    mean_suv: Window = Field(
        default=(0.1, 5.0), description="mean SUVbw of the body in a plausible PET"
    )
    impossible_mean_suv: Window = Field(
        default=(0.01, 50.0), description="outside it the numbers are no SUVbw: refused"
    )
    max_saturated_fraction: float = Field(
        default=0.01, ge=0, le=1, description="share of the body above saturation_hu"
    )
    saturation_hu: float = 3000.0
    min_mask_cc: float = Field(default=10.0, ge=0)
    min_mask_on_body: float = Field(
        default=0.5, ge=0, le=1, description="share of the mask that lies on the body"
    )

    @model_validator(mode="after")
    def _windows_open(self) -> PreflightSettings:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] >= value[1]:
                raise ValueError(f"{name} must run from low to high, got {value}")
        return self
