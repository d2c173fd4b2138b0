"""What the networks are shown: axial slices of a CT through windows, and their mild disturbance.

All random numbers of a batch come from the generator that is passed in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qa_suite.instruments.settings import AIR_HU, Disturbance, Window

if TYPE_CHECKING:
    import torch

_DEVIATIONS = 2.5  # how far a blur kernel reaches


def through_windows(hu: torch.Tensor, windows: tuple[Window, ...]) -> torch.Tensor:
    """Show slices through every window, clipped and scaled to -1 .. 1.

    Parameters
    ----------
    hu
        Shape (batch, slices, x, y).

    Returns
    -------
    tensor, shape (batch, slices * windows, x, y)
    """
    import torch

    shown = [((hu - low) * (2 / (high - low)) - 1).clamp_(-1, 1) for low, high in windows]
    return torch.cat(shown, dim=1)


def pad_to(array: torch.Tensor, multiple: int, *, value: float) -> torch.Tensor:
    """Pad the two last axes at their far end to a multiple."""
    from torch.nn import functional

    x, y = array.shape[-2:]
    return functional.pad(array, (0, -y % multiple, 0, -x % multiple), value=value)


def disturb(
    hu: torch.Tensor,
    labels: torch.Tensor | None,
    spec: Disturbance,
    spacing_mm: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Move slices and labels alike, then change the HU of the slices.

    Parameters
    ----------
    hu
        Shape (batch, slices, x, y).
    labels
        Shape (batch, structures, x, y), 0 to 1, or None.
    """
    if spec.rotate_deg or spec.zoom or spec.shift_mm:
        hu, labels = _move(hu, labels, spec, spacing_mm, rng)
    count = hu.shape[0]
    if spec.blur_mm:
        hu = blur(hu, rng.uniform(0, spec.blur_mm, count), spacing_mm)
    factor = 1 + rng.uniform(-spec.scale, spec.scale, count)
    offset = rng.uniform(-spec.offset_hu, spec.offset_hu, count)
    hu = hu * column(factor, hu) + column(offset, hu)
    if spec.noise_hu:
        hu = add_noise(hu, rng.uniform(0, spec.noise_hu, count), rng)
    return hu, labels


def column(values: NDArray[np.float64], like: torch.Tensor) -> torch.Tensor:
    """Return one number a batch entry, shaped to multiply ``like``."""
    import torch

    return torch.from_numpy(values.astype(np.float32)).to(like.device).view(-1, 1, 1, 1)


def add_noise(
    hu: torch.Tensor, sigma_hu: NDArray[np.float64], rng: np.random.Generator
) -> torch.Tensor:
    """Add white noise of its own standard deviation to each batch entry."""
    import torch

    noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
    return hu + column(sigma_hu, hu) * noise.to(hu.device)


def blur(
    hu: torch.Tensor, sigma_mm: NDArray[np.float64], spacing_mm: tuple[float, float]
) -> torch.Tensor:
    """Blur each batch entry in-plane by a Gaussian of its own width."""
    import torch
    from torch.nn import functional

    count, slices = hu.shape[:2]
    flat = hu.reshape(1, count * slices, *hu.shape[2:])
    for axis, spacing in enumerate(spacing_mm):
        sigma = np.maximum(sigma_mm / spacing, 1e-3)
        radius = max(1, math.ceil(_DEVIATIONS * float(sigma.max())))
        steps = np.arange(-radius, radius + 1)
        kernel = np.exp(-0.5 * (steps[None] / sigma[:, None]) ** 2)
        kernel /= kernel.sum(axis=1, keepdims=True)
        weight = torch.from_numpy(np.repeat(kernel, slices, axis=0).astype(np.float32))
        shape = (-1, 1, steps.size, 1) if axis == 0 else (-1, 1, 1, steps.size)
        pad = (0, 0, radius, radius) if axis == 0 else (radius, radius, 0, 0)
        padded = functional.pad(flat, pad, value=AIR_HU)
        flat = functional.conv2d(padded, weight.to(hu.device).view(*shape), groups=count * slices)
    return flat.reshape(hu.shape)


def _move(
    hu: torch.Tensor,
    labels: torch.Tensor | None,
    spec: Disturbance,
    spacing_mm: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    import torch
    from torch.nn import functional

    count, _, x, y = hu.shape
    angle = np.deg2rad(rng.uniform(-spec.rotate_deg, spec.rotate_deg, count))
    zoom = np.exp(rng.uniform(-1, 1, count) * math.log1p(spec.zoom))
    shift_mm = rng.uniform(-spec.shift_mm, spec.shift_mm, (count, 2))
    half_mm = np.array([(x - 1) * spacing_mm[0], (y - 1) * spacing_mm[1]]) / 2
    half_mm = np.maximum(half_mm, 1e-3)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1)
    turn = turn.reshape(count, 2, 2) / zoom[:, None, None]
    # from mm to grid_sample's unit square, whose coordinates come with y, the last axis, first
    unit = turn * half_mm[None, None, :] / half_mm[None, :, None]
    theta = np.zeros((count, 2, 3))
    theta[:, :, :2] = unit[:, ::-1, ::-1]
    theta[:, :, 2] = (shift_mm / half_mm)[:, ::-1]
    grid = functional.affine_grid(
        torch.from_numpy(theta.astype(np.float32)).to(hu.device),
        [count, 1, x, y],
        align_corners=True,
    )

    def sample(image: torch.Tensor) -> torch.Tensor:
        return functional.grid_sample(
            image, grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )

    moved = None if labels is None else sample(labels)
    return sample(hu - AIR_HU) + AIR_HU, moved
