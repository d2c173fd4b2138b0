"""The U-Nets of MONAI behind one description, in 2D, 2.5D and 3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from translators.networks.residual_unet import ResidualUNet
from translators.spec import NetworkSpec, TargetSpec


class UnitNetwork(nn.Module):
    """A U-Net whose output lies on the unit scale of the target's window.

    The body's output of zero stands for the target's ``centre`` (0 HU), added in full
    precision: near zero a half-precision number resolves far less than 1 HU, near the
    window's own unit value of 0 HU (−0.49) bfloat16 would resolve 4 HU only.
    """

    def __init__(self, body: nn.Module, *, gain: float, centre: float) -> None:
        super().__init__()
        self.body = body
        self.gain = gain
        self.centre = centre

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (batch, slices, ...) to (batch, 1, ...)."""
        out: torch.Tensor = self.body(image)
        return out.float() * self.gain + self.centre


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of a network's output: zero is the target's ``centre``, one is ``gain``."""

    gain: float
    centre: float

    @classmethod
    def of(cls, spec: NetworkSpec, target: TargetSpec) -> Scale:
        """Return the scale that a specification asks for."""
        return cls(gain=spec.output_gain, centre=target.unit_centre)

    @property
    def window(self) -> tuple[float, float]:
        """Where the ends of the target's window lie on the network's scale."""
        return (-1 - self.centre) / self.gain, (1 - self.centre) / self.gain

    def inward(self, unit: torch.Tensor) -> torch.Tensor:
        """From the unit scale to the network's."""
        return (unit - self.centre) / self.gain

    def outward(self, found: torch.Tensor) -> torch.Tensor:
        """From the network's scale to the unit scale, in full precision."""
        return found.float() * self.gain + self.centre


def build_network(spec: NetworkSpec, target: TargetSpec) -> UnitNetwork:
    """Build the network of a specification; its first weights are of torch's generator."""
    scale = Scale.of(spec, target)
    return UnitNetwork(_body(spec), gain=scale.gain, centre=scale.centre)


def _body(spec: NetworkSpec) -> nn.Module:
    match spec.architecture:
        case "dynunet":
            return _dynunet(spec)
        case "residual":
            return ResidualUNet(spec, spec.slices, timed=False)
    return _unet(spec)


def _norm(spec: NetworkSpec) -> tuple[str, dict[str, Any]]:
    if spec.norm == "group":
        return ("GROUP", {"num_groups": 8})
    return (spec.norm.upper(), {"affine": True})


def _unet(spec: NetworkSpec) -> nn.Module:
    from monai.networks.nets import UNet

    features = spec.channels[0]
    network: nn.Module = UNet(
        spatial_dims=spec.axes,
        in_channels=spec.slices,
        out_channels=features,
        channels=spec.channels,
        strides=spec.strides,
        num_res_units=spec.residual_units,
        norm=_norm(spec),
        dropout=spec.dropout,
    )
    # MONAI normalises its own last layer, which would take the absolute value away
    last = nn.Conv2d(features, 1, 1) if spec.axes == 2 else nn.Conv3d(features, 1, 1)
    return nn.Sequential(network, last)


def _dynunet(spec: NetworkSpec) -> nn.Module:
    from monai.networks.nets import DynUNet

    flat = (1,) * spec.axes
    norm_name, norm_settings = _norm(spec)
    network: nn.Module = DynUNet(
        spatial_dims=spec.axes,
        in_channels=spec.slices,
        out_channels=1,
        kernel_size=[3] * len(spec.channels),
        strides=[flat, *spec.strides],
        upsample_kernel_size=list(spec.strides),
        filters=spec.channels,
        norm_name=(norm_name, norm_settings),
        dropout=spec.dropout or None,
        res_block=spec.residual_units > 0,
        trans_bias=True,
    )
    return network
