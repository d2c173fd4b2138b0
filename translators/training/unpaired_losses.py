"""Both kinds of images side by side, on one scale, and what can be asked of them without pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from translators.networks.discriminators import ImagePool
from translators.spec import SourceSpec, TargetSpec
from translators.training.edges import edge_loss
from translators.training.losses import spread_distance, weighted_mean

_EDGE_STEP = 0.03  # a pixel, of the window from -1 to 1: fat beside muscle in CT

SOURCES, TARGETS = "pool of sources", "pool of targets"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The way from the unit scale of an answer to how a source of that kind is normalised."""

    gain: float
    centre: float

    def seen(self, unit: torch.Tensor) -> torch.Tensor:
        """Put an answer where the other generator and the discriminators expect it."""
        return (unit - self.centre) / self.gain


def scale_of(target: TargetSpec, source: SourceSpec) -> Scale:
    """Find the way for one kind of image, as a target and as the source of the inverse."""
    if target.scale == "percentile":
        return Scale(gain=1.0, centre=0.0)  # both put the percentiles at -1 and 1
    half = (target.high - target.low) / 2
    middle = (source.high + source.low - target.high - target.low) / 2
    return Scale(gain=(source.high - source.low) / 2 / half, centre=middle / half)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Images of both kinds on the scale that the networks see, and their weights."""

    source: torch.Tensor
    target: torch.Tensor
    source_weight: torch.Tensor
    target_weight: torch.Tensor

    def distance(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Sum of the weighted mean absolute differences of both kinds."""
        return weighted_mean((source - self.source).abs(), self.source_weight) + weighted_mean(
            (target - self.target).abs(), self.target_weight
        )

    def detached(self) -> Sides:
        """Return the same images, for whoever may not move their maker."""
        return replace(self, source=self.source.detach(), target=self.target.detach())

    def swapped(self, pools: dict[str, ImagePool]) -> Sides:
        """Return some of these images and, with their weights, some older ones."""
        source, target = (
            pools[name].swapped(torch.cat([image, weight], dim=1))
            for name, image, weight in (
                (SOURCES, self.source, self.source_weight),
                (TARGETS, self.target, self.target_weight),
            )
        )
        return Sides(
            source=source[:, :1],
            target=target[:, :1],
            source_weight=source[:, 1:],
            target_weight=target[:, 1:],
        )


def places(weight: torch.Tensor) -> torch.Tensor:
    """Where each voxel lies from the middle of the body in its patch, one channel an axis.

    Parameters
    ----------
    weight
        Shape (batch, 1, x, y[, z]); the body is where it is 1 or more.

    Returns
    -------
    Tensor, shape (batch, axes, x, y[, z])
        1 is half the patch; the middle of the patch is taken where it holds no body.
    """
    body = (weight >= 1).to(weight.dtype)
    total = body.flatten(1).sum(1)
    channels = []
    for axis, size in enumerate(weight.shape[2:]):
        shape = [1] * weight.ndim
        shape[axis + 2] = size
        along = torch.arange(size, device=weight.device, dtype=weight.dtype).view(shape)
        sum_of = (body * along).flatten(1).sum(1)
        middle = torch.where(total > 0, sum_of / total.clamp(min=1), (size - 1) / 2)
        far = (along - middle.view(-1, *[1] * (weight.ndim - 1))) / (size / 2)
        channels.append(far.expand_as(weight))
    return torch.cat(channels, dim=1)


def from_neighbour(fake: Sides, real: Sides) -> torch.Tensor:
    """Mean squared difference from what another patient has at the same place, both kinds.

    Its minimum is the mean over the patients given what the image shows: blurred, for their
    organs do not coincide, but with every tissue on its own side of the others.
    """
    together = real.source_weight.clamp(max=1) * real.target_weight.clamp(max=1)
    apart = (fake.source - real.source).square() + (fake.target - real.target).square()
    return weighted_mean(apart, together)


def from_edges(fake: Sides, real: Sides) -> torch.Tensor:
    """How far fakes are from having their edges where the images they were made of have theirs."""
    return edge_loss(
        fake.target,
        real.source,
        real.source_weight.clamp(max=1),
        image_step=_EDGE_STEP,
        source_step=_EDGE_STEP,
    ) + edge_loss(
        fake.source,
        real.target,
        real.target_weight.clamp(max=1),
        image_step=_EDGE_STEP,
        source_step=_EDGE_STEP,
    )


def from_values(fake: Sides, real: Sides) -> torch.Tensor:
    """How far the sorted values of fakes are from those of real images, both kinds."""
    return spread_distance(
        fake.source, fake.source_weight >= 1, real.source, real.source_weight >= 1
    ) + spread_distance(fake.target, fake.target_weight >= 1, real.target, real.target_weight >= 1)
