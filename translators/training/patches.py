"""The patch cache: training pairs in memory, and patches drawn from them.

A batch is a function of the seed and the iteration alone: an interrupted training that
carries on draws exactly what it would have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from translators.data import PreparedPair, to_unit
from translators.spec import LossSpec, NetworkSpec, TranslatorSpec
from translators.training.augment import Batch


@dataclass(frozen=True, kw_only=True)
class CachedPair:
    """One pair ready for drawing: x, y, z arrays and where body and bone lie in them."""

    patient: str
    source: Float32Array
    target: Float32Array
    mask: NDArray[np.bool_]
    weight: Float32Array
    body_index: NDArray[np.int64]
    bone_index: NDArray[np.int64]


def cache_pairs(
    pairs: tuple[PreparedPair, ...], spec: TranslatorSpec, loss: LossSpec
) -> tuple[CachedPair, ...]:
    """Put targets on the unit scale, weigh the voxels and list body and bone."""
    cached = []
    for pair in pairs:
        bone = pair.mask & (pair.target >= loss.bone_threshold)
        weight = np.where(pair.mask, 1.0, loss.outside_weight).astype(np.float32)
        weight[bone] = loss.bone_weight
        cached.append(
            CachedPair(
                patient=pair.case.patient,
                source=pair.image,
                target=to_unit(pair.target, spec.target),
                mask=pair.mask,
                weight=weight,
                body_index=np.flatnonzero(pair.mask),
                bone_index=np.flatnonzero(bone),
            )
        )
    return tuple(cached)


def draw_batch(
    pairs: tuple[CachedPair, ...], spec: TranslatorSpec, rng: np.random.Generator, count: int
) -> Batch:
    """Draw patches: patients alike, then body, bone or anywhere by the specification."""
    assert spec.training is not None and spec.network is not None
    training, network = spec.training, spec.network
    drawn = []
    for _ in range(count):
        pair = pairs[int(rng.integers(len(pairs)))]
        kind = rng.random()
        index = pair.body_index
        if kind < training.in_bone and pair.bone_index.size:
            index = pair.bone_index
        elif kind >= training.in_bone + training.in_body:
            index = np.arange(pair.source.size)
        centre = np.unravel_index(int(index[rng.integers(index.size)]), pair.source.shape)
        jitter = rng.random(3)
        drawn.append(cut_patch(pair, network, training.patch, np.array(centre), jitter))
    return stack(drawn)


def cut_patch(
    pair: CachedPair,
    network: NetworkSpec,
    patch: tuple[int, ...],
    centre: NDArray[np.int64],
    jitter: NDArray[np.float64],
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Cut one patch that holds ``centre``, at a place in it given by ``jitter`` (0 to 1).

    Returns
    -------
    source, target, weight : ndarray of float32, shape (channels, x, y[, z])
        Where the image is smaller than the patch it is mirrored, with weight zero.
    """
    size = np.array([*patch, 1] if network.axes == 2 else patch)
    shape = np.array(pair.source.shape)
    start = centre - np.floor(jitter * size).astype(int)
    room = shape - size
    start = np.where(room >= 0, np.clip(start, 0, np.maximum(room, 0)), room // 2)
    context = np.array([0, 0, network.slices // 2])
    source = _cut(pair.source, start - context, size + 2 * context, mirror=True)
    target = _cut(pair.target, start, size, mirror=True)
    weight = _cut(pair.weight, start, size, mirror=False)
    if network.axes == 3:
        return source[None], target[None], weight[None]
    return source.transpose(2, 0, 1), target.transpose(2, 0, 1), weight.transpose(2, 0, 1)


def _cut(
    array: Float32Array, start: NDArray[np.int64], size: NDArray[np.int64], *, mirror: bool
) -> Float32Array:
    stop = start + size
    shape = np.array(array.shape)
    low, high = np.maximum(start, 0), np.minimum(stop, shape)
    inner = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    missing = [(int(a - s), int(e - b)) for s, a, b, e in zip(start, low, high, stop, strict=True)]
    if not any(before or after for before, after in missing):
        return inner
    return np.pad(inner, missing, mode="reflect" if mirror else "constant")


def stack(patches: list[tuple[Float32Array, Float32Array, Float32Array]]) -> Batch:
    """Join patches to one batch of tensors."""
    source, target, weight = (
        torch.from_numpy(np.ascontiguousarray(np.stack(part)))
        for part in zip(*patches, strict=True)
    )
    return Batch(source=source, target=target, weight=weight)


def fixed_patches(
    pairs: tuple[CachedPair, ...], spec: TranslatorSpec, seed: int
) -> tuple[tuple[str, Batch], ...]:
    """Draw the patches that every validation uses, one batch a pair, weighed by the mask.

    The centres lie evenly in the body along z, so that each patient is seen from end to end.
    """
    assert spec.training is not None and spec.network is not None
    fixed = []
    for number, pair in enumerate(pairs):
        rng = np.random.default_rng([seed, number])
        by_height = pair.body_index[np.argsort(pair.body_index % pair.source.shape[2])]
        places = (np.arange(spec.training.validation_patches) + 0.5) / (
            spec.training.validation_patches
        )
        plain = CachedPair(
            patient=pair.patient,
            source=pair.source,
            target=pair.target,
            mask=pair.mask,
            weight=pair.mask.astype(np.float32),
            body_index=pair.body_index,
            bone_index=pair.bone_index,
        )
        patches = []
        for place in places:
            flat = int(by_height[int(place * by_height.size)])
            centre = np.array(np.unravel_index(flat, pair.source.shape))
            jitter = rng.uniform(0.3, 0.7, 3)
            patches.append(cut_patch(plain, spec.network, spec.training.patch, centre, jitter))
        fixed.append((pair.patient, stack(patches)))
    return tuple(fixed)
