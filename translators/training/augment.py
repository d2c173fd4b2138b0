"""Random changes of a batch of patches, on the device where the batch lies.

Geometry moves source, target and weight alike; intensity changes the source only. All
random numbers come from the generator that is passed in, so an iteration can be repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from translators.spec import AugmentationSpec

_AXIS_NUMBER = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Patches on the unit scale: (batch, channels, x, y[, z]); the weight is of the loss.

    In a paired batch source and target show the same place of the same patient. In an unpaired
    one they do not, and ``source_weight`` weighs the source as ``weight`` does the target.
    """

    source: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    source_weight: torch.Tensor | None = None

    def to(self, device: torch.device, *, channels_last: bool = False) -> Batch:
        """Move to a device; over pinned memory to a GPU, so that it need not wait."""
        if device.type == "cuda" and not self.source.is_pinned() and not self.source.is_cuda:
            return self.pinned().to(device, channels_last=channels_last)
        source = self.source.to(device, non_blocking=True)
        if channels_last:
            flat = source.ndim == 4
            source = source.contiguous(
                memory_format=torch.channels_last if flat else torch.channels_last_3d
            )
        return Batch(
            source=source,
            target=self.target.to(device, non_blocking=True),
            weight=self.weight.to(device, non_blocking=True),
            source_weight=None
            if self.source_weight is None
            else self.source_weight.to(device, non_blocking=True),
        )

    def pinned(self) -> Batch:
        """Copy to page-locked memory."""
        return Batch(
            source=self.source.pin_memory(),
            target=self.target.pin_memory(),
            weight=self.weight.pin_memory(),
            source_weight=None if self.source_weight is None else self.source_weight.pin_memory(),
        )


def augment(batch: Batch, spec: AugmentationSpec, rng: np.random.Generator) -> Batch:
    """Flip, turn, zoom and shift the patches, then change the signal of the source."""
    batch = flip(batch, spec, rng)
    if spec.rotate_deg or spec.zoom or spec.shift_voxel:
        batch = _affine(batch, spec, rng)
    return Batch(
        source=_intensity(batch.source, spec, rng), target=batch.target, weight=batch.weight
    )


def flip(batch: Batch, spec: AugmentationSpec, rng: np.random.Generator) -> Batch:
    """Flip half of the patches along each axis of the specification, all images of one alike."""
    count, spatial = batch.source.shape[0], batch.source.ndim - 2
    for name in sorted(spec.flip_axes):
        chosen = torch.from_numpy(rng.random(count) < 0.5).to(batch.source.device)
        chosen = chosen.view(-1, *(1,) * (spatial + 1))
        # in 2.5D the slices are channels: head-foot is the channel axis of the source alone
        axis = _AXIS_NUMBER[name] + 2 if _AXIS_NUMBER[name] < spatial else 1
        moved = ("source",) if axis == 1 else ("source", "target", "weight", "source_weight")
        images = {part: getattr(batch, part) for part in moved}
        batch = replace(
            batch,
            **{
                part: torch.where(chosen, image.flip(axis), image)
                for part, image in images.items()
                if image is not None
            },
        )
    return batch


def _affine(batch: Batch, spec: AugmentationSpec, rng: np.random.Generator) -> Batch:
    """Sample all three through one grid; what comes from outside a patch weighs nothing."""
    count, spatial = batch.source.shape[0], batch.source.ndim - 2
    size = batch.source.shape[2:]
    angle = np.deg2rad(rng.uniform(-spec.rotate_deg, spec.rotate_deg, count))
    zoom = np.exp(rng.uniform(-1, 1, count) * math.log1p(spec.zoom))
    shift = rng.uniform(-spec.shift_voxel, spec.shift_voxel, (count, spatial))
    matrix = np.zeros((count, spatial, spatial + 1))
    # grid_sample wants the last array axis first: rows and columns run z, y, x
    y, x = spatial - 2, spatial - 1
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    aspect = (size[0] - 1) / max(size[1] - 1, 1)  # turning in voxels, not in unit squares
    if spatial == 3:
        matrix[:, 0, 0] = 1 / zoom
    matrix[:, x, x], matrix[:, x, y] = cos, -sin / aspect
    matrix[:, y, x], matrix[:, y, y] = sin * aspect, cos
    matrix[:, :, -1] = shift[:, ::-1] * 2 / np.maximum(np.array(size[::-1]) - 1, 1)
    theta = torch.from_numpy(matrix.astype(np.float32)).to(batch.source.device)
    grid = functional.affine_grid(theta, [count, 1, *size], align_corners=True)

    def sample(image: torch.Tensor, mode: str, padding: str) -> torch.Tensor:
        return functional.grid_sample(
            image, grid, mode=mode, padding_mode=padding, align_corners=True
        )

    return Batch(
        source=sample(batch.source, "bilinear", "border"),
        target=sample(batch.target, "bilinear", "border"),
        weight=sample(batch.weight, "nearest", "zeros"),
    )


def _intensity(
    source: torch.Tensor, spec: AugmentationSpec, rng: np.random.Generator
) -> torch.Tensor:
    """Gamma, gain, smooth gain field and noise, on the signal with -1 as zero."""
    if not (spec.intensity_scale or spec.gamma or spec.bias or spec.noise):
        return source
    count, device = source.shape[0], source.device

    def each(values: np.ndarray) -> torch.Tensor:
        column = torch.from_numpy(values.astype(np.float32)).to(device)
        return column.view(-1, *(1,) * (source.ndim - 1))

    signal = (source + 1) / 2
    if spec.gamma:
        power = each(np.exp(rng.uniform(-spec.gamma, spec.gamma, count)))
        signal = torch.sign(signal) * signal.abs().clamp_min(1e-6) ** power
    if spec.intensity_scale:
        gain = 1 + rng.uniform(-spec.intensity_scale, spec.intensity_scale, count)
        signal = signal * each(gain)
    if spec.bias:
        signal = signal * _bias_field(source.shape, spec.bias, rng).to(device)
    if spec.noise:
        sigma = each(rng.uniform(0, spec.noise, count))
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(source.shape, generator=generator, device=device)
        signal = signal + sigma * noise
    return signal * 2 - 1


def _bias_field(shape: torch.Size, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Exponential of a random plane and parabola over the patch, |ln| at most ``strength``."""
    count, spatial = shape[0], len(shape) - 2
    field = np.zeros((count, 1, *shape[2:]), dtype=np.float32)
    for axis, size in enumerate(shape[2:]):
        position = np.linspace(-1, 1, size, dtype=np.float32)
        line = rng.uniform(-1, 1, (count, 1)) * position
        line = line + rng.uniform(-1, 1, (count, 1)) * (position**2 - 0.5)
        view = [count, 1, *(1,) * spatial]
        view[2 + axis] = size
        field = field + line.astype(np.float32).reshape(view)
    return torch.from_numpy(np.exp(field * (strength / (1.5 * spatial))).astype(np.float32))
