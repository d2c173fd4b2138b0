"""What the image measures can be told.

The defaults are choices, and each says where it comes from in ``docs/measures/image.md``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.volume import Quantity

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

SYNTHRAD_RANGE_HU = (-1024.0, 3000.0)
"""Data range of the SynthRAD2023 challenge (Huijben et al. 2024, Med Image Anal 97:103276)."""


class Band(BaseModel):
    """A tissue by the value of the reference: ``low <= value < high``; None is open."""

    model_config = _STRICT

    name: str
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Band:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"the band {self.name} ends at {self.high}, below {self.low}")
        return self


def _data_range() -> dict[Quantity, tuple[float, float]]:
    return {"HU": SYNTHRAD_RANGE_HU}


def _bands() -> dict[Quantity, tuple[Band, ...]]:
    air = Band(name="air", high=-200.0)
    soft = Band(name="soft", low=-200.0, high=250.0)
    return {"HU": (air, soft, Band(name="bone", low=250.0))}


class ImageSettings(BaseModel):
    """Settings of the image measures.

    Parameters
    ----------
    data_range
        Lowest and highest value of each quantity, for PSNR and SSIM. A quantity that is not
        named has none, and its PSNR and SSIM are undefined: a range is never guessed.
    bands
        Tissue bands of each quantity, taken on the reference.
    ssim_window
        Edge of the cubic SSIM window, in voxels; odd.
    ssim_k1, ssim_k2
        The constants of Wang et al. (2004).
    """

    model_config = _STRICT

    data_range: dict[Quantity, tuple[float, float]] = Field(default_factory=_data_range)
    bands: dict[Quantity, tuple[Band, ...]] = Field(default_factory=_bands)
    ssim_window: int = Field(default=7, ge=3)
    ssim_k1: float = Field(default=0.01, gt=0)
    ssim_k2: float = Field(default=0.03, gt=0)

    @model_validator(mode="after")
    def _sound(self) -> ImageSettings:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"the SSIM window must be odd, got {self.ssim_window}")
        for quantity, (low, high) in self.data_range.items():
            if low >= high:
                raise ValueError(f"the data range of {quantity} is empty: {low} to {high}")
        for quantity, bands in self.bands.items():
            names = [band.name for band in bands]
            if len(set(names)) < len(names) or "body" in names:
                raise ValueError(f"the band names of {quantity} must differ, and none be 'body'")
        return self
