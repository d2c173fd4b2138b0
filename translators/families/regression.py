"""A U-Net that regresses the target value: 2D, 2.5D or 3D, masked and weighted.

After Han 2017 (Med Phys 44:1408, doi:10.1002/mp.12155) and Nie et al. 2017 (MICCAI,
doi:10.1007/978-3-319-66179-7_48) in spirit. Under L1 the network answers the conditional
median, so where MR and CT do not match to the voxel thin bone is lost against soft tissue;
``loss.bone_weight`` counts that error, at the price of some soft-tissue error. With a
``features`` block half of the loss is a distance of anatomical features instead, see
:mod:`translators.training.feature_loss`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.learning.loop import Player, Step
from translators.networked import NetworkTranslator, Window
from translators.networks.unets import build_network
from translators.spec import FAMILIES, FamilyFacts
from translators.training.augment import Batch
from translators.training.feature_loss import FeatureLoss, FeaturesSpec, train_features
from translators.training.losses import weighted_error


@FAMILIES.add(
    "regression",
    FamilyFacts(
        title="U-Net with masked, weighted L1",
        paired=True,
        trained_by="AdamW, cosine schedule with warm-up, EMA, early stop on validation patients",
        uncertainty="deep ensemble, or flips at test time",
        reference="Han 2017, Med Phys 44:1408, doi:10.1002/mp.12155",
        needs=("network", "training", "inference"),
        blocks={"features": FeaturesSpec},
        takes=("features",),
    ),
)
class Regression(NetworkTranslator):
    """One U-Net (or an ensemble of them) from source to target."""

    _features: FeatureLoss | None = None

    def build(self) -> dict[str, nn.Module]:
        """One network."""
        return {"network": build_network(self.network_spec, self.spec.target)}

    def players(self) -> tuple[Player, ...]:
        """One player, who minimises the weighted error."""
        return (Player(name="regression", moves=("network",), loss=self._loss),)

    def before_fit(
        self, cohort: Cohort, folder: Path, *, workdir: Path, device: torch.device
    ) -> None:
        """Train the frozen network of the feature loss, where the specification has one."""
        if self.spec.find(FeaturesSpec) is not None:
            self._features = train_features(cohort, folder, self.spec, device)

    def loss_networks(self) -> frozenset[str]:
        """SHA-256 of the network of the feature loss, where it was trained with one."""
        return frozenset() if self._features is None else frozenset({self._features.sha256})

    def _loss(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        found = networks["network"](batch.source)
        image = weighted_error(found, batch, self.training.loss.kind)
        if self._features is None:
            return image
        anatomy = self._features(found, batch)
        step.figures |= {
            "image_loss": float(image.detach()),
            "feature_loss": float(anatomy.detach()),
        }
        share = self.spec.own(FeaturesSpec).weight
        return (1 - share) * image + share * anatomy

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Pass once through the network."""
        self.passed(len(window.source))
        found: torch.Tensor = networks["network"](window.source)
        return found
