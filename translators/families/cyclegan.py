"""Two translators that must undo each other, learnt from unpaired lists.

Zhu et al. 2017 (ICCV, doi:10.1109/ICCV.2017.244), for MR→CT Wolterink et al. 2017 (SASHIMI,
doi:10.1007/978-3-319-68127-6_2). What is learnt: answers that look like targets, from which the
source can be made again. Nothing in the loss says that bone must become bone; where several maps
between the two kinds of image satisfy both conditions, training takes one of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import raise_problems
from qa_suite.learning.loop import Player, Step
from translators.networked import Material, NetworkTranslator, Window
from translators.networks.discriminators import (
    AdversarialSpec,
    ImagePool,
    opinion_loss,
    patch_discriminator,
)
from translators.networks.unets import build_network
from translators.spec import FAMILIES, Block, FamilyFacts, SourceSpec, TranslatorSpec
from translators.spec.inverse import inverted
from translators.training.augment import Batch
from translators.training.unpaired import (
    CachedImage,
    cache_sources,
    cache_targets,
    deal,
    draw_unpaired,
    load_sources,
    load_targets,
)
from translators.training.unpaired_losses import (
    SOURCES,
    TARGETS,
    Sides,
    from_edges,
    from_neighbour,
    from_values,
    places,
    scale_of,
)


class CycleSpec(Block):
    """What ties the two directions of an unpaired translator together."""

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


UNPAIRED_FILE = "unpaired.json"

_CRITICS = ("source_critic", "target_critic")


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Sources and targets of different patients."""

    sources: tuple[CachedImage, ...]
    targets: tuple[CachedImage, ...]


@FAMILIES.add(
    "cyclegan",
    FamilyFacts(
        title="Unpaired cycle-consistent GAN (CycleGAN)",
        paired=False,
        trained_by="Adam for two generators and two patch discriminators in turn, on two lists",
        uncertainty="deep ensemble, Monte Carlo dropout, or flips at test time",
        reference="Zhu et al. 2017, ICCV, doi:10.1109/ICCV.2017.244",
        needs=("network", "training", "inference"),
        blocks={"adversarial": AdversarialSpec, "cycle": CycleSpec},
    ),
)
class CycleGAN(NetworkTranslator):
    """Generators there and back, a discriminator of each kind of image, and pools of fakes."""

    kept = ("to_target", "to_source")

    def __init__(self, spec: TranslatorSpec) -> None:
        self.adversarial, self.cycle = spec.own(AdversarialSpec), spec.own(CycleSpec)
        self._back = inverted(spec)
        raise_problems(f"Specification {spec.name}", _problems(spec, inverted(self._back).source))
        super().__init__(spec)
        self._target_scale = scale_of(spec.target, self._back.source)
        self._source_scale = scale_of(self._back.target, spec.source)
        self._pools: dict[str, ImagePool] = {}
        self.dealt: dict[str, list[str]] = {}

    def build(self) -> dict[str, nn.Module]:
        """Two generators and a discriminator of sources and one of targets."""
        generators: dict[str, nn.Module] = {
            "to_target": build_network(self.network_spec, self.spec.target),
            "to_source": build_network(self.network_spec, self._back.target),
        }
        axes = self.network_spec.axes
        inputs = 1 + axes if self.cycle.told_places else 1
        critics: dict[str, nn.Module] = {
            name: patch_discriminator(self.adversarial, inputs=inputs, axes=axes)
            for name in _CRITICS
        }
        return generators | critics

    def players(self) -> tuple[Player, ...]:
        """Both generators together, then both discriminators."""
        return (
            Player(name="generators", moves=self.kept, loss=self._generator_loss),
            Player(
                name="discriminators",
                moves=_CRITICS,
                loss=self._discriminator_loss,
                rate=self.adversarial.rate,
            ),
        )

    def extras(self) -> dict[str, Any]:
        """Return the pools of fakes."""
        self._pools = {name: ImagePool(self.cycle.pool) for name in (SOURCES, TARGETS)}
        return dict(self._pools)

    # --- material -----------------------------------------------------------------------

    def materials(self, cohort: Cohort, folder: Path) -> tuple[Material, Material | None]:
        """Deal the ``train`` patients into two lists; nothing is validated on.

        Without pairs there is no error to validate: what can be computed (how well the cycle
        closes, how alike the statistics are) also favours wrong maps. The last average is kept.
        """
        dealt = deal(cohort)
        self.dealt = dealt.patients
        loss = self.training.loss
        sources = load_sources(cohort, dealt.sources, folder, self.spec)
        targets = load_targets(cohort, dealt.targets, folder, self.spec)
        return Lists(
            sources=cache_sources(sources, loss), targets=cache_targets(targets, self.spec, loss)
        ), None

    def draw(self, material: Material, rng: np.random.Generator, device: torch.device) -> Batch:
        """Draw sources and targets independently, each augmented by itself."""
        lists: Lists = material
        return draw_unpaired(lists.sources, lists.targets, self.spec, rng, device)

    # --- losses -------------------------------------------------------------------------

    def _to_target(self, networks: nn.ModuleDict, source: torch.Tensor) -> torch.Tensor:
        return self._target_scale.seen(networks["to_target"](source))

    def _to_source(self, networks: nn.ModuleDict, target: torch.Tensor) -> torch.Tensor:
        return self._source_scale.seen(networks["to_source"](target))

    def _generator_loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        """Sum of the weighted terms; during the warm-up only of those without an adversary."""
        cycle, real = self.cycle, self._sides(batch)
        fake = Sides(
            source=self._to_source(networks, real.target),
            target=self._to_target(networks, real.source),
            source_weight=real.target_weight,  # a fake lies where the image it was made of lies
            target_weight=real.source_weight,
        )
        step.memory["fake"] = fake.detached()
        terms: dict[str, tuple[float, torch.Tensor]] = {}
        if cycle.neighbour_weight:
            terms["neighbour"] = cycle.neighbour_weight, from_neighbour(fake, real)
        if cycle.values_weight:
            terms["values"] = cycle.values_weight, from_values(fake, real)
        if cycle.edges_weight:
            terms["edges"] = cycle.edges_weight, from_edges(fake, real)
        if not self._warming(step):
            back = self._to_source(networks, fake.target), self._to_target(networks, fake.source)
            terms["fooling"] = self.adversarial.weight, self._opinion(networks, fake, real=True)
            terms["cycle"] = cycle.cycle_weight, real.distance(*back)
            if cycle.identity_weight:
                same = (
                    self._to_source(networks, real.source),
                    self._to_target(networks, real.target),
                )
                terms["identity"] = cycle.identity_weight, real.distance(*same)
        step.figures |= {name: float(value.detach()) for name, (_, value) in terms.items()}
        return torch.stack([weight * value for weight, value in terms.values()]).sum()

    def _discriminator_loss(
        self, networks: nn.ModuleDict, batch: Batch, step: Step
    ) -> torch.Tensor:
        """Half the error on real images and half on fakes, old ones among them."""
        if self._warming(step):
            moved = (p.sum() for name in _CRITICS for p in networks[name].parameters())
            return torch.stack(list(moved)).sum() * 0  # they wait, and stand still
        fake: Sides = step.memory["fake"]
        shown = fake.swapped(self._pools)
        real = self._opinion(networks, self._sides(batch), real=True)
        return (real + self._opinion(networks, shown, real=False)) / 2

    def _opinion(self, networks: nn.ModuleDict, sides: Sides, *, real: bool) -> torch.Tensor:
        """How far both discriminators are from taking what they see for real, or for false."""
        loss = []
        for critic, image, weight in (
            (networks["source_critic"], sides.source, sides.source_weight),
            (networks["target_critic"], sides.target, sides.target_weight),
        ):
            seen = torch.cat([image, places(weight)], dim=1) if self.cycle.told_places else image
            loss.append(opinion_loss(critic(seen), weight, real=real, spec=self.adversarial))
        return loss[0] + loss[1]

    def _warming(self, step: Step) -> bool:
        return step.iteration <= self.cycle.warm_up * step.iterations

    def _sides(self, batch: Batch) -> Sides:
        assert batch.source_weight is not None, "an unpaired batch weighs both sides"
        return Sides(
            source=batch.source,
            target=self._target_scale.seen(batch.target),
            source_weight=batch.source_weight,
            target_weight=batch.weight,
        )

    # --- prediction ---------------------------------------------------------------------

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Pass once through the generator from source to target."""
        self.passed(len(window.source))
        found: torch.Tensor = networks["to_target"](window.source)
        return found

    def inverse(self) -> CycleGAN | None:
        """Return the translator of the other direction: the same weights, their roles swapped."""
        other = CycleGAN(self._back)
        roles = {"to_target": "to_source", "to_source": "to_target"}
        weights: dict[str, NDArray[Any]] = {}
        for name, value in self.weights().items():
            member, role, rest = name.split(".", 2)
            weights[f"{member}.{roles[role]}.{rest}"] = value
        other.set_weights(weights)
        other.dealt = {
            "source_patients": self.dealt.get("target_patients", []),
            "target_patients": self.dealt.get("source_patients", []),
        }
        return other

    def save(self, folder: Path) -> str:
        """Write the translator, and beside it which patients gave sources and which targets."""
        digest = super().save(folder)
        if self.dealt:
            text = json.dumps(self.dealt, indent=2, sort_keys=True)
            (Path(folder) / UNPAIRED_FILE).write_text(text + "\n")
        return digest


def _problems(spec: TranslatorSpec, again: SourceSpec) -> list[str]:
    """Say what of a specification an unpaired translator cannot do."""
    problems = []
    if spec.network and spec.network.dimensions == "2.5D":
        problems.append(
            "network.dimensions must be 2D or 3D: several slices in, one out, is no way back"
        )
    if spec.own(CycleSpec).edges_weight and spec.network and spec.network.axes == 3:
        problems.append("cycle.edges_weight: edges are compared in slices; set it to 0 in 3D")
    if spec.training and spec.training.in_bone:
        problems.append(
            f"training.in_bone must be 0, got {spec.training.in_bone:g}: bone is known in targets "
            f"only, which would then show more of it than the sources do"
        )
    mine = spec.source
    have, need = ((s.low, s.high, *s.clip) for s in (mine, again))
    if not np.allclose(have, need, rtol=1e-3):
        problems.append(
            f"source has low, high and clip {have}; for the inverse to see it as the generators do "
            f"they must be {tuple(round(value, 3) for value in need)}"
        )
    return problems
