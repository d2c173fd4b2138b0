"""A flow from a regression's answer, or from the source, to the target in a few steps.

Rectified flow (Liu 2022, arXiv:2209.03003) follows a learnt velocity along straight paths; a
Brownian bridge (Li 2023, BBDM, arXiv:2205.07680) adds noise on the way that is zero at both
ends. A path that begins at a regression's answer with a little noise on it is posterior-mean
rectified flow (Ohayon 2024, PMRF, arXiv:2410.00418): the regression carries what the source says,
the flow gives back the grain and the edges that averaging took away.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.wording import count
from qa_suite.learning.loop import Player, Step
from qa_suite.learning.summary import FitSummary, Progress
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.data import Prepared
from translators.networked import NetworkTranslator, Window
from translators.networks.noising import bridge_sd, each, euler, even_places, on_path, walk_bridge
from translators.networks.residual_unet import ResidualUNet, require_residual
from translators.networks.unets import Scale, build_network
from translators.networks.windows import drawing, plane_along_z, shares
from translators.spec import FAMILIES, Block, FamilyFacts, TranslatorSpec
from translators.training.augment import Batch
from translators.training.losses import weighted_error
from translators.training.stages import train_in_turn


class BridgeSpec(Block):
    """A flow from the source, or from a regression's answer, to the target in few steps."""

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


@FAMILIES.add(
    "bridge",
    FamilyFacts(
        title="Rectified flow or Brownian bridge in a few steps",
        paired=True,
        trained_by="first the regression, then, with it frozen, the flow; AdamW, EMA each",
        uncertainty="samples of several seeds",
        reference=(
            "Liu 2022, arXiv:2209.03003; Li 2023, arXiv:2205.07680; Ohayon 2024, arXiv:2410.00418"
        ),
        needs=("network", "training", "inference"),
        blocks={"bridge": BridgeSpec},
    ),
)
class Bridge(NetworkTranslator):
    """A regression network, where the path begins with its answer, and a flow network."""

    kept: tuple[str, ...] = ("regression", "flow")
    noise_channels = 1

    def __init__(self, spec: TranslatorSpec) -> None:
        self._phase = "flow"
        if spec.own(BridgeSpec).start == "source":
            self.kept = ("flow",)
        super().__init__(spec)
        if spec.uncertainty.method == "samples" and not self.bridge.noise:
            raise_problems(
                f"Specification {spec.name}",
                ["without bridge.noise all samples are one; take another uncertainty.method"],
            )

    @cached_property
    def bridge(self) -> BridgeSpec:
        """Return the block of this family."""
        return self.spec.own(BridgeSpec)

    @cached_property
    def scale(self) -> Scale:
        """Return the scale on which the path runs."""
        return Scale.of(self.network_spec, self.spec.target)

    @cached_property
    def _shared(self) -> bool:
        return shares(self.bridge.slice_noise, self.network_spec)

    @property
    def from_regression(self) -> bool:
        """Whether the path begins at a regression's answer."""
        return self.bridge.start == "regression"

    def build(self) -> dict[str, nn.Module]:
        """Make the flow, which sees the path's image and what is set, and the regression."""
        require_residual(self.spec)
        inputs = 1
        inputs += self.network_spec.slices if self.bridge.sees_source else 0
        inputs += 1 if self.bridge.kind == "brownian" else 0
        networks: dict[str, nn.Module] = {
            "flow": ResidualUNet(self.network_spec, inputs, timed=True)
        }
        if self.from_regression:
            networks["regression"] = build_network(self.network_spec, self.spec.target)
        return networks

    # --- training: two phases, each a training of its own --------------------------------

    def fit(
        self,
        cohort: Cohort,
        folder: Path,
        *,
        workdir: Path,
        resume: bool = False,
        iterations: int | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> FitSummary:
        """Train the regression, then the flow from its best average; each has its checkpoint.

        A phase has a learning-rate schedule and an early stop of its own; iterations are counted
        through, and the figures of the regression are called ``regression_...``.
        """
        budget = self.training.iterations if iterations is None else iterations
        first = round(budget * self.bridge.regression_share) if self.from_regression else 0
        if self.from_regression and not 0 < first < budget:
            raise InputError(
                f"A budget of {count(budget, 'iteration')} leaves none for the regression or "
                f"none for the flow; bridge.regression_share is {self.bridge.regression_share:g}."
            )

        fit = partial(super().fit, cohort, folder, resume=resume, device=device)

        def train(phase: str, count: int, told: Progress | None) -> FitSummary:
            self._phase = phase
            try:
                return fit(workdir=Path(workdir) / phase, iterations=count, progress=told)
            finally:
                self._phase = "flow"

        phases = {"regression": first} if first else {}
        return train_in_turn(phases | {"flow": budget - first}, train, progress)

    def players(self) -> tuple[Player, ...]:
        """One player a phase."""
        if self._phase == "regression":
            return (Player(name="regression", moves=("regression",), loss=self._regression_loss),)
        return (Player(name="flow", moves=("flow",), loss=self._flow_loss),)

    def _regression_loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        found = networks["regression"](batch.source)
        return weighted_error(found, batch, self.training.loss.kind)

    def _flow_loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        """Error of the displacement from the beginning of the path to its end."""
        start = self._start(networks, batch.source)
        end = self.scale.inward(batch.target)
        noise = torch.randn_like(end)
        times = even_places(len(end), end.device)
        time = each(times, end)
        if self.bridge.kind == "rectified_flow":
            start = start + self._noise_sd * noise
            image = on_path(start, end, time)
        else:
            image = on_path(start, end, time) + bridge_sd(time, self._noise_sd) * noise
        found = self._pass(networks, image, times, start, batch.source)
        return weighted_error(found, replace(batch, target=end - start), self.training.loss.kind)

    def _start(self, networks: nn.ModuleDict, source: torch.Tensor) -> torch.Tensor:
        """Where the path begins, without its noise, on the network's scale."""
        if not self.from_regression:
            middle = self.network_spec.slices // 2
            return source[:, middle : middle + 1]
        with torch.no_grad():
            networks["regression"].eval()  # it stands still, batch statistics too
            return self.scale.inward(networks["regression"](source))

    def _pass(
        self,
        networks: nn.ModuleDict,
        image: torch.Tensor,
        time: torch.Tensor,
        start: torch.Tensor,
        source: torch.Tensor,
    ) -> torch.Tensor:
        seen = [image]
        if self.bridge.sees_source:
            seen.append(source)
        if self.bridge.kind == "brownian":
            seen.append(start)
        found: torch.Tensor = networks["flow"](torch.cat(seen, dim=1), time)
        return found

    @property
    def _noise_sd(self) -> float:
        return self.bridge.noise / self.scale.gain

    # --- prediction ---------------------------------------------------------------------

    def sampling_steps(self, asked: Asked) -> int:
        """Return the number of steps along the path."""
        return asked.steps or self.bridge.sampling_steps

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Walk the path; see :meth:`NetworkTranslator.infer`."""
        if asked.sampler is not None:
            raise InputError(
                f"{self.spec.name} is a bridge and has one way to walk it; the sampler "
                f"{asked.sampler!r} belongs to diffusion. Ask for steps only."
            )
        return super().infer(prepared, asked)

    def noise(self, shape: tuple[int, ...], seed: int) -> Float32Array:
        """One field of the volume; in 2D all slices may share one plane of it."""
        if self._shared:
            return plane_along_z(super().noise, shape, seed)
        return super().noise(shape, seed)

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Begin at the regression's answer or the source and walk to the target."""
        source, count = window.source, self.sampling_steps(window.asked)
        if self.from_regression:
            self.passed(len(source))
        start = self._start(networks, source)
        if self._phase == "regression":
            return self.scale.outward(start)

        def displacement(image: torch.Tensor, time: float) -> torch.Tensor:
            self.passed(len(image))
            told = torch.full((len(image),), time, device=image.device)
            return self._pass(networks, image, told, start, source)

        if self.bridge.kind == "rectified_flow":
            found = euler(displacement, start + self._noise_sd * window.noise, count)
        else:
            draw = drawing(window, shared=self._shared)
            found = walk_bridge(displacement, start, count, halfway=self._noise_sd, draw=draw)
        return self.scale.outward(found)
