"""What geometric fidelity can be told; see ``docs/measures/geometry.md``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.imaging.threshold import ThresholdSettings

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PositioningSettings(BaseModel):
    """The simulated treatment day, and the registrations.

    Parameters
    ----------
    cbct, drr
        Whether the cone-beam variant and the variant of two radiographs are measured.
    resolution_mm
        Voxel size that the images are averaged to, where they are finer; also the pixel of
        the radiographs in the plane of the isocentre.
    window_hu
        Values are clipped to it first: metal and the exact value of air decide nothing.
    margin_mm
        How far beyond the mask the images are compared.
    max_shift_mm, max_rotation_deg
        Size of the random offset of the day, along and about every axis.
    cbct_diameter_mm, cbct_length_mm
        Field of view of the cone-beam CT around the isocentre.
    cbct_blur_mm
        FWHM of its additional blur.
    cbct_noise_hu
        Standard deviation of its noise, at a voxel of ``resolution_mm`` or coarser.
    cbct_cupping_hu
        How much too low its values are on the axis, compared with the edge of the field.
    cbct_slope, cbct_offset_hu
        Its miscalibration: ``slope * HU + offset``.
    axis_distance_mm
        Source–axis distance of the radiographs.
    photons
        Detected per pixel without a patient.
    max_drr_cut
        Share of the outline across the patient's axis that may lie in tissue; radiographs of a
        patient who is cut there by the mask or the image show that cut above all.
    reach_mm, reach_deg
        A registration that ends farther from zero has left its range.
    max_sd_mm
        A component whose standard error is larger (a rotation: as the displacement at the rms
        distance of the points) is undetermined.
    min_correlation, min_drr_correlation
        Of the registered images, smooth fields removed; below it there is no match.
    """

    model_config = _STRICT

    cbct: bool = True
    drr: bool = True
    resolution_mm: float = Field(default=3.0, ge=1.0, le=10.0)
    window_hu: tuple[float, float] = (-500.0, 700.0)
    margin_mm: float = Field(default=10.0, ge=0)
    max_shift_mm: float = Field(default=5.0, ge=0)
    max_rotation_deg: float = Field(default=2.0, ge=0)
    cbct_diameter_mm: float = Field(default=400.0, gt=0)
    cbct_length_mm: float = Field(default=160.0, gt=0)
    cbct_blur_mm: float = Field(default=2.0, ge=0)
    cbct_noise_hu: float = Field(default=30.0, ge=0)
    cbct_cupping_hu: float = 80.0
    cbct_slope: float = Field(default=0.9, gt=0)
    cbct_offset_hu: float = 30.0
    axis_distance_mm: float = Field(default=1000.0, gt=0)
    photons: float = Field(default=1e6, gt=0)
    max_drr_cut: float = Field(default=0.1, ge=0, le=1)
    reach_mm: float = Field(default=25.0, gt=0)
    reach_deg: float = Field(default=12.0, gt=0)
    max_sd_mm: float = Field(default=0.5, gt=0)
    min_correlation: float = Field(default=0.5, ge=0, le=1)
    min_drr_correlation: float = Field(default=0.9, ge=0, le=1)

    @model_validator(mode="after")
    def _sound(self) -> PositioningSettings:
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu must run from low to high, got {self.window_hu}")
        return self


class GeometrySettings(BaseModel):
    """Settings of geometric fidelity.

    Parameters
    ----------
    body, bone
        The two threshold segmenters.
    body_margin_mm
        How far beyond the mask the body outline is looked for.
    contour_reach_mm
        How far from a surface of the reference that of the synthetic image is looked for;
        larger distances are only known to be at least this one.
    source_alignment
        How the motion between source and synthetic image is estimated: ``full`` as preflight
        does, ``quick`` from no motion at 6 mm, or ``off``.
    local_shift
        Whether local shifts are measured.
    local_block_mm
        Edge of the blocks of the local shift.
    local_reach_mm
        Largest local shift that can be told; beyond, it is only known to be at least this.
    structure_shift
        Whether the shifts of delineated structures are measured.
    structure_margin_mm
        How much of its surroundings a structure is looked for with.
    structure_min_cc, structure_max_cc
        Smaller and larger structures are not looked for by themselves.
    positioning
        The positioning test.
    """

    model_config = _STRICT

    body: ThresholdSettings = ThresholdSettings.for_body()
    bone: ThresholdSettings = ThresholdSettings.for_bone()
    body_margin_mm: float = Field(default=10.0, ge=0)
    contour_reach_mm: float = Field(default=10.0, gt=0)
    source_alignment: Literal["full", "quick", "off"] = "quick"
    local_shift: bool = True
    local_block_mm: float = Field(default=36.0, ge=10.0)
    local_reach_mm: float = Field(default=12.0, gt=0)
    structure_shift: bool = True
    structure_margin_mm: float = Field(default=18.0, ge=0)
    structure_min_cc: float = Field(default=10.0, ge=0)
    structure_max_cc: float = Field(default=500.0, gt=0)
    positioning: PositioningSettings = PositioningSettings()
