"""Windows of a source, and whose noise is whose: one field for a volume, so that they agree.

In 2D each slice is a sample of its own, and neighbours that start from different noise differ
in whatever the source leaves open. Where they start from one plane of noise, and are given the
same fresh noise at every step, they differ only as their sources do. Each slice by itself is
then still a fair sample; two of them are no longer independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from qa_suite.core.arrays import Float32Array
from translators.answers import Asked
from translators.spec import NetworkSpec

SliceNoise = Literal["shared", "own"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Windows of the source on their way through a family.

    Parameters
    ----------
    source
        Normalised, shape (batch, slices, x, y) or (batch, 1, x, y, z), on the device.
    noise
        Standard normal, shape (batch, channels, x, y[, z]): cut from one field of the whole
        volume, so that windows that overlap agree; of no channels where the family needs none.
    generator
        For further noise, on the device.
    asked
        What the caller chose.
    """

    source: torch.Tensor
    noise: torch.Tensor
    generator: torch.Generator
    asked: Asked


def shares(kind: SliceNoise, network: NetworkSpec) -> bool:
    """Whether all slices share a plane of noise; in 3D there are no slices."""
    return kind == "shared" and network.axes == 2


def plane_along_z(
    make: Callable[[tuple[int, ...], int], Float32Array], shape: tuple[int, ...], seed: int
) -> Float32Array:
    """Repeat one plane of noise, made by ``make(shape, seed)``, along z: (channels, x, y, z)."""
    plane = make((*shape[:2], 1), seed)
    return np.broadcast_to(plane, (len(plane), *shape))


def drawing(window: Window, *, shared: bool) -> Callable[[], torch.Tensor]:
    """Return what draws fresh standard normal noise for windows, one call after the other.

    Where it is shared all windows get one field, and those of the next batch the same again:
    no slice depends on which others were translated with it.
    """
    device, shape, generator = window.noise.device, window.noise.shape, window.generator
    if shared:
        generator = torch.Generator(device).manual_seed(generator.initial_seed())
        shape = torch.Size((1, *shape[1:]))
    return lambda: torch.randn(shape, generator=generator, device=device)
