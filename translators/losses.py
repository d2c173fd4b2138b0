"""Losses that several families share, on the unit scale."""

from __future__ import annotations

from typing import Literal

import torch

from translators.augment import Batch


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
    """Σ w·v / Σ w; nought where all weights are nought."""
    return (weight * values).sum() / weight.sum().clamp_min(1.0)
