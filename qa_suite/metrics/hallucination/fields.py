"""Both images on a working grid, smoothed alike: what components are searched in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.settings import HallucinationSettings

_FWHM = 2.3548  # of a Gaussian of standard deviation 1


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The pair on its working grid; all arrays have one shape.

    Parameters
    ----------
    reference, synthetic
        Smoothed images; 0 where nothing supports them.
    raw_reference, raw_synthetic
        The images averaged in blocks but not smoothed.
    reference_edges, synthetic_edges
        Gradient magnitude of the smoothed images, in HU/mm.
    source
        The source averaged in blocks, in its own unit; None where there is none.
    support
        Voxels with data: at least half of the block lies in the mask.
    domain
        Where components are looked for: the support without its border.
    to_bone_mm
        Distance of every voxel from what both smoothed images show as bone; infinite without any.
    grid
        Of the working voxels, in the patient.
    """

    reference: Float32Array
    synthetic: Float32Array
    raw_reference: Float32Array
    raw_synthetic: Float32Array
    reference_edges: Float32Array
    synthetic_edges: Float32Array
    source: Float32Array | None
    support: Mask
    domain: Mask
    to_bone_mm: Float32Array
    grid: Grid


def fields_of(pair: Pair, settings: HallucinationSettings) -> Fields | None:
    """Average the pair in blocks, smooth it inside the mask and find its edges.

    Returns None where no working voxel is at least half inside the mask.
    """
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    box = bounding_box(inside)
    if box is None:
        return None
    factor = block_factor(pair.grid.spacing_mm, settings.working_mm)
    weight = inside[box].astype(np.float32)
    share = block_mean(weight, factor)
    support = share >= 0.5
    if not support.any():
        return None
    scale = np.where(support, 1 / np.maximum(share, 0.5), 0).astype(np.float32)

    def averaged(volume: Volume) -> Float32Array:
        inner = np.where(inside[box], volume.array[box], 0).astype(np.float32)
        return block_mean(inner, factor) * scale

    reference, synthetic = averaged(pair.reference), averaged(pair.synthetic)
    grid = _working_grid(pair.grid, box, factor, support.shape)
    smooth = _Smoothing(support, grid.spacing_mm, settings.blur_mm)
    smoothed = [smooth(image) for image in (reference, synthetic)]
    edges = [_edges(image, grid.spacing_mm) for image in smoothed]
    return Fields(
        reference=smoothed[0],
        synthetic=smoothed[1],
        raw_reference=reference,
        raw_synthetic=synthetic,
        reference_edges=edges[0],
        synthetic_edges=edges[1],
        source=None if pair.source is None else averaged(pair.source),
        support=support,
        domain=_domain(support, _going_on(box, inside.shape), grid.spacing_mm, settings.border_mm),
        to_bone_mm=_distance_from(np.minimum(*smoothed) >= settings.bone_hu, grid.spacing_mm),
        grid=grid,
    )


def _distance_from(bone: Mask, spacing_mm: Triple) -> Float32Array:
    from qa_suite.imaging.distance import distance_to

    if not bone.any():
        return np.full(bone.shape, np.inf, dtype=np.float32)
    return np.asarray(distance_to(bone, spacing_mm), dtype=np.float32)


def block_factor(spacing_mm: Triple, working_mm: float) -> tuple[int, int, int]:
    """Return how many voxels along i, j, k go into one working voxel."""
    i, j, k = (max(1, int(working_mm / s + 1e-6)) for s in spacing_mm)
    return i, j, k


def block_mean(image: Float32Array, factor: tuple[int, int, int]) -> Float32Array:
    """Average blocks of ``factor`` voxels; what lies beyond the image counts as 0."""
    if factor == (1, 1, 1):
        return image
    padding = [(0, -n % f) for n, f in zip(image.shape, factor, strict=True)]
    if any(after for _, after in padding):
        image = np.pad(image, padding)
    for axis in (2, 1, 0):  # one axis at a time: the contiguous one first, which shrinks the rest
        f = factor[axis]
        if f > 1:
            shape = (*image.shape[:axis], image.shape[axis] // f, f, *image.shape[axis + 1 :])
            image = image.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    return image


def _working_grid(
    grid: Grid, box: tuple[slice, ...], factor: tuple[int, int, int], shape: tuple[int, ...]
) -> Grid:
    first = [span.start + (f - 1) / 2 for span, f in zip(box, factor, strict=True)]
    spacing = [s * f for s, f in zip(grid.spacing_mm, factor, strict=True)]
    x, y, z = grid.to_world(first)
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        origin_mm=(float(x), float(y), float(z)),
        direction=grid.direction,
        frame_of_reference=grid.frame_of_reference,
    )


class _Smoothing:
    """A Gaussian inside the support: what lies outside it does not leak in."""

    def __init__(self, support: Mask, spacing_mm: Triple, blur_mm: float) -> None:
        # the voxel has blurred already: a box of width s has the variance s²/12
        variance = (blur_mm / _FWHM) ** 2
        self.sigma = [np.sqrt(max(variance - s * s / 12, 0.0)) / s for s in spacing_mm]
        self.support = support
        self.norm = np.where(support, self._blurred(support.astype(np.float32)), 1)

    def _blurred(self, image: Float32Array) -> Float32Array:
        from scipy import ndimage

        return np.asarray(
            ndimage.gaussian_filter(image, self.sigma, mode="constant", truncate=3.0),
            dtype=np.float32,
        )

    def __call__(self, image: Float32Array) -> Float32Array:
        return np.where(self.support, self._blurred(image) / self.norm, 0).astype(np.float32)


def _edges(image: Float32Array, spacing_mm: Triple) -> Float32Array:
    """Gradient magnitude by central differences, in the image's unit per mm."""
    squared = np.zeros_like(image)
    for axis, spacing in enumerate(spacing_mm):
        if image.shape[axis] > 1:
            squared += np.gradient(image, spacing, axis=axis) ** 2
    return np.sqrt(squared)


def _going_on(box: tuple[slice, ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Say where the image goes on beyond the mask's box: 1 before and after, by axis; else 0."""
    ends = zip(box, shape, strict=True)
    return [(int(span.start > 0), int(span.stop < size)) for span, size in ends]


def _domain(
    support: Mask, going_on: list[tuple[int, int]], spacing_mm: Triple, border_mm: float
) -> Mask:
    """Return the support without its border.

    The mask's box touches its surface, which is a border there as well; the end of the image,
    which cuts the patient, is none.
    """
    from qa_suite.imaging.distance import distance_to

    around = np.pad(support, going_on)
    if around.all():
        return support
    nearest = max(border_mm, *spacing_mm)
    inner = tuple(slice(a, a + n) for (a, _), n in zip(going_on, support.shape, strict=True))
    return np.asarray(support & (distance_to(~around, spacing_mm)[inner] > nearest))
