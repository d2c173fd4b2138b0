"""A conditional GAN on pairs: a U-Net that must also look real to a patch discriminator.

Isola et al. 2017 (CVPR, doi:10.1109/CVPR.2017.632), for MR→CT Nie et al. 2017 (MICCAI,
doi:10.1007/978-3-319-66179-7_48). The discriminator sees source and answer together and so asks
whether this target belongs to this source. Where the source leaves the target open, the answer is
one plausible possibility and not their median: sharper than a regression, and able to invent.
"""

from __future__ import annotations

import torch
from torch import nn

from qa_suite.learning.loop import Player, Step
from translators.networked import NetworkTranslator, Window
from translators.networks.discriminators import AdversarialSpec, opinion_loss, patch_discriminator
from translators.networks.unets import build_network
from translators.spec import FAMILIES, FamilyFacts, TranslatorSpec
from translators.training.augment import Batch
from translators.training.losses import weighted_error


@FAMILIES.add(
    "pix2pix",
    FamilyFacts(
        title="Paired conditional GAN (pix2pix)",
        paired=True,
        trained_by="Adam for generator and patch discriminator in turn; 100·L1 + adversarial",
        uncertainty="Monte Carlo dropout, deep ensemble, or flips at test time",
        reference="Isola et al. 2017, CVPR, doi:10.1109/CVPR.2017.632",
        needs=("network", "training", "inference"),
        blocks={"adversarial": AdversarialSpec},
    ),
)
class Pix2Pix(NetworkTranslator):
    """A generator and the discriminator of pairs that it plays against."""

    kept = ("generator",)

    def __init__(self, spec: TranslatorSpec) -> None:
        self.adversarial = spec.own(AdversarialSpec)
        super().__init__(spec)

    def build(self) -> dict[str, nn.Module]:
        """One generator, one discriminator of source slices and target together."""
        generator = build_network(self.network_spec, self.spec.target)
        discriminator = patch_discriminator(
            self.adversarial, inputs=self.network_spec.slices + 1, axes=self.network_spec.axes
        )
        return {"generator": generator, "discriminator": discriminator}

    def players(self) -> tuple[Player, ...]:
        """Let the generator move first; the discriminator judges what it has just made."""
        return (
            Player(name="generator", moves=("generator",), loss=self._generator_loss),
            Player(
                name="discriminator",
                moves=("discriminator",),
                loss=self._discriminator_loss,
                rate=self.adversarial.rate,
            ),
        )

    def _generator_loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        """l1_weight·Σ w·|G(s) − t| / Σ w + weight·(how far D takes G(s) for false)."""
        fake = networks["generator"](batch.source)
        step.memory["fake"] = fake.detach()
        error = weighted_error(fake, batch, self.training.loss.kind)
        logits = networks["discriminator"](self._seen(batch, fake))
        fooled = opinion_loss(logits, batch.weight, real=True, spec=self.adversarial)
        step.figures |= {"image_error": float(error.detach()), "fooling": float(fooled.detach())}
        return self.adversarial.l1_weight * error + self.adversarial.weight * fooled

    def _discriminator_loss(
        self, networks: nn.ModuleDict, batch: Batch, step: Step
    ) -> torch.Tensor:
        """Half the error on real pairs, half on the source with what the generator made of it."""
        opinions = [
            opinion_loss(
                networks["discriminator"](self._seen(batch, target)),
                batch.weight,
                real=real,
                spec=self.adversarial,
            )
            for target, real in ((batch.target, True), (step.memory["fake"], False))
        ]
        return torch.stack(opinions).mean()

    def _seen(self, batch: Batch, target: torch.Tensor) -> torch.Tensor:
        """Source and target as one image; the target so stretched that soft tissues differ."""
        generator_scale = (target - self.spec.target.unit_centre) / self.network_spec.output_gain
        return torch.cat([batch.source, generator_scale], dim=1)

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Pass once through the generator."""
        self.passed(len(window.source))
        found: torch.Tensor = networks["generator"](window.source)
        return found
