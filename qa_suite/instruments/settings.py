"""What the examiner's own networks can be told; written whole beside their weights."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

AIR_HU = -1000.0

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Window = tuple[float, float]


class Disturbance(BaseModel):
    """Mild random changes of a training slice, each drawn evenly up to the given size.

    They are of the size by which good CTs differ from each other (kernel, dose, calibration),
    so that a good synthetic CT is read as well as a real one, and small against the faults
    that an examination must find.

    Parameters
    ----------
    rotate_deg, zoom, shift_mm
        In-plane motion: ``±rotate_deg``, a factor from ``1/(1+zoom)`` to ``1+zoom``, ``±shift_mm``.
    blur_mm
        Standard deviation of a Gaussian blur, from 0.
    noise_hu
        Standard deviation of white noise at the working spacing, from 0.
    offset_hu, scale
        ``HU -> HU * (1 ± scale) ± offset_hu``.
    """

    model_config = _STRICT

    rotate_deg: float = Field(default=8.0, ge=0, le=45)
    zoom: float = Field(default=0.1, ge=0, le=0.5)
    shift_mm: float = Field(default=12.0, ge=0)
    blur_mm: float = Field(default=2.0, ge=0)
    noise_hu: float = Field(default=20.0, ge=0)
    offset_hu: float = Field(default=20.0, ge=0)
    scale: float = Field(default=0.02, ge=0, lt=0.5)


class SegmenterSettings(BaseModel):
    """A 2.5D U-Net over axial slices: the network, its budget and its material.

    Parameters
    ----------
    working_spacing_mm
        Along x, y, z of the patient (LPS); images are resampled to it and masks back.
    slices
        Axial slices that the network sees to segment the middle one; odd.
    windows_hu
        Each slice is shown once through every window (clipped, scaled to -1 .. 1). The narrow
        one makes the organs, some ten HU apart, learnable within a small budget.
    channels
        Features of each level of the U-Net; each but the first halves the resolution.
    margin_mm
        Air that is shown around the domain.
    iterations, batch
        Most steps of the optimiser, and slices in each.
    learning_rate, weight_decay, average
        AdamW with warm-up and cosine decay; weights are averaged over about
        ``1 / (1 - average)`` steps.
    balanced
        Share of a batch drawn by structure (each structure alike), against small structures
        being drowned; the others are drawn evenly from all slices.
    validate_every, patience, validation_slices
        Early stopping: mean Dice over at most so many validation slices; training ends after
        ``patience`` validations without a better one.
    least_patients
        A structure that fewer training patients have is left out.
    least_dice
        A structure whose noise floor lies below is left out of what is registered.
    leave_out
        Structures that are not learnt; the body is found by a threshold.
    """

    model_config = _STRICT

    working_spacing_mm: tuple[float, float, float] = (3.0, 3.0, 5.0)
    slices: int = Field(default=3, ge=1, le=9)
    windows_hu: tuple[Window, ...] = ((-1000.0, 1500.0), (-150.0, 250.0), (-40.0, 100.0))
    channels: tuple[int, ...] = Field(default=(8, 16, 32, 64, 128), min_length=3, max_length=6)
    margin_mm: float = Field(default=15.0, ge=0)
    iterations: int = Field(default=500, ge=1)
    batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    average: float = Field(default=0.95, ge=0, lt=1)
    balanced: float = Field(default=0.6, ge=0, le=1)
    validate_every: int = Field(default=50, ge=1)
    patience: int = Field(default=4, ge=1)
    validation_slices: int = Field(default=60, ge=1)
    least_patients: int = Field(default=3, ge=1)
    least_dice: float = Field(default=0.5, ge=0, le=1)
    leave_out: tuple[str, ...] = ("Body", "External", "BODY", "EXTERNAL")
    disturbance: Disturbance = Disturbance()

    @field_validator("working_spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("the working spacing must be positive")
        return value

    @model_validator(mode="after")
    def _sensible(self) -> SegmenterSettings:
        if self.slices % 2 == 0:
            raise ValueError("slices must be odd: the middle one is segmented")
        check_windows(self.windows_hu)
        return self


class ExtractorSettings(BaseModel):
    """A convolutional encoder of axial slices, trained without labels.

    From a slice that was blurred, made noisy, shifted and scaled it rebuilds the untouched
    slice, and tells what was done to it; so its features speak of anatomy and of image
    quality.

    Parameters
    ----------
    working_spacing_mm
        Along x, y, z of the patient (LPS).
    field_of_view_mm
        Along x and y, centred on the mask; beyond the scan there is air.
    windows_hu
        Each slice is shown once through every window.
    channels
        Features of each level, each at half the resolution of the last; the last number is
        the number of features.
    iterations, batch, learning_rate, weight_decay, average
        As for the segmenter.
    validation_slices
        At most so many slices for the validation loss.
    disturbance
        What is done to a slice and must be told.
    """

    model_config = _STRICT

    working_spacing_mm: tuple[float, float, float] = (3.0, 3.0, 6.0)
    field_of_view_mm: tuple[float, float] = (480.0, 384.0)
    windows_hu: tuple[Window, ...] = ((-1000.0, 2000.0), (-160.0, 240.0), (-40.0, 100.0))
    channels: tuple[int, ...] = Field(default=(16, 24, 32, 48, 64), min_length=3, max_length=6)
    iterations: int = Field(default=300, ge=1)
    batch: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    average: float = Field(default=0.95, ge=0, lt=1)
    validation_slices: int = Field(default=64, ge=2)
    disturbance: Disturbance = Disturbance(
        rotate_deg=5.0,
        zoom=0.05,
        shift_mm=12.0,
        blur_mm=4.0,
        noise_hu=60.0,
        offset_hu=60.0,
        scale=0.1,
    )

    @property
    def shape(self) -> tuple[int, int]:
        """Voxels along x and y of what the network sees."""
        x, y = (
            max(1, round(size / spacing))
            for size, spacing in zip(self.field_of_view_mm, self.working_spacing_mm, strict=False)
        )
        return x, y

    @model_validator(mode="after")
    def _sensible(self) -> ExtractorSettings:
        if min(self.working_spacing_mm) <= 0 or min(self.field_of_view_mm) <= 0:
            raise ValueError("spacing and field of view must be positive")
        halvings = 2 ** len(self.channels)
        if any(n % halvings for n in self.shape):
            raise ValueError(
                f"the field of view must be a multiple of {halvings} voxels, it is "
                f"{self.shape[0]}×{self.shape[1]}"
            )
        check_windows(self.windows_hu)
        return self


def check_windows(windows: tuple[Window, ...]) -> None:
    """Raise ``ValueError`` where there is no window, or one without a width."""
    if not windows or any(high <= low for low, high in windows):
        raise ValueError("windows_hu needs at least one window, each with low < high")
