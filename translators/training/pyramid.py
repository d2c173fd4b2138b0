"""Laplacian pyramids: an image as bands of detail, from fine to coarse, and what remains below.

After Burt and Adelson 1983 (IEEE Trans Commun 31:532): each band is what an image loses when it
is halved and doubled again, so bands and remainder add up to the image exactly. L1 over the
bands (Bojanowski 2018, arXiv:1707.05776) sees a lost edge that a squared error hardly feels, and a
wrong level of a whole organ at once.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from translators.training.losses import weighted_mean

_TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)  # binomial, centred between two voxels as halving needs it
_SMALLEST = 4  # voxels of an axis that is halved


def halved(image: torch.Tensor) -> torch.Tensor:
    """Smooth and halve every axis of (batch, channels, x, y[, z]) that has 4 voxels or more.

    Sums and products alone: autocast leaves them in full precision.
    """
    for axis in range(2, image.ndim):
        size = image.shape[axis]
        if size < _SMALLEST:
            continue
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, size - 1, 1)
        padded = torch.cat([first, image, *(last,) * (1 + size % 2)], dim=axis)
        count = (size + 1) // 2
        before = (slice(None),) * axis
        parts = [
            tap * padded[*before, start : start + 2 * count - 1 : 2]
            for start, tap in enumerate(_TAPS)
        ]
        image = torch.stack(parts).sum(dim=0)
    return image


def doubled(image: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Interpolate (batch, channels, ...) linearly to the spatial ``size``."""
    mode = "bilinear" if image.ndim == 4 else "trilinear"
    return functional.interpolate(image, size=tuple(size), mode=mode, align_corners=False)


def laplacian(image: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Take an image apart: ``levels`` bands from fine to coarse, and the remainder.

    Parameters
    ----------
    image
        Shape (batch, channels, x, y[, z]).
    """
    bands = []
    for _ in range(levels):
        smaller = halved(image)
        bands.append(image - doubled(smaller, image.shape[2:]))
        image = smaller
    return [*bands, image]


def rebuilt(bands: list[torch.Tensor]) -> torch.Tensor:
    """Put together what :func:`laplacian` took apart."""
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + doubled(image, band.shape[2:])
    return image


def pyramid_error(
    found: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, levels: int
) -> torch.Tensor:
    """Mean over bands and remainder of the weighted mean absolute error of each.

    The mean of a band counts alike however few voxels it has, which is Bojanowski's weight of
    4ʲ on the sum over band j.

    Parameters
    ----------
    found, target, weight
        Shape (batch, 1, x, y[, z]); the weight is halved like the images.
    """
    errors = []
    # the pyramid is linear: that of the difference is the difference of both
    for band in laplacian(found - target, levels):
        errors.append(weighted_mean(band.abs(), weight))
        weight = halved(weight)
    return torch.stack(errors).mean()
