"""What the image measures can be told.

The defaults are choices, and each says where it comes from in ``docs/measures/image.md``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.volume import Quantity
from qa_suite.metrics.hallucination.settings import WATER_POINTS

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

SYNTHRAD_RANGE_HU = (-1024.0, 3000.0)
"""Data range of the SynthRAD2023 challenge (Huijben et al. 2024, Med Image Anal 97:103276)."""

SUV_RANGE = (0.0, 10.0)
"""Data range of PET in SUVbw: a choice of this suite, above most uptake but urine and brain."""

PERCENT_RANGE = (0.0, 100.0)
"""Data range of images whose arbitrary scale was removed: 100 is the percentile in the mask."""

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003)."""

METAL_HU = 2500.0
"""Metal begins here: above cortical bone, and below the 3071 HU at which twelve bits end."""

EVEN_TISSUE_HU = (-190.0, 150.0)
"""Fat and soft tissue of the bands below: where an error is not that of an edge of bone."""

SynthradMode = Literal["synthrad2023", "synthrad2025"]


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
    return {"HU": SYNTHRAD_RANGE_HU, "SUVbw": SUV_RANGE, "arbitrary": PERCENT_RANGE}


def _spectrum_window() -> dict[Quantity, tuple[float, float]]:
    return {"HU": (-200.0, 250.0), "SUVbw": SUV_RANGE, "arbitrary": PERCENT_RANGE}


def _field_tissue() -> dict[Quantity, tuple[float, float]]:
    return {"HU": EVEN_TISSUE_HU}


def _bands() -> dict[Quantity, tuple[Band, ...]]:
    return {
        "HU": (
            Band(name="air", high=-950.0),
            Band(name="lung", low=-950.0, high=-190.0),
            Band(name="fat", low=-190.0, high=-30.0),
            Band(name="soft", low=-30.0, high=150.0),
            Band(name="spongy", low=150.0, high=600.0),
            Band(name="cortical", low=600.0),
            Band(name="bone", low=250.0),
            Band(name="metal", low=METAL_HU),
        )
    }


class ImageSettings(BaseModel):
    """Settings of the image measures.

    Parameters
    ----------
    only
        Metrics to measure and no others, in all their regions; None is all.
    data_range
        Lowest and highest value of each quantity, for PSNR, SSIM, MS-SSIM and mutual
        information. A quantity that is not named has none, and they are undefined: a range
        is never guessed. That of ``arbitrary`` counts once the scale is removed.
    bands
        Tissue bands of each quantity, taken on the reference; none switches them off. The
        default six divide the HU axis; ``bone`` and ``metal`` sum up beside them.
    structures
        Whether the structures of the case are regions.
    shells_mm
        Depths below the mask's surface that divide it into shells; none switches them off.
    synthrad_modes
        Challenges whose conventions are followed in extra rows, for images in HU.
    ssim_window
        Edge of the cubic window of SSIM and MS-SSIM, in voxels; odd.
    ssim_k1, ssim_k2
        The constants of Wang et al. (2004).
    ms_ssim_weights
        Exponents of the scales of MS-SSIM, finest first; as many scales as weights.
    information_bins
        Bins of each image over the data range, for mutual information.
    skin_mm, taper_mm
        The spectra see nothing down to this depth below the surface (the image's end counts
        as surface here), and everything from ``taper_mm`` deeper on.
    spectrum_window
        Both images are clipped to it before their spectra are taken; a quantity that is not
        named is not clipped. Without it the edges of bone would drown everything else.
    spectrum_bins
        Most bins of the radially averaged power spectra, from zero to the finest axis'
        Nyquist; no bin is narrower than the step of the coarsest axis' frequencies.
    high_frequency_from
        Where high frequencies begin, as a share of Nyquist.
    slice_min_voxels
        Axial slices with fewer voxels of the mask are left out of ``slice_error``, and planes
        of ``plane_jitter``.
    field_mm
        Longest edge of the blocks in which the signed error is averaged, for the measures of
        errors that cancel; larger voxels stay as they are.
    field_tissue
        Values of the reference that are even tissue, for those measures; a quantity that is
        not named counts everywhere in the mask.
    block_mm
        Edge of the cubes of ``block_error``.
    slab_mm, beams
        Thickness of the axial slabs, and coplanar beams all around, of the depth errors.
    water_points
        (HU, relative electron density), for the depth errors.
    """

    model_config = _STRICT

    only: tuple[str, ...] | None = None
    data_range: dict[Quantity, tuple[float, float]] = Field(default_factory=_data_range)
    bands: dict[Quantity, tuple[Band, ...]] = Field(default_factory=_bands)
    structures: bool = True
    shells_mm: tuple[float, ...] = (5.0, 20.0)
    synthrad_modes: tuple[SynthradMode, ...] = ("synthrad2023", "synthrad2025")
    ssim_window: int = Field(default=7, ge=3)
    ssim_k1: float = Field(default=0.01, gt=0)
    ssim_k2: float = Field(default=0.03, gt=0)
    ms_ssim_weights: tuple[float, ...] = Field(default=MS_SSIM_WEIGHTS, min_length=1, max_length=8)
    information_bins: int = Field(default=128, ge=2, le=256)
    skin_mm: float = Field(default=10.0, ge=0)
    taper_mm: float = Field(default=15.0, gt=0)
    spectrum_window: dict[Quantity, tuple[float, float]] = Field(default_factory=_spectrum_window)
    spectrum_bins: int = Field(default=32, ge=4)
    high_frequency_from: float = Field(default=0.5, gt=0, lt=1)
    slice_min_voxels: int = Field(default=100, ge=1)
    field_mm: float = Field(default=6.0, gt=0)
    field_tissue: dict[Quantity, tuple[float, float]] = Field(default_factory=_field_tissue)
    block_mm: float = Field(default=24.0, gt=0)
    slab_mm: float = Field(default=30.0, gt=0)
    beams: int = Field(default=36, ge=4)
    water_points: tuple[tuple[float, float], ...] = Field(default=WATER_POINTS, min_length=2)

    @model_validator(mode="after")
    def _sound(self) -> ImageSettings:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"the SSIM window must be odd, got {self.ssim_window}")
        if any(weight <= 0 for weight in self.ms_ssim_weights):
            raise ValueError(f"the MS-SSIM weights must be positive, got {self.ms_ssim_weights}")
        for name in ("data_range", "spectrum_window", "field_tissue"):
            for quantity, (low, high) in getattr(self, name).items():
                if low >= high:
                    raise ValueError(f"the {name} of {quantity} is empty: {low} to {high}")
        for quantity, bands in self.bands.items():
            names = [band.name for band in bands]
            if len(set(names)) < len(names) or "body" in names:
                raise ValueError(f"the band names of {quantity} must differ, and none be 'body'")
        depths = (0.0, *self.shells_mm)
        if any(a >= b for a, b in pairwise(depths)):
            raise ValueError(f"the shells' depths must be positive and rise: {self.shells_mm}")
        if len(set(self.synthrad_modes)) < len(self.synthrad_modes):
            raise ValueError(f"a SynthRAD mode is named twice: {self.synthrad_modes}")
        return self
