"""The specification of a translator: plain YAML, validated, stored with the model.

A specification says everything that training and prediction need beside the data: what goes
in, what comes out and in which window, the network, the training budget and the inference.
Nothing else configures a translator, so a saved specification with its weights *is* the model.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qa_suite.cohort import describe_validation
from qa_suite.errors import InputError, Problems
from qa_suite.registry import unknown_name
from qa_suite.volume import Quantity

CONFIG_FOLDER = Path(__file__).parent / "configs"

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Axis = Literal["x", "y", "z"]


class BodySpec(BaseModel):
    """How the body is found in the *source* image, where its intensities are normalised.

    The image is smoothed and thresholded between its own air and its own bright tissue,
    closed, cleared of small pieces and filled slice by slice. No reference image is used:
    in a clinic without CT there is none.
    """

    model_config = _STRICT

    smoothing_mm: float = Field(default=2.0, ge=0, description="Gaussian sigma")
    threshold_fraction: float = Field(
        default=0.10, gt=0, lt=1, description="of the way from the 1st to the 99th percentile"
    )
    closing_mm: float = Field(default=6.0, ge=0, description="radius of the closing")
    smallest_piece: float = Field(
        default=0.05, ge=0, le=1, description="pieces below this part of the largest are dropped"
    )


class SourceSpec(BaseModel):
    """What goes in, and how its scale is removed."""

    model_config = _STRICT

    modality: str = "MR"
    quantity: Quantity = "arbitrary"
    normalisation: Literal["percentile", "zscore", "window"] = Field(
        default="percentile",
        description="percentile: low and high go to -1 and 1; zscore: mean and SD to 0 and 1, "
        "both inside the body; window: the fixed values low and high go to -1 and 1",
    )
    low: float = Field(default=1.0, description="percentile, or value of the window")
    high: float = Field(default=99.0, description="percentile, or value of the window")
    clip: tuple[float, float] = Field(default=(-1.5, 3.0), description="after normalisation")
    body: BodySpec = BodySpec()

    @model_validator(mode="after")
    def _ordered(self) -> SourceSpec:
        if self.low >= self.high or self.clip[0] >= self.clip[1]:
            raise ValueError("low must be below high, in the normalisation and in clip")
        if self.normalisation == "percentile" and not 0 <= self.low < self.high <= 100:
            raise ValueError("percentiles must lie between 0 and 100")
        return self


class TargetSpec(BaseModel):
    """What comes out: its unit and the fixed window that is mapped to [-1, 1]."""

    model_config = _STRICT

    modality: str = "CT"
    quantity: Quantity = "HU"
    low: float = -1024.0
    high: float = 3000.0
    outside: float = Field(default=-1000.0, description="value of the air around the patient")
    centre: float = Field(
        default=0.0, description="value that a network output of nought stands for"
    )

    @model_validator(mode="after")
    def _inside_window(self) -> TargetSpec:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        for name in ("outside", "centre"):
            if not self.low <= getattr(self, name) <= self.high:
                raise ValueError(f"{name} must lie inside the window")
        return self


class HistogramSpec(BaseModel):
    """Settings of the ``intensity`` family."""

    model_config = _STRICT

    bins: int = Field(default=64, ge=4, le=4096)
    smallest_count: int = Field(
        default=50, ge=1, description="bins with fewer training voxels take their neighbours'"
    )


class NetworkSpec(BaseModel):
    """A U-Net of MONAI.

    ``unet`` has residual units and strided convolutions; ``dynunet`` is the encoder-decoder of
    nnU-Net, with residual blocks where ``residual_units`` is not nought.
    """

    model_config = _STRICT

    architecture: Literal["unet", "dynunet"] = "dynunet"
    dimensions: Literal["2D", "2.5D", "3D"] = "2D"
    slices: int = Field(default=1, ge=1, le=31, description="2.5D: axial slices seen at once")
    channels: tuple[int, ...] = Field(default=(16, 32, 64, 128), min_length=3)
    residual_units: int = Field(default=0, ge=0, le=8, description="a level")
    keep_z: int = Field(default=0, ge=0, description="3D: first levels that do not halve z")
    norm: Literal["batch", "instance", "group"] = "batch"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    output_gain: float = Field(
        default=0.25, gt=0, description="an output of 1 is this much of the half window"
    )

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSpec:
        if min(self.channels) < 1:
            raise ValueError("channels must be positive")
        if self.norm == "group" and any(c % 8 for c in self.channels):
            raise ValueError("group norm has 8 groups and needs channels divisible by 8")
        if self.dimensions == "2.5D" and (self.slices < 3 or self.slices % 2 == 0):
            raise ValueError(f"2.5D needs an odd number of slices from 3, got {self.slices}")
        if self.dimensions != "2.5D" and self.slices != 1:
            raise ValueError(f"slices belong to 2.5D; {self.dimensions} takes 1")
        if self.keep_z and (self.dimensions != "3D" or self.keep_z >= len(self.channels)):
            raise ValueError("keep_z belongs to 3D and must be below the number of levels")
        return self

    @property
    def axes(self) -> int:
        """Number of spatial axes of a patch: 3 for 3D, else 2."""
        return 3 if self.dimensions == "3D" else 2

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Step from each level to the next, along each spatial axis."""
        steps = range(len(self.channels) - 1)
        if self.axes == 2:
            return tuple((2, 2) for _ in steps)
        return tuple((2, 2, 1 if level < self.keep_z else 2) for level in steps)

    @property
    def divisors(self) -> tuple[int, ...]:
        """What a patch must be divisible by, along each spatial axis."""
        return tuple(math.prod(step[axis] for step in self.strides) for axis in range(self.axes))


class AugmentationSpec(BaseModel):
    """Random changes of training patches; nought switches one off."""

    model_config = _STRICT

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

    model_config = _STRICT

    kind: Literal["l1", "l2"] = "l1"
    outside_weight: float = Field(default=0.1, ge=0, description="weight outside the mask")
    bone_weight: float = Field(default=1.0, gt=0, description="weight at or above the threshold")
    bone_threshold: float = Field(default=200.0, description="in the unit of the target")


class TrainingSpec(BaseModel):
    """The budget, the optimiser and the rules of stopping."""

    model_config = _STRICT

    seed: int = Field(default=0, ge=0)
    iterations: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    patch: tuple[int, ...] = Field(description="voxels; two for 2D and 2.5D, three for 3D")
    in_body: float = Field(default=0.6, ge=0, le=1, description="part of patches on the body")
    in_bone: float = Field(default=0.3, ge=0, le=1, description="part of patches on bone")
    learning_rate: float = Field(default=1e-3, gt=0)
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

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSpec:
        if self.in_body + self.in_bone > 1 + 1e-9:
            raise ValueError("in_body and in_bone are parts of one whole and exceed 1")
        if self.amp_on_cpu and self.amp == "fp16":
            raise ValueError("the CPU has no fp16 autocast; take bf16")
        return self


class InferenceSpec(BaseModel):
    """How a whole volume is translated in windows that overlap."""

    model_config = _STRICT

    patch: tuple[int, ...] = Field(description="voxels; windows larger than the image are cut")
    overlap: float = Field(default=0.25, ge=0, lt=1, description="part of a window")
    batch: int = Field(default=8, ge=1, description="windows at once")
    air_beyond_mm: float | None = Field(
        default=None, ge=0, description="farther than this from the body of the source: air"
    )


class TranslatorSpec(BaseModel):
    """A translator, before and after training."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    family: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    description: str = ""
    direction: str = Field(pattern=r"^[A-Z0-9]+->[A-Z0-9]+$")
    anatomy: str
    working_spacing_mm: tuple[float, float, float] | None = Field(
        default=None, description="x, y, z; None: the voxels as they come"
    )
    source: SourceSpec = SourceSpec()
    target: TargetSpec = TargetSpec()
    histogram: HistogramSpec | None = None
    network: NetworkSpec | None = None
    training: TrainingSpec | None = None
    inference: InferenceSpec | None = None

    @field_validator("working_spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and min(value) <= 0:
            raise ValueError("spacings must be positive")
        return value

    @model_validator(mode="after")
    def _direction_matches(self) -> TranslatorSpec:
        expected = f"{self.source.modality}->{self.target.modality}"
        if self.direction != expected:
            raise ValueError(f"direction {self.direction} contradicts source and target {expected}")
        return self

    @model_validator(mode="after")
    def _patches_fit(self) -> TranslatorSpec:
        if self.network is None:
            return self
        for name, block in (("training", self.training), ("inference", self.inference)):
            if block is None:
                continue
            if len(block.patch) != self.network.axes:
                raise ValueError(
                    f"{name}.patch needs {self.network.axes} sizes for {self.network.dimensions}, "
                    f"got {len(block.patch)}"
                )
            divisors = self.network.divisors
            if any(n < 1 or n % d for n, d in zip(block.patch, divisors, strict=True)):
                raise ValueError(
                    f"{name}.patch must be divisible by {divisors} for "
                    f"{len(self.network.channels)} levels, got {block.patch}"
                )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the specification says."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def flat(self) -> dict[str, Any]:
        """Return one level of ``block.key`` to value, as MLflow wants parameters."""
        flat: dict[str, Any] = {}

        def visit(prefix: str, value: Any) -> None:
            if isinstance(value, dict):
                for key, inner in value.items():
                    visit(f"{prefix}.{key}" if prefix else key, inner)
            elif value is not None and value != "":
                flat[prefix] = value

        visit("", self.model_dump(mode="json"))
        return flat


def config_names() -> tuple[str, ...]:
    """Names of the specifications that come with the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))


def load_spec(path_or_name: str | Path) -> TranslatorSpec:
    """Read a specification from a YAML (or JSON) file, or by the name of a bundled one.

    Raises
    ------
    InputError
        If there is no such file or name, or it is no YAML mapping.
    Problems
        With one sentence for every unknown key or impossible value.
    """
    path = Path(path_or_name)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        path = CONFIG_FOLDER / f"{path_or_name}.yaml"
        if not path.is_file():
            sentence = unknown_name("specification", str(path_or_name), list(config_names()))
            raise InputError(f"{sentence} A path to a .yaml file is taken too.")
    if not path.is_file():
        raise InputError(f"There is no specification at {path}.")
    try:
        data = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no specification; start from one in translators/configs.")
    return parse_spec(data, subject=str(path))


def parse_spec(data: dict[str, Any], *, subject: str) -> TranslatorSpec:
    """Validate plain data as a specification; ``subject`` names it in the error."""
    try:
        return TranslatorSpec.model_validate(data)
    except ValidationError as error:
        raise Problems(subject, describe_validation(error)) from None
