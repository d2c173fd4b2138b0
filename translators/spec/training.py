"""Training and inference: the budget, the loss, the rules of stopping, the windows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from qa_suite.learning.course import warmed_cosine
from translators.spec.strict import STRICT, Axis


class AugmentationSpec(BaseModel):
    """Random changes of training patches; zero switches one off."""

    model_config = STRICT

    flip_axes: tuple[Axis, ...] = Field(default=(), description="x is left-right, z head-foot")
    rotate_deg: float = Field(default=0.0, ge=0, le=180, description="largest, about the z axis")
    zoom: float = Field(default=0.0, ge=0, lt=1, description="largest relative change of size")
    shift_voxel: float = Field(default=0.0, ge=0, description="largest, along each axis")
    intensity_scale: float = Field(default=0.0, ge=0, lt=1, description="largest relative change")
    gamma: float = Field(default=0.0, ge=0, lt=2, description="largest |ln γ| of the signal")
    bias: float = Field(default=0.0, ge=0, lt=2, description="largest |ln| of a smooth gain field")
    noise: float = Field(default=0.0, ge=0, lt=1, description="largest SD, in the range 0 to 1")


class LossSpec(BaseModel):
    """Masked, weighted mean absolute (or squared) error."""

    model_config = STRICT

    kind: Literal["l1", "l2"] = "l1"
    outside_weight: float = Field(default=0.1, ge=0, description="weight outside the mask")
    bone_weight: float = Field(default=1.0, gt=0, description="weight at or above the threshold")
    bone_threshold: float = Field(default=200.0, description="in the unit of the target")


class TrainingSpec(BaseModel):
    """The budget, the optimiser and the rules of stopping."""

    model_config = STRICT

    seed: int = Field(default=0, ge=0)
    iterations: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    patch: tuple[int, ...] = Field(description="voxels; two for 2D and 2.5D, three for 3D")
    in_body: float = Field(default=0.6, ge=0, le=1, description="part of patches on the body")
    in_bone: float = Field(default=0.3, ge=0, le=1, description="part of patches on bone")
    accumulate: int = Field(default=1, ge=1, description="batches a step of the optimiser")
    learning_rate: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description="of Adam")
    final_rate: float = Field(default=0.01, ge=0, le=1, description="of the learning rate")
    warmup: int = Field(default=50, ge=0, description="iterations")
    weight_decay: float = Field(default=1e-4, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    loss: LossSpec = LossSpec()
    augmentation: AugmentationSpec = AugmentationSpec()
    amp: Literal["off", "bf16", "fp16"] = "off"
    amp_on_cpu: bool = Field(default=False, description="also autocast (bf16) on the CPU")
    compile: bool = Field(default=False, description="torch.compile, on the GPU only")
    channels_last: bool = True
    validate_every: int = Field(default=100, ge=1, description="iterations")
    validation_patches: int = Field(default=8, ge=1, description="fixed patches a patient")
    patience: int = Field(default=10, ge=1, description="validations without a new best")
    checkpoint_minutes: float = Field(default=5.0, ge=0, description="0: after every iteration")

    def rate(self, iteration: int, iterations: int) -> float:
        """Return the learning rate at an iteration: warm-up, then a cosine to ``final_rate``."""
        warmup = min(self.warmup, iterations // 5)
        return warmed_cosine(
            iteration,
            iterations,
            highest=self.learning_rate,
            warmup=warmup,
            full_at=warmup + 1,
            final=self.final_rate,
        )

    @property
    def advice(self) -> str:
        """What to do where a loss is not finite any more."""
        return (
            f"lower training.learning_rate ({self.learning_rate:g}) or switch training.amp "
            f"({self.amp}) off"
        )

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSpec:
        if self.in_body + self.in_bone > 1 + 1e-9:
            raise ValueError("in_body and in_bone are parts of one whole and exceed 1")
        if self.amp_on_cpu and self.amp == "fp16":
            raise ValueError("the CPU has no fp16 autocast; take bf16")
        return self


class InferenceSpec(BaseModel):
    """How a whole volume is translated in windows that overlap."""

    model_config = STRICT

    patch: tuple[int, ...] = Field(description="voxels; windows larger than the image are cut")
    overlap: float = Field(default=0.25, ge=0, lt=1, description="part of a window")
    batch: int = Field(default=8, ge=1, description="windows at once")
    air_beyond_mm: float | None = Field(
        default=None, ge=0, description="farther than this from the body of the source: air"
    )


class UncertaintySpec(BaseModel):
    """Where a translator's uncertainty comes from, and what its interval promises.

    With calibration patients the half width of the interval is set so that, for a new patient
    of the same kind, at least ``voxel_share`` of the body's voxels lie inside with probability
    ``level``. That takes n calibration patients with n / (n + 1) >= level; with fewer, the level
    that can be attained is stored and stated.
    """

    model_config = STRICT

    method: Literal["none", "ensemble", "flips", "dropout", "samples"] = "none"
    members: int = Field(
        default=1, ge=1, le=64, description="networks, passes or samples; flips: all of flip_axes"
    )
    flip_axes: tuple[Axis, ...] = Field(default=(), description="flips at test time")
    voxel_share: float = Field(default=0.95, gt=0, lt=1)
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> UncertaintySpec:
        if self.method in ("ensemble", "dropout", "samples") and self.members < 2:
            raise ValueError(f"method {self.method} needs at least two members")
        if self.method == "flips" and not self.flip_axes:
            raise ValueError("method flips needs flip_axes")
        if self.method == "none" and self.members != 1:
            raise ValueError("members belong to a method")
        return self


class SearchRange(BaseModel):
    """Values that ``qa-suite train --search`` may try for one key: a range, or a list."""

    model_config = STRICT

    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    values: tuple[float | int | str | bool, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> SearchRange:
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.values) or (self.low is None) != (self.high is None):
            raise ValueError("give low and high, or values")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
            if self.log and self.low <= 0:
                raise ValueError("a logarithmic range must be positive")
        return self
