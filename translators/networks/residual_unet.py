"""A residual U-Net that can be told a time: the network of the diffusion and bridge families.

MONAI's ``DiffusionModelUNet`` halves every axis at every level, always has attention at the
bottom and always normalises in groups; this one follows :class:`translators.spec.NetworkSpec`.
The time enters every block as a scale and a shift of its channels (FiLM; Perez 2018,
arXiv:1709.07871; Dhariwal and Nichol 2021, arXiv:2105.05233).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from qa_suite.core.errors import raise_problems
from translators.spec import NetworkSpec, TranslatorSpec

_FREQUENCIES = 32
_FASTEST = 1000.0  # radians over the whole range of times: what a DDPM of 1000 steps has


class ResidualUNet(nn.Module):
    """A U-Net of residual blocks with pre-activation.

    Parameters
    ----------
    spec
        Levels, strides, norm, dropout; ``residual_units`` blocks a level, at least one.
    inputs
        Channels in; one comes out.
    timed
        Whether :meth:`forward` is told a time.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, *, timed: bool) -> None:
        super().__init__()
        conv: Any = nn.Conv2d if spec.axes == 2 else nn.Conv3d
        turned: Any = nn.ConvTranspose2d if spec.axes == 2 else nn.ConvTranspose3d
        channels = spec.channels
        width = 4 * channels[0] if timed else 0
        self.time = _time_network(width) if timed else None
        self.first = conv(inputs, channels[0], 3, padding=1)
        self.down = nn.ModuleList([_Level(spec, here, here, width) for here in channels[:-1]])
        pairs = list(zip(channels, channels[1:], spec.strides, strict=False))
        self.coarser = nn.ModuleList(
            [conv(fine, coarse, 3, stride=step, padding=1) for fine, coarse, step in pairs]
        )
        self.bottom = _Level(spec, channels[-1], channels[-1], width)
        self.finer = nn.ModuleList(
            [turned(coarse, fine, step, stride=step) for fine, coarse, step in pairs]
        )
        self.up = nn.ModuleList([_Level(spec, 2 * here, here, width) for here in channels[:-1]])
        out = conv(channels[0], 1, 1)
        nn.init.zeros_(out.weight)  # begins at zero whatever goes in
        self.last = nn.Sequential(_norm(spec, channels[0]), nn.SiLU(), out)

    def forward(self, image: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        """Map (batch, inputs, ...) and times in [0, 1], shape (batch,), to (batch, 1, ...)."""
        told = None if self.time is None or time is None else self.time(_waves(time))
        found = self.first(image)
        kept = []
        for level, coarser in zip(self.down, self.coarser, strict=True):
            found = level(found, told)
            kept.append(found)
            found = coarser(found)
        found = self.bottom(found, told)
        for level, finer, skip in reversed(list(zip(self.up, self.finer, kept, strict=True))):
            found = level(torch.cat([finer(found), skip], dim=1), told)
        out: torch.Tensor = self.last(found)
        return out.float()


class _Level(nn.Module):
    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        count = max(spec.residual_units, 1)
        self.blocks = nn.ModuleList(
            [_Block(spec, inputs if n == 0 else outputs, outputs, width) for n in range(count)]
        )

    def forward(self, image: torch.Tensor, told: torch.Tensor | None) -> torch.Tensor:
        for block in self.blocks:
            image = block(image, told)
        return image


class _Block(nn.Module):
    """Two convolutions around which the image passes by; the time acts between them."""

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        conv = nn.Conv2d if spec.axes == 2 else nn.Conv3d
        self.norm1, self.norm2 = _norm(spec, inputs), _norm(spec, outputs)
        self.conv1 = conv(inputs, outputs, 3, padding=1)
        self.conv2 = conv(outputs, outputs, 3, padding=1)
        self.dropout = nn.Dropout(spec.dropout)
        self.past = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.film = nn.Linear(width, 2 * outputs) if width else None

    def forward(self, image: torch.Tensor, told: torch.Tensor | None) -> torch.Tensor:
        found = self.norm2(self.conv1(functional.silu(self.norm1(image))))
        if self.film is not None and told is not None:
            both = self.film(told)
            scale, shift = both.view(*both.shape, *(1,) * (image.ndim - 2)).chunk(2, dim=1)
            found = found * (1 + scale) + shift
        found = self.conv2(self.dropout(functional.silu(found)))
        out: torch.Tensor = self.past(image) + found
        return out


def _norm(spec: NetworkSpec, channels: int) -> nn.Module:
    if spec.norm == "group":
        return nn.GroupNorm(8, channels)
    flat = spec.axes == 2
    if spec.norm == "instance":
        return (nn.InstanceNorm2d if flat else nn.InstanceNorm3d)(channels, affine=True)
    return (nn.BatchNorm2d if flat else nn.BatchNorm3d)(channels)


def _time_network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
    )


def _waves(time: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of the time, from slow to fast; shape (batch, 2 · frequencies)."""
    place = torch.linspace(0, 1, _FREQUENCIES, device=time.device)
    angle = time.float()[:, None] * torch.exp(place * math.log(_FASTEST))
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def require_residual(spec: TranslatorSpec) -> None:
    """Refuse a specification whose network cannot be told a time."""
    assert spec.network is not None
    if spec.network.architecture != "residual":
        found = spec.network.architecture
        raise_problems(
            f"Specification {spec.name}",
            [
                f"the network of family {spec.family} is told a time: network.architecture must "
                f"be residual, got {found}"
            ],
        )
