"""The signed error in the patient: voxel by voxel, as a coarse field, and on a beam's way.

For measures of errors that cancel, voxels are averaged in blocks of a few millimetres: what is
looked for there is centimetres wide. All places are taken along the grid's own axes, which
:func:`qa_suite.core.volume.canonical` has brought next to those of the patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.metrics.base import NoValue, Pair
from qa_suite.metrics.hallucination.fields import block_factor
from qa_suite.metrics.image.cut import CutPair
from qa_suite.metrics.image.settings import ImageSettings

_TARGETS = 200  # at most so many of a slab's places; their mean is what counts
_FEWEST_TARGETS = 8
_FEWEST_IN_BLOCK = 0.25  # share of a block that must be tissue for its mean error to count


def error_maps(pair: Pair) -> dict[str, Volume]:
    """Subtract the reference from the synthetic image, voxel by voxel.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity.

    Returns
    -------
    dict of Volume
        ``signed`` (synthetic minus reference) and ``absolute``, float32, on the pair's grid
        and in its quantity. Outside the mask both are 0, as no viewer draws NaN well; the
        mask tells such a zero from a voxel without an error.

    Raises
    ------
    InputError
        If the images hold different quantities or labels, or a voxel of the mask is not
        finite in one of them.
    """
    quantity = pair.reference.quantity
    if quantity == "label" or pair.synthetic.quantity != quantity:
        raise InputError(
            f"No error map of a synthetic image of {pair.synthetic.quantity} against a reference "
            f"of {quantity}."
        )
    signed = np.zeros(pair.grid.shape, dtype=np.float32)
    reference, synthetic = (v.array[pair.mask] for v in (pair.reference, pair.synthetic))
    with np.errstate(invalid="ignore"):  # inf - inf: counted just below
        signed[pair.mask] = synthetic.astype(np.float64) - reference.astype(np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(signed)))
    if wrong:
        raise InputError(
            f"No error map: {wrong} voxels of the mask are not finite in the synthetic image or "
            "the reference; mend the images or leave these voxels out of the mask."
        )
    history = ("error map: synthetic minus reference in the mask, 0 outside",)
    return {
        name: Volume(array=array, grid=pair.grid, quantity=quantity, history=history)
        for name, array in (("signed", signed), ("absolute", np.abs(signed)))
    }


# ---------------------------------------------------------------------------------------
# In blocks


@dataclass(frozen=True, kw_only=True)
class ErrorField:
    """Mean signed error of every block of a pair.

    Parameters
    ----------
    tissue, tissue_share
        Mean of synthetic minus reference over a block's voxels of even tissue, 0 where it has
        too few, and their share of the block; shape (blocks along i, j, k).
    body, body_share
        The same over all voxels of the mask.
    density
        Difference of the electron densities relative to water, summed over the block's voxels
        of the mask and divided by all its voxels; zeros where the images are not in HU.
    spacing_mm
        Edges of a block.
    """

    tissue: Float32Array
    tissue_share: Float32Array
    body: Float32Array
    body_share: Float32Array
    density: Float32Array
    spacing_mm: Triple

    @cached_property
    def has_tissue(self) -> NDArray[np.bool_]:
        """Blocks whose mean error of even tissue counts."""
        return self.tissue_share >= _FEWEST_IN_BLOCK

    @cached_property
    def has_body(self) -> NDArray[np.bool_]:
        """Blocks whose mean error counts."""
        return self.body_share >= _FEWEST_IN_BLOCK

    @cached_property
    def places_mm(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Distances of the blocks' centres from the body's centroid along i, j, k."""
        found = []
        for axis, (count, step) in enumerate(
            zip(self.body_share.shape, self.spacing_mm, strict=True)
        ):
            others = tuple(other for other in range(3) if other != axis)
            weight = self.body_share.sum(axis=others, dtype=np.float64)
            place = np.arange(count) * float(step)
            place -= (place * weight).sum() / max(weight.sum(), 1e-12)
            shape = [1, 1, 1]
            shape[axis] = count
            found.append(place.reshape(shape))
        return found[0], found[1], found[2]


def error_field(pair: CutPair) -> ErrorField:
    """Average the errors of a pair in blocks; needs finite voxels in the mask."""
    from qa_suite.metrics.image.error_kernels import block_means

    settings = pair.settings
    spacing = pair.grid.spacing_mm
    factor = block_factor(spacing, settings.field_mm)
    low, high = settings.field_tissue.get(pair.quantity, (-np.inf, np.inf))
    points = settings.water_points if pair.quantity == "HU" else ()
    known, values = np.asarray(points, dtype=np.float64).reshape(-1, 2).T.copy()
    blocks = [-(-size // f) for size, f in zip(pair.mask.shape, factor, strict=True)]
    means = np.zeros((5, *blocks), dtype=np.float32)
    block_means(pair.reference, pair.synthetic, pair.mask, low, high, known, values, factor, means)
    tissue, tissue_share, body, body_share, density = means
    return ErrorField(
        tissue=_mean(tissue, tissue_share),
        tissue_share=tissue_share,
        body=_mean(body, body_share),
        body_share=body_share,
        density=density,
        spacing_mm=(spacing[0] * factor[0], spacing[1] * factor[1], spacing[2] * factor[2]),
    )


def _mean(total: Float32Array, share: Float32Array) -> Float32Array:
    enough = share >= _FEWEST_IN_BLOCK
    return np.where(enough, total / np.maximum(share, _FEWEST_IN_BLOCK), np.float32(0))


# ---------------------------------------------------------------------------------------
# On the way of a beam: millimetres of water, from all around


def depth_errors(
    field: ErrorField, grid: Grid, settings: ImageSettings
) -> NDArray[np.float64] | NoValue:
    """Mean water-equivalent depth error of every slab and beam, in mm.

    Returns
    -------
    ndarray, shape (slabs, beams)
        Signed: positive where the synthetic image is too dense.
    """
    axis = grid.long_axis
    share = np.moveaxis(field.body_share, axis, 0)
    density = np.moveaxis(field.density, axis, 0)
    step = field.spacing_mm[axis]
    in_plane = np.delete(np.asarray(field.spacing_mm), axis)
    angles = 2 * np.pi * np.arange(settings.beams) / settings.beams
    found = []
    for slab in _slabs(share, max(1, round(settings.slab_mm / step))):
        body = share[slab].mean(axis=0)
        targets = _targets(body, in_plane)
        if len(targets) < _FEWEST_TARGETS:
            continue
        plane = density[slab].mean(axis=0, dtype=np.float64)
        found.append([_way(plane, targets, angle, in_plane) for angle in angles])
    if not found:
        return NoValue(why="no axial slab of the body is wide enough to hold targets for beams")
    return np.asarray(found)


def _slabs(share: NDArray[Any], thickness: int) -> Iterator[slice]:
    """Part the planes that show the body into slabs of nearly equal thickness."""
    planes = np.flatnonzero(share.any(axis=(1, 2)))
    if planes.size == 0:
        return
    first, last = int(planes[0]), int(planes[-1]) + 1
    count = max(1, round((last - first) / thickness))
    edges = np.rint(np.linspace(first, last, count + 1)).astype(int)
    for begin, end in pairwise(edges):
        yield slice(int(begin), int(end))


def _targets(body: NDArray[Any], spacing_mm: NDArray[Any]) -> NDArray[np.float64]:
    """Places of the body shrunk to a third about its centroid, in mm, shape (n, 2)."""
    inside = np.argwhere(body >= 0.5)
    if len(inside) == 0:
        return np.zeros((0, 2))
    places = inside * spacing_mm
    centre = places.mean(axis=0)
    chosen = places[:: max(1, len(places) // _TARGETS)]
    return np.asarray(centre + (chosen - centre) / 3)


def _way(
    plane: NDArray[np.float64], targets: NDArray[np.float64], angle: float, spacing_mm: NDArray[Any]
) -> float:
    """Mean over the targets of the error's sum from outside to the target, in mm of water."""
    from qa_suite.metrics.image.error_kernels import along_beam

    step = float(spacing_mm.min())
    reach = float(np.hypot(*(np.asarray(plane.shape) * spacing_mm)))
    along = np.arange(0.5, reach / step) * step
    direction = np.array([np.cos(angle), np.sin(angle)])
    return float(along_beam(plane, targets, along, direction, spacing_mm) * step / len(targets))
