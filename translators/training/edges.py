"""Where images of two modalities have their edges, whatever the sign and height of these.

Normalised gradients (Haber and Modersitzki 2006, doi:10.1007/11866763_89): what two kinds of image
of one patient have in common is where tissues meet.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from translators.training.losses import weighted_mean

_SCALES = 2


def edge_loss(
    image: torch.Tensor,
    source: torch.Tensor,
    mask: torch.Tensor,
    *,
    image_step: float,
    source_step: float,
) -> torch.Tensor:
    """How far the edges of the source are from being edges of the image: 0 to 1.

    1 − cos² of the angle between both gradients where the source has an edge, at two scales; an
    edge may turn round or change its height, it may not vanish.

    Parameters
    ----------
    image, source
        Shape (batch, 1, x, y).
    mask
        Weight of each pixel, same shape.
    image_step, source_step
        Gradients well below these count as none, in the images' units a pixel.
    """
    parts = []
    for scale in range(_SCALES):
        if scale:
            image, source, mask = (
                functional.avg_pool2d(i, 2, ceil_mode=True) for i in (image, source, mask)
            )
        mine, theirs = _gradient(image), _gradient(source)
        strong = theirs.square().sum(dim=1, keepdim=True)
        along = (mine * theirs).sum(dim=1, keepdim=True).square()
        both = (mine.square().sum(dim=1, keepdim=True) + image_step**2) * (strong + source_step**2)
        edge = mask * strong / (strong + source_step**2)
        parts.append(weighted_mean(1 - along / both, edge))
    return torch.stack(parts).mean()


def _gradient(image: torch.Tensor) -> torch.Tensor:
    """Central differences along x and y, shape (batch, 2, x, y)."""
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    x = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    y = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    return torch.cat([x, y], dim=1) / 2
