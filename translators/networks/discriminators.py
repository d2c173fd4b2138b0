"""The patch discriminator, what it is asked, and a memory of fakes: shared by the adversarial.

A discriminator answers patch by patch whether what it sees is real (Isola et al. 2017, CVPR,
doi:10.1109/CVPR.2017.632). It judges texture and local structure; of what lies farther apart than
its receptive field it knows nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from translators.spec import Block


class AdversarialSpec(Block):
    """A patch discriminator and how its opinion is weighed."""

    loss: Literal["bce", "lsgan"] = Field(default="bce", description="lsgan: least squares")
    weight: float = Field(default=1.0, ge=0, description="of the adversarial loss")
    l1_weight: float = Field(default=100.0, ge=0, description="of the paired L1 (pix2pix)")
    channels: tuple[int, ...] = Field(
        default=(64, 128, 256, 512), min_length=1, description="of the discriminator's levels"
    )
    norm: Literal["batch", "instance", "none"] = "batch"
    rate: float = Field(default=1.0, gt=0, description="of the generator's learning rate")


def patch_discriminator(spec: AdversarialSpec, *, inputs: int, axes: int) -> nn.Sequential:
    """Build a discriminator; its first weights are of torch's generator.

    Strided 4-voxel convolutions, the last level without stride, then one map of logits. With the
    four levels of the paper each logit sees 70 voxels along each axis.

    Parameters
    ----------
    inputs
        Channels that go in.
    axes
        2 or 3 spatial axes.
    """
    convolution = nn.Conv2d if axes == 2 else nn.Conv3d
    last_kernel = 4 if axes == 2 else 3  # thin 3D patches would shrink to nothing with 4
    layers: list[nn.Module] = []
    for level, features in enumerate(spec.channels):
        strided = level == 0 or level < len(spec.channels) - 1
        kernel, stride = (4, 2) if strided else (last_kernel, 1)
        layers.append(convolution(inputs, features, kernel, stride=stride, padding=1))
        if level > 0 and spec.norm != "none":  # the first level keeps the absolute signal
            layers.append(_norm(spec.norm, features, axes))
        layers.append(nn.LeakyReLU(0.2))
        inputs = features
    layers.append(convolution(inputs, 1, last_kernel, padding=1))
    return nn.Sequential(*layers)


def _norm(name: str, features: int, axes: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(features) if axes == 2 else nn.BatchNorm3d(features)
    kind = nn.InstanceNorm2d if axes == 2 else nn.InstanceNorm3d
    return kind(features, affine=True)


def opinion_loss(
    logits: torch.Tensor, weight: torch.Tensor, *, real: bool, spec: AdversarialSpec
) -> torch.Tensor:
    """Weighted mean over the patches of how far the logits are from "real" or "fake".

    ``bce`` is the cross-entropy of Goodfellow 2014, ``lsgan`` the squared distance to 1 or 0 of
    Mao 2017 (doi:10.1109/ICCV.2017.304).

    Parameters
    ----------
    logits
        Of :func:`patch_discriminator`.
    weight
        Of the voxels, shape (batch, 1, x, y[, z]): a patch counts by the mean weight around it,
        at most 1, so that nothing is learnt from what lies outside a mask of weight zero.
    """
    logits = logits.float()
    wanted = torch.ones_like(logits) if real else torch.zeros_like(logits)
    if spec.loss == "bce":
        error = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    else:
        error = (logits - wanted).square()
    counts = weight.float().clamp(max=1)
    x, y, *z = logits.shape[2:]
    if z:
        share = functional.adaptive_avg_pool3d(counts, (x, y, z[0]))
    else:
        share = functional.adaptive_avg_pool2d(counts, (x, y))
    return (share * error).sum() / share.sum().clamp_min(1e-6)


class ImagePool:
    """Remembers fakes, so that a discriminator does not only know the latest ones.

    Each new image is shown as it is or, half of the time once the pool is full, swapped for an
    old one (Shrivastava et al. 2017, doi:10.1109/CVPR.2017.241). Random numbers come from torch's
    generator, which the training loop seeds by the iteration; the images are part of a checkpoint.

    Parameters
    ----------
    size
        Images that are remembered; zero switches the memory off.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[torch.Tensor] = []

    def swapped(self, images: torch.Tensor) -> torch.Tensor:
        """Return as many images, some of them from before; shape (batch, ...)."""
        shown = []
        for image in images.detach().clone():
            if len(self.images) < self.size:
                self.images.append(image)
            elif self.size and float(torch.rand(())) < 0.5:
                place = int(torch.randint(self.size, ()))
                image, self.images[place] = self.images[place], image
            shown.append(image)
        return torch.stack(shown)

    def state_dict(self) -> dict[str, Any]:
        """Return the images, for a checkpoint."""
        return {"images": list(self.images)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the images of a checkpoint."""
        self.images = list(state["images"])
