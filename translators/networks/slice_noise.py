"""Whose noise is whose: one field for a volume, so that windows and slices agree.

In 2D each slice is a sample of its own, and neighbours that start from different noise differ
in whatever the source leaves open. Where they start from one plane of noise, and are given the
same fresh noise at every step, they differ only as their sources do. Each slice by itself is
then still a fair sample; two of them are no longer independent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from qa_suite.core.arrays import Float32Array
from translators.networked import Window
from translators.spec import NetworkSpec

SliceNoise = Literal["shared", "own"]


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
