"""Translating a whole volume in overlapping windows, blended smoothly.

Our own: MONAI's inferer pushes its last window back instead of laying all evenly, mirrors no image
that is smaller than half a window, and gives a window of one slice no neighbours to see
(``tests/test_monai_peers.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from translators.spec import InferenceSpec, NetworkSpec

Apply = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def slide(
    image: Float32Array,
    network: NetworkSpec,
    settings: InferenceSpec,
    apply: Apply,
    *,
    noise: Float32Array | None = None,
    fixed: tuple[int | None, ...] | None = None,
) -> Float32Array:
    """Apply a network to windows of a volume and blend what they answer.

    Parameters
    ----------
    image
        Normalised source, shape (x, y, z).
    network
        Says how many axes a window has and how many slices go in.
    settings
        Window, overlap and how many windows go at once. A window larger than the image is
        cut to the smallest size that the network takes.
    apply
        From windows (batch, slices, x, y) or (batch, 1, x, y, z) and the noise in them (batch,
        fields, x, y[, z]) to (batch, 1, x, y[, z]).
    noise
        Fields of the whole volume that are cut like the image, shape (fields, x, y, z).
    fixed
        Size of the window along each of its axes, where a network takes no other, else None.
        An image that is smaller is mirrored at its borders, and the answer cut back.

    Returns
    -------
    ndarray of float32, shape (x, y, z)
        Weighted mean of all windows that cover a voxel; the weight falls linearly to the
        window's edge, so that no seam is left.
    """
    shape = np.array(image.shape)
    axes, half = network.axes, network.slices // 2
    window = [
        only or min(size, divisor * math.ceil(n / divisor))
        for size, divisor, n, only in zip(
            settings.patch, network.divisors, shape, fixed or (None,) * axes, strict=False
        )
    ]
    missing = [max(w - int(n), 0) for w, n in zip(window, shape, strict=False)]
    pad = [(m // 2, m - m // 2) for m in missing] + ([(half, half)] if axes == 2 else [])
    padded = np.pad(image, pad, mode="reflect")
    fields = np.zeros((0, *image.shape), dtype=np.float32) if noise is None else noise
    in_plane = [*pad[:2], (0, 0)] if axes == 2 else pad
    fields = np.pad(fields, [(0, 0), *in_plane], mode="reflect")
    if axes == 2:
        window, counts = [*window, 1], (*padded.shape[:2], image.shape[2])
    else:
        counts = padded.shape
    starts = [_starts(n, w, settings.overlap) for n, w in zip(counts, window, strict=True)]
    if axes == 2:
        starts[2] = list(range(image.shape[2]))
    weight = _ramp(window)
    total = np.zeros(counts, dtype=np.float32)
    norm = np.zeros(counts, dtype=np.float32)
    places = list(itertools.product(*starts))
    for first in range(0, len(places), settings.batch):
        some = places[first : first + settings.batch]
        boxes = [
            tuple(slice(a, a + w) for a, w in zip(place, window, strict=True)) for place in some
        ]
        answers = apply(
            torch.from_numpy(np.stack([_window(padded, box, half, axes) for box in boxes])),
            torch.from_numpy(np.stack([_fields(fields, box, axes) for box in boxes])),
        )
        found = answers.float().cpu().numpy()[:, 0].reshape(len(some), *window)
        for box, answer in zip(boxes, found, strict=True):
            total[box] += answer * weight
            norm[box] += weight
    blended = total / norm
    inner = [slice(before, before + int(n)) for (before, _), n in zip(pad, shape, strict=True)]
    if axes == 2:
        inner[2] = slice(None)
    return np.ascontiguousarray(blended[tuple(inner)])


def _window(padded: Float32Array, box: tuple[slice, ...], half: int, axes: int) -> Float32Array:
    if axes == 3:
        return padded[box][None]
    x, y, z = box
    return padded[x, y, z.start : z.start + 2 * half + 1].transpose(2, 0, 1)


def _fields(fields: Float32Array, box: tuple[slice, ...], axes: int) -> Float32Array:
    cut = fields[(slice(None), *box)]
    return cut if axes == 3 else cut[..., 0]


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of windows that cover an axis evenly with at least ``overlap``."""
    room = length - window
    if room <= 0:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = math.ceil(room / step) + 1
    return sorted({round(place) for place in np.linspace(0, room, count)})


def _ramp(window: list[int]) -> NDArray[np.float32]:
    weight = np.ones((), dtype=np.float32)
    for size in window:
        place = np.arange(size)
        side = np.minimum(place + 1, size - place).astype(np.float32)
        weight = np.multiply.outer(weight, side / side.max())
    return np.asarray(weight, dtype=np.float32)
