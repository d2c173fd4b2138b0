"""Losses that several families share, on the unit scale."""

from __future__ import annotations

from typing import Literal

import torch

from translators.training.augment import Batch


def weighted_error(
    found: torch.Tensor, batch: Batch, kind: Literal["l1", "l2"] = "l1"
) -> torch.Tensor:
    """Weighted mean of absolute or squared errors: Σ w·|found − target| / Σ w.

    Parameters
    ----------
    found
        The answer, shape of ``batch.target``.
    """
    difference = found - batch.target
    error = difference.abs() if kind == "l1" else difference.square()
    return weighted_mean(error, batch.weight)


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Σ w·v / Σ w; zero where all weights are zero."""
    return (weight * values).sum() / weight.sum().clamp_min(1.0)


def spread_distance(
    found: torch.Tensor, found_mask: torch.Tensor, real: torch.Tensor, real_mask: torch.Tensor
) -> torch.Tensor:
    """Mean distance of the sorted values of two images inside their own masks.

    The 1-Wasserstein distance of the two distributions of values, at 257 quantiles: zero where
    both have as much of every value, wherever it lies. The images need not be of one patient.
    Zero too where one of the masks is empty.
    """
    if not (found_mask.any() and real_mask.any()):
        return found.sum() * 0
    shares = torch.linspace(0, 1, 257, device=found.device)
    mine, theirs = (
        torch.quantile(image[mask].float(), shares)
        for image, mask in ((found, found_mask), (real, real_mask))
    )
    return (mine - theirs).abs().mean()
