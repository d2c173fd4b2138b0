"""What the PET measures can be told; see ``docs/measures/pet.md``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PetSettings(BaseModel):
    """Settings of the PET measures.

    Parameters
    ----------
    lesion_prefixes
        Structures whose name begins so are lesions, in TG-263's naming; case does not matter.
    other_prefixes
        Structures whose name begins so are neither lesion nor organ: margins around targets.
    peak_cc
        Volume of the sphere of SUVpeak.
    mtv_percent
        Thresholds of the metabolic tumour volume, in percent of the image's own SUVmax in the
        lesion; each is a variant (``41pct``).
    mtv_suv
        Fixed thresholds, in SUVbw; each is a variant (``suv4``).
    shell_gap_mm, shell_mm
        Distance of the shell around a lesion from it, and the shell's thickness: the
        surroundings that the lesion is contrasted with.
    fewest_voxels
        A shell of fewer voxels is no surroundings.
    visible_factor, visible_sd
        A lesion is visible where its SUVpeak exceeds ``visible_factor`` times the mean of its
        shell plus ``visible_sd`` standard deviations of it.
    """

    model_config = _STRICT

    lesion_prefixes: tuple[str, ...] = Field(default=("GTV",), min_length=1)
    other_prefixes: tuple[str, ...] = ("CTV", "ITV", "PTV")
    peak_cc: float = Field(default=1.0, gt=0)
    mtv_percent: tuple[float, ...] = (41.0,)
    mtv_suv: tuple[float, ...] = (4.0, 2.5)
    shell_gap_mm: float = Field(default=6.0, ge=0)
    shell_mm: float = Field(default=10.0, gt=0)
    fewest_voxels: int = Field(default=8, ge=2)
    visible_factor: float = Field(default=1.5, ge=0)
    visible_sd: float = Field(default=2.0, ge=0)

    @field_validator("mtv_percent")
    @classmethod
    def _shares(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < value < 100 for value in values) or len(set(values)) < len(values):
            raise ValueError(f"thresholds in percent must differ and lie in (0, 100): {values}")
        return values

    @field_validator("mtv_suv")
    @classmethod
    def _positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(value <= 0 for value in values) or len(set(values)) < len(values):
            raise ValueError(f"thresholds in SUVbw must differ and be positive: {values}")
        return values

    @property
    def thresholds(self) -> dict[str, tuple[float, str]]:
        """Variant key to threshold and its unit: ``%`` of SUVmax, or ``SUVbw``."""
        return {f"{p:g}pct": (p, "%") for p in self.mtv_percent} | {
            f"suv{s:g}": (s, "SUVbw") for s in self.mtv_suv
        }
