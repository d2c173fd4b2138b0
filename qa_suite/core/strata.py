"""What is known of a case beside its voxels: scanner, protocol, patient."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Strata(BaseModel):
    """What is known of a case beside its voxels; None where the import could not tell."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source_manufacturer: str | None = None
    source_model: str | None = None
    field_strength_t: float | None = None
    sequence: str | None = None
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    reference_manufacturer: str | None = None
    reference_model: str | None = None
    ct_kernel: str | None = None
    tube_voltage_kv: float | None = None
    slice_thickness_mm: float | None = None
    sex: Literal["M", "F", "O"] | None = None
    age_band: str | None = Field(default=None, description="ten years, such as '60-69'")
    body_width_mm: float | None = None
    implant: Literal["yes", "no", "unknown"] = "unknown"
    scan_interval_days: int | None = None
    flip_angle_deg: float | None = None
    source_kernel: str | None = None
    source_tube_voltage_kv: float | None = None
    reference_contrast: Literal["yes"] | None = Field(
        default=None, description="whether the header names a contrast agent; a gap says nothing"
    )

    @model_serializer(mode="wrap")
    def _as_before_where_unknown(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave the manifest, and its digest, of a cohort without these as it always was."""
        said = as_usual(self)
        for name in _LATER:
            if getattr(self, name) is None:
                said.pop(name, None)
        return said


_LATER = ("flip_angle_deg", "source_kernel", "source_tube_voltage_kv", "reference_contrast")
