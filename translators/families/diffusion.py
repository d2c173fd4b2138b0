"""A paired conditional diffusion model: noise becomes a target image beside its source.

After Ho 2020 (DDPM, arXiv:2006.11239) with the source concatenated to the noisy target, as in
Saharia 2022 (Palette, doi:10.1145/3528233.3530757). One answer is a sample of the targets that
suit a source, grain and all; the mean of many approaches the conditional mean, and their
standard deviation says what the source leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.wording import count
from qa_suite.learning.loop import Player, Step
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.data import Prepared
from translators.networked import NetworkTranslator, Window
from translators.networks.noising import (
    Levels,
    clean_from,
    each,
    even_times,
    noise_levels,
    noised,
    sample,
    wanted,
)
from translators.networks.residual_unet import ResidualUNet, require_residual
from translators.networks.unets import Scale
from translators.networks.windows import drawing, plane_along_z, shares
from translators.spec import FAMILIES, Block, FamilyFacts
from translators.training.augment import Batch
from translators.training.losses import weighted_error


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of the network at a batch, all on the network's scale, shape (batch, 1, ...).

    Parameters
    ----------
    clean, noise, noisy
        The target, the noise, and both together.
    level
        Share of the target in the variance, one a sample.
    found
        What the network predicted: noise, target or v.
    """

    clean: torch.Tensor
    noise: torch.Tensor
    noisy: torch.Tensor
    level: torch.Tensor
    found: torch.Tensor


class DiffusionSpec(Block):
    """A denoising diffusion model: noise schedule, what is predicted, how it is sampled."""

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
            of = count(self.steps, "step")
            raise ValueError(f"sampling_steps cannot exceed the {of} of the process")
        return self


@FAMILIES.add(
    "diffusion",
    FamilyFacts(
        title="Conditional denoising diffusion (DDPM, DDIM)",
        paired=True,
        trained_by="AdamW on the masked denoising error, EMA, early stop on validation patients",
        uncertainty="samples of several seeds",
        reference=(
            "Ho 2020, arXiv:2006.11239; Saharia 2022, doi:10.1145/3528233.3530757; Song 2021, "
            "arXiv:2010.02502"
        ),
        needs=("network", "training", "inference"),
        blocks={"diffusion": DiffusionSpec},
    ),
)
class Diffusion(NetworkTranslator):
    """One U-Net that is told the time and takes noise off the target, seeing the source."""

    noise_channels = 1

    @cached_property
    def diffusion(self) -> DiffusionSpec:
        """Return the block of this family."""
        return self.spec.own(DiffusionSpec)

    @cached_property
    def levels(self) -> Levels:
        """Return ᾱ by time."""
        return noise_levels(self.diffusion.schedule, self.diffusion.steps)

    @cached_property
    def scale(self) -> Scale:
        """Return the scale on which noise is added."""
        return Scale.of(self.network_spec, self.spec.target)

    @cached_property
    def _shared(self) -> bool:
        return shares(self.diffusion.slice_noise, self.network_spec)

    def build(self) -> dict[str, nn.Module]:
        """One network; the noisy target goes in before the source."""
        require_residual(self.spec)
        return {
            "network": ResidualUNet(self.network_spec, 1 + self.network_spec.slices, timed=True)
        }

    # --- loss ---------------------------------------------------------------------------

    def players(self) -> tuple[Player, ...]:
        """One player, who minimises the error of what the network predicts."""
        return (Player(name="denoising", moves=("network",), loss=self._loss),)

    def _loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        return self.denoising_error(self.attempt(networks, batch), batch)

    def attempt(self, networks: nn.ModuleDict, batch: Batch) -> Attempt:
        """Add noise to the targets of a batch and let the network take it off again."""
        clean = self.scale.inward(batch.target)
        time = even_times(len(clean), self.diffusion.steps, clean.device)
        level = each(torch.from_numpy(self.levels).to(clean.device)[time], clean)
        noise = torch.randn_like(clean)
        noisy = noised(clean, noise, level)
        found = self._pass(networks, noisy, batch.source, time)
        return Attempt(clean=clean, noise=noise, noisy=noisy, level=level, found=found)

    def denoising_error(self, attempt: Attempt, batch: Batch) -> torch.Tensor:
        """Weighted error of what the network predicts."""
        aim = wanted(self.diffusion.prediction, attempt.clean, attempt.noise, attempt.level)
        return weighted_error(attempt.found, replace(batch, target=aim), self.training.loss.kind)

    def _pass(
        self, networks: nn.ModuleDict, noisy: torch.Tensor, source: torch.Tensor, time: torch.Tensor
    ) -> torch.Tensor:
        both = torch.cat([noisy, source], dim=1)
        found: torch.Tensor = networks["network"](both, time / self.diffusion.steps)
        return found

    # --- sampler ------------------------------------------------------------------------

    def sampling_steps(self, asked: Asked) -> int:
        """Return the number of denoising steps."""
        return asked.steps or self.diffusion.sampling_steps

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Draw samples; see :meth:`NetworkTranslator.infer`."""
        if self.sampling_steps(asked) > self.diffusion.steps:
            raise InputError(
                f"{self.spec.name} has {count(self.diffusion.steps, 'step')} and cannot take "
                f"{asked.steps}."
            )
        return super().infer(prepared, asked)

    def noise(self, shape: tuple[int, ...], seed: int) -> Float32Array:
        """Start from one field of the volume; in 2D all slices may share one plane of it."""
        if self._shared:
            return plane_along_z(super().noise, shape, seed)
        return super().noise(shape, seed)

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Draw one sample for each window."""
        source, settings = window.source, self.diffusion

        def denoise(noisy: torch.Tensor, time: int) -> torch.Tensor:
            self.passed(len(noisy))
            told = torch.full((len(noisy),), time, device=noisy.device)
            found = self._pass(networks, noisy, source, told)
            clean = clean_from(settings.prediction, found, noisy, float(self.levels[time]))
            return clean.clamp(*self.scale.window) if settings.clip else clean

        return self.scale.outward(
            sample(
                denoise,
                window.noise,
                self.levels,
                self.sampling_steps(window.asked),
                sampler=window.asked.sampler or settings.sampler,
                eta=settings.eta,
                draw=drawing(window, shared=self._shared),
            )
        )
