"""Pseudo-PET by style transfer: an MR redrawn so that its statistics are those of PET images.

A small network redraws axial slices of MR. *Style* (Gatys 2016, doi:10.1109/CVPR.2016.265; by a
network that is trained, as Johnson 2016, arXiv:1603.08155) is the mean and covariance of features
over the body, to be those of the training PETs; the features are those of one layer of fixed
random filters at several scales (Ustyuzhaninov 2016, arXiv:1606.00021), so nothing is downloaded.
*Content* is where the MR has its edges (:mod:`translators.training.edges`). No MR is compared with
the PET of its own patient.

Such an image knows how PET looks and nothing of uptake: which organ is bright is the
network's choice. It serves to pretrain, never as a target that is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from qa_suite.core.arrays import Float32Array
from translators.data import Bool, from_unit
from translators.networks.sliding import slide
from translators.networks.unets import UnitNetwork, build_network
from translators.spec import AugmentationSpec, Block, InferenceSpec, NetworkSpec, TranslatorSpec
from translators.training.edges import edge_loss
from translators.training.patches import CachedPair, draw_batch

_SEED = 6_600_001  # of the random filters
_SCALES = 4
_EDGES, _HEIGHTS = 16, 16  # filters of each kind
_HIGHEST = 6.0  # standard deviations: PET has long tails
_EDGE_MR, _EDGE_PET = 0.15, 0.3  # gradients below these are noise: normalised MR; SDs of the PET
_CHANNELS = (16, 32, 64)
_RATE = 2e-3
_BATCH = 8


class PretrainingSpec(Block):
    """Pretraining on pseudo-targets made by style transfer from sources without a target."""

    share: float = Field(default=0.3, ge=0, lt=1, description="of the iterations; 0: none")
    style_iterations: int = Field(default=150, ge=1, description="of the style transfer")
    style_weight: float = Field(
        default=10.0, ge=0, description="of the statistics; the edges of the source have 1"
    )


class RandomFeatures(nn.Module):
    """One layer of fixed random filters at several scales.

    Half of the filters see edges; the others average a neighbourhood and tell how far it
    exceeds a height, so that their means know the histogram.
    """

    filters: torch.Tensor
    bias: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_SEED)
        edges = torch.randn(_EDGES, 1, 3, 3, generator=generator)
        edges = edges - edges.mean(dim=(2, 3), keepdim=True)
        edges = edges / edges.square().sum(dim=(2, 3), keepdim=True).sqrt()
        heights = torch.rand(_HEIGHTS, 1, 3, 3, generator=generator)
        heights = heights / heights.sum(dim=(2, 3), keepdim=True)
        levels = torch.linspace(-2, _HIGHEST, _HEIGHTS)
        self.register_buffer("filters", torch.cat([edges, heights]))
        self.register_buffer("bias", torch.cat([torch.zeros(_EDGES), -levels]))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features at every scale, from fine to coarse, of standardised (batch, 1, x, y)."""
        found = []
        for scale in range(_SCALES):
            if scale:
                image = functional.avg_pool2d(image, 2, ceil_mode=True)
            padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
            found.append(functional.conv2d(padded, self.filters, self.bias).relu())
        return found


Moments = list[tuple[torch.Tensor, torch.Tensor]]
"""Mean (channels,) and covariance (channels, channels) of the features, scale by scale."""


def moments(features: list[torch.Tensor], mask: torch.Tensor) -> Moments:
    """Mean and covariance of features over a mask (batch, 1, x, y), all images together."""
    found = []
    for scale, feature in enumerate(features):
        if scale:
            mask = functional.avg_pool2d(mask, 2, ceil_mode=True)
        total = mask.sum().clamp_min(1e-6)
        mean = (mask * feature).sum(dim=(0, 2, 3)) / total
        apart = feature - mean.view(1, -1, 1, 1)
        covariance = torch.einsum("bcxy,bdxy->cd", mask * apart, apart) / total
        found.append((mean, covariance))
    return found


@dataclass(frozen=True, kw_only=True)
class Style:
    """The statistics of the training PETs on the unit scale.

    Parameters
    ----------
    mean, sd
        Of the voxels in the masks; images are standardised by them.
    moments
        Of the features of all PETs together.
    """

    mean: float
    sd: float
    moments: Moments
    features: RandomFeatures

    @classmethod
    def of(cls, targets: Iterable[tuple[Float32Array, Bool]]) -> Style:
        """Measure images on the unit scale, shape (x, y, z), inside their masks."""
        pairs = list(targets)
        inside = np.concatenate([image[mask] for image, mask in pairs])
        mean, sd = float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))
        sd = max(sd, 1e-6)
        features = RandomFeatures()
        each, voxels = [], []
        for image, mask in pairs:
            slices = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[:, None]
            masks = torch.from_numpy(mask.transpose(2, 0, 1).astype(np.float32))[:, None]
            each.append(moments(features((slices - mean) / sd), masks))
            voxels.append(float(mask.sum()))
        return cls(mean=mean, sd=sd, moments=_pooled(each, voxels), features=features)

    def to(self, device: torch.device) -> Style:
        """Move to a device."""
        return Style(
            mean=self.mean,
            sd=self.sd,
            moments=[(m.to(device), c.to(device)) for m, c in self.moments],
            features=self.features.to(device),
        )

    def distance(self, unit: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How far the statistics of images (batch, 1, x, y) are from the style; 0 where equal.

        Means are compared in standard deviations of the PETs' features, covariances as
        correlations.
        """
        found = moments(self.features((unit - self.mean) / self.sd), mask)
        parts = []
        for (mean, covariance), (aim, spread) in zip(found, self.moments, strict=True):
            sd = spread.diagonal().clamp_min(1e-4).sqrt()
            parts.append(((mean - aim) / sd).square().mean())
            parts.append(((covariance - spread) / torch.outer(sd, sd)).square().mean())
        return torch.stack(parts).mean()

    def edge_loss(
        self, unit: torch.Tensor, source: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """How far the edges of the source are from being edges of the image: 0 to 1."""
        return edge_loss(
            (unit - self.mean) / self.sd, source, mask, image_step=_EDGE_PET, source_step=_EDGE_MR
        )


def _pooled(each: list[Moments], voxels: list[float]) -> Moments:
    """Join the moments of several images: mean of the covariances and covariance of the means."""
    share = torch.tensor(voxels, dtype=torch.float64) / sum(voxels)
    pooled = []
    for scale in range(_SCALES):
        means = torch.stack([found[scale][0] for found in each]).double()
        within = torch.stack([found[scale][1] for found in each]).double()
        mean = (share[:, None] * means).sum(dim=0)
        apart = means - mean
        spread = (share[:, None, None] * (within + apart[:, :, None] * apart[:, None])).sum(dim=0)
        pooled.append((mean.float(), spread.float()))
    return pooled


def flat_spec(spec: TranslatorSpec) -> TranslatorSpec:
    """Return a specification of the style network: axial slices, whatever the translator is."""
    assert spec.training is not None and spec.inference is not None
    patch = spec.training.patch[:2]
    step = 2 ** (len(_CHANNELS) - 1)
    window = tuple(step * max(1, n // step) for n in spec.inference.patch[:2])
    training = spec.training.model_copy(
        update={"patch": patch, "augmentation": AugmentationSpec(), "in_bone": 0.0, "in_body": 1.0}
    )
    network = NetworkSpec(architecture="residual", channels=_CHANNELS, norm="group")
    inference = InferenceSpec(patch=window, overlap=0.25, batch=spec.inference.batch)
    return spec.model_copy(
        update={"network": network, "training": training, "inference": inference}
    )


def style_network(spec: TranslatorSpec, style: Style | None = None) -> UnitNetwork:
    """Build the network that redraws slices; it begins at the style's mean everywhere."""
    flat = flat_spec(spec)
    assert flat.network is not None and flat.training is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED + flat.training.seed)
        network = build_network(flat.network, flat.target)
    if style is not None:
        network.centre, network.gain = style.mean, style.sd
    return network


def train_style(
    sources: tuple[CachedPair, ...], style: Style, spec: TranslatorSpec, device: torch.device
) -> UnitNetwork:
    """Learn to redraw sources in the style.

    Parameters
    ----------
    sources
        MR images, weighed by their body.
    style
        Of the training PETs.
    spec
        With a ``pretraining`` block.
    """
    settings, flat = spec.own(PretrainingSpec), flat_spec(spec)
    assert settings is not None and flat.training is not None
    network, style = style_network(spec, style).to(device).train(), style.to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    for iteration in range(settings.style_iterations):
        rng = np.random.default_rng([flat.training.seed, 40, iteration])
        batch = draw_batch(sources, flat, rng, _BATCH).to(device)
        body = batch.weight
        unit = network(batch.source)
        loss = settings.style_weight * style.distance(unit, body)
        loss = loss + style.edge_loss(unit, batch.source, body)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network.eval().requires_grad_(False)


def redrawn(
    image: Float32Array, body: Bool, network: UnitNetwork, spec: TranslatorSpec
) -> Float32Array:
    """Redraw a normalised MR, shape (x, y, z), in the unit of the target; outside stands air."""
    flat = flat_spec(spec)
    assert flat.network is not None and flat.inference is not None
    device = next(network.parameters()).device

    @torch.inference_mode()
    def apply(windows: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = network(windows.to(device))
        return found

    unit = slide(image, flat.network, flat.inference, apply)
    outside = np.float32(spec.target.outside)
    return np.where(body, from_unit(unit, spec.target), outside)
