"""The network of the feature extractor (a module of its own, because it needs torch at once)."""

from __future__ import annotations

import itertools

import torch
from torch import nn

TOLD = 4
"""What the judge tells of a slice: blur, noise, scale and offset, each 0 to 1."""


class Encoder(nn.Module):
    """Strided convolutions, with a decoder and a judge of what was done to the slice.

    Parameters
    ----------
    windows
        Channels of what is seen.
    channels
        Features of each level; each halves the resolution.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, *, windows: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        count = channels[-1]
        self.encoder = nn.Sequential(
            *(_down(a, b) for a, b in itertools.pairwise((windows, *channels)))
        )
        back = channels[::-1][:-1]
        self.decoder = nn.Sequential(
            *(_up(a, b) for a, b in itertools.pairwise(back)), nn.Conv2d(back[-1], windows, 1)
        )
        self.judge = nn.Sequential(nn.Linear(count, 32), nn.SiLU(), nn.Linear(32, TOLD))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rebuild the slice at a quarter of its resolution, and tell what was done to it.

        Parameters
        ----------
        seen
            Shape (batch, windows, x, y); x and y are multiples of two to the number of levels.

        Returns
        -------
        tuple
            Shapes (batch, windows, x/4, y/4) and (batch, 4).
        """
        deep: torch.Tensor = self.encoder(seen)
        return self.decoder(deep), self.judge(deep.mean(dim=(2, 3)))

    def features(self, seen: torch.Tensor) -> torch.Tensor:
        """Return the standardised mean of the last map, shape (batch, channels[-1])."""
        deep: torch.Tensor = self.encoder(seen)
        return (deep.mean(dim=(2, 3)) - self.mean) / self.deviation


def _down(a: int, b: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(a, b, 3, stride=2, padding=1),
        nn.BatchNorm2d(b),
        nn.SiLU(),
        nn.Conv2d(b, b, 3, padding=1),
        nn.BatchNorm2d(b),
        nn.SiLU(),
    )


def _up(a: int, b: int) -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(a, b, 3, padding=1),
        nn.BatchNorm2d(b),
        nn.SiLU(),
    )
