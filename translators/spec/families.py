"""The blocks that belong to single families: what makes each of them what it is."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from translators.spec.strict import STRICT


class HistogramSpec(BaseModel):
    """Settings of the ``intensity`` family."""

    model_config = STRICT

    bins: int = Field(default=64, ge=4, le=4096)
    smallest_count: int = Field(
        default=50, ge=1, description="bins with fewer training voxels take their neighbours'"
    )


class FeaturesSpec(BaseModel):
    """The anatomical feature loss: L1 between features of a frozen segmentation network.

    The network is trained on target images of the ``train`` patients before the translator is,
    and then frozen; its SHA-256 is stored with the model. It is never the examiner's own.
    """

    model_config = STRICT

    weight: float = Field(
        default=0.5, ge=0, le=1, description="of the loss; the image has the rest"
    )
    labels: Literal["structures", "tissues"] = Field(
        default="structures",
        description="what it segments: the cohort's structures, or bands of the target's value",
    )
    bands: tuple[float, ...] = Field(
        default=(-300.0, -20.0, 150.0), description="tissues: bounds in the unit of the target"
    )
    channels: tuple[int, ...] = Field(default=(8, 16, 32), min_length=2)
    iterations: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    batch: int = Field(default=8, ge=1)


class AdversarialSpec(BaseModel):
    """A patch discriminator and how its opinion is weighed."""

    model_config = STRICT

    loss: Literal["bce", "lsgan"] = Field(default="bce", description="lsgan: least squares")
    weight: float = Field(default=1.0, ge=0, description="of the adversarial loss")
    l1_weight: float = Field(default=100.0, ge=0, description="of the paired L1 (pix2pix)")
    channels: tuple[int, ...] = Field(
        default=(64, 128, 256, 512), min_length=1, description="of the discriminator's levels"
    )
    norm: Literal["batch", "instance", "none"] = "batch"
    rate: float = Field(default=1.0, gt=0, description="of the generator's learning rate")


class CycleSpec(BaseModel):
    """What ties the two directions of an unpaired translator together."""

    model_config = STRICT

    cycle_weight: float = Field(default=10.0, ge=0)
    identity_weight: float = Field(
        default=5.0, ge=0, description="an image of the target's kind should stay as it is"
    )
    pool: int = Field(default=50, ge=0, description="fakes remembered for the discriminators")
    told_places: bool = Field(
        default=False,
        description="whether the discriminators are told how far each voxel lies from the middle "
        "of the body in its patch",
    )
    warm_up: float = Field(
        default=0.0, ge=0, lt=1, description="share of the iterations before the cycle begins"
    )
    neighbour_weight: float = Field(
        default=0.0, ge=0, description="of what lies at the same place in other patients"
    )
    values_weight: float = Field(
        default=0.0, ge=0, description="of having as much of every value as real images have"
    )
    edges_weight: float = Field(
        default=0.0, ge=0, description="2D: of having edges where the image it was made of has them"
    )

    @model_validator(mode="after")
    def _something_to_warm_up_with(self) -> CycleSpec:
        if self.warm_up and not (self.neighbour_weight or self.values_weight):
            raise ValueError("warm_up needs neighbour_weight or values_weight")
        return self


class DiffusionSpec(BaseModel):
    """A denoising diffusion model: noise schedule, what is predicted, how it is sampled."""

    model_config = STRICT

    steps: int = Field(default=1000, ge=2, description="T of the forward process")
    schedule: Literal["linear", "cosine"] = "cosine"
    prediction: Literal["epsilon", "v", "x0"] = "v"
    sampler: Literal["ddpm", "ddim"] = "ddim"
    sampling_steps: int = Field(default=20, ge=1, description="unless prediction asks otherwise")
    eta: float = Field(default=0.0, ge=0, le=1, description="DDIM: share of the DDPM's noise")
    clip: bool = Field(default=True, description="x0 is held inside the window at every step")
    slice_noise: Literal["shared", "own"] = Field(
        default="shared", description="2D: whether all slices start from one plane of noise"
    )

    @model_validator(mode="after")
    def _possible(self) -> DiffusionSpec:
        if self.sampling_steps > self.steps:
            raise ValueError(f"sampling_steps cannot exceed the {self.steps} steps of the process")
        return self


class BridgeSpec(BaseModel):
    """A flow from the source, or from a regression's answer, to the target in few steps."""

    model_config = STRICT

    kind: Literal["rectified_flow", "brownian"] = "rectified_flow"
    start: Literal["source", "regression"] = Field(
        default="regression", description="where the path begins; regression: as PMRF does"
    )
    noise: float = Field(
        default=0.03,
        ge=0,
        description="SD on the unit scale: of the noise on a rectified flow's start, or of a "
        "Brownian bridge halfway",
    )
    sees_source: bool = Field(
        default=True, description="whether the flow is shown the source beside the path's image"
    )
    slice_noise: Literal["shared", "own"] = Field(
        default="shared", description="2D: whether all slices share one plane of noise"
    )
    sampling_steps: int = Field(default=4, ge=1, description="unless prediction asks otherwise")
    regression_share: float = Field(
        default=0.5, gt=0, lt=1, description="of the iterations, spent on the regression first"
    )


class ContoursSpec(BaseModel):
    """How contours are taken from an image, and how slices are made to agree.

    A window and the heights of steps are in one unit: of the target, or of the normalised
    source, where ``source.low`` and ``source.high`` lie at -1 and 1.
    """

    model_config = STRICT

    source_window: tuple[float, float] = Field(description="fixed; values are held inside it")
    target_window: tuple[float, float] = Field(description="fixed; values are held inside it")
    source_steps: tuple[float, float] = Field(
        description="heights of a sharp step that carries a contour on, and that begins one"
    )
    target_steps: tuple[float, float] = Field(description="the same for the target")
    sigma_mm: float = Field(default=2.0, gt=0, description="of Canny's Gaussian")
    smallest_mm: float = Field(default=20.0, ge=0, description="shorter pieces are dropped")
    source_like: tuple[tuple[float, float, float], ...] = Field(
        default=(),
        description="how a source may show what has a value in the target: (value in the target's "
        "unit, darkest, brightest as the normalised source); between the values it is interpolated",
    )
    recoloured: int = Field(
        default=0,
        ge=0,
        description="sets of contours of each target in such made-up greys, beside its own",
    )
    condition: Literal["lines", "distance"] = Field(
        default="distance",
        description="lines: 1 on a contour, else 0; distance: to the nearest contour of the "
        "slice, negative outside the body",
    )
    reach_mm: float = Field(default=20.0, gt=0, description="distance that is told as 1")
    candidates: int = Field(
        default=1, ge=1, description="samples a slice; the one nearest to the contours is kept"
    )
    guidance: float = Field(
        default=0.5, ge=0, le=1, description="pull of a slice towards its finished neighbour"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ContoursSpec:
        for role in ("source", "target"):
            low, high = getattr(self, f"{role}_window")
            if low >= high:
                raise ValueError(f"{role}_window must rise, got {low:g} to {high:g}")
            small, large = getattr(self, f"{role}_steps")
            if not 0 < small <= large < high - low:
                raise ValueError(
                    f"{role}_steps must rise from above 0 to below the window's "
                    f"{high - low:g}, got {small:g} and {large:g}"
                )
        values = [value for value, _, _ in self.source_like]
        if self.recoloured and len(values) < 2:
            raise ValueError("recoloured needs two values or more in source_like")
        if any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"the values of source_like must rise, got {values}")
        if any(darkest > brightest for _, darkest, brightest in self.source_like):
            raise ValueError("source_like has a darkest grey above its brightest")
        return self


class PretrainingSpec(BaseModel):
    """Pretraining on pseudo-targets made by style transfer from sources without a target."""

    model_config = STRICT

    share: float = Field(default=0.3, ge=0, lt=1, description="of the iterations; 0: none")
    style_iterations: int = Field(default=150, ge=1, description="of the style transfer")
    style_weight: float = Field(
        default=10.0, ge=0, description="of the statistics; the edges of the source have 1"
    )


class PyramidSpec(BaseModel):
    """A Laplacian-pyramid loss: L1 of every band and of what remains, each alike."""

    model_config = STRICT

    levels: int = Field(default=3, ge=1, le=6, description="bands above what remains")
    weight: float = Field(default=1.0, ge=0, description="beside the denoising loss")


class ExternalSpec(BaseModel):
    """A translator that was not trained here: a command, an ONNX file, finished volumes."""

    model_config = STRICT

    kind: Literal["command", "container", "onnx", "folder"]
    command: tuple[str, ...] = Field(
        default=(), description="program and arguments; {source} and {output} stand for files"
    )
    image: str | None = Field(default=None, description="container: name with its digest")
    engine: Literal["docker", "podman", "apptainer"] = "docker"
    path: str | None = Field(default=None, description="onnx: the file; folder: the volumes")
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of the program, the ONNX file"
    )
    axes: str | None = Field(
        default=None, description="onnx: order of its axes, such as bcyx or bxyc; default bcxy[z]"
    )
    timeout_s: float = Field(default=600.0, gt=0)
    file_format: Literal["nifti", "mha"] = "nifti"
    other_grid: Literal["refuse", "resample"] = Field(
        default="refuse", description="folder, program: an answer of another size or spacing"
    )
