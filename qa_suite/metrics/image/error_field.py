"""The signed error as a coarse field in the patient, for measures of errors that cancel.

Voxels are averaged in blocks of a few millimetres: what is looked for here is centimetres
wide. All places are taken along the grid's own axes, which :func:`qa_suite.core.volume.canonical`
has brought next to those of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Triple
from qa_suite.metrics.hallucination.fields import block_factor

if TYPE_CHECKING:
    from qa_suite.core.arrays import Float32Array
    from qa_suite.metrics.image.comparison import Comparison

_FEWEST_IN_BLOCK = 0.25  # share of a block that must be tissue for its mean error to count


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


def error_field(comparison: Comparison) -> ErrorField:
    """Average the errors of a pair in blocks; needs finite voxels in the mask."""
    from qa_suite.metrics.image.error_field_kernels import block_means

    settings = comparison.settings
    spacing = comparison.grid.spacing_mm
    factor = block_factor(spacing, settings.field_mm)
    low, high = settings.field_tissue.get(comparison.quantity, (-np.inf, np.inf))
    points = settings.water_points if comparison.quantity == "HU" else ()
    known, values = np.asarray(points, dtype=np.float64).reshape(-1, 2).T.copy()
    blocks = [-(-size // f) for size, f in zip(comparison.mask.shape, factor, strict=True)]
    means = np.zeros((5, *blocks), dtype=np.float32)
    block_means(
        comparison.reference,
        comparison.synthetic,
        comparison.mask,
        low,
        high,
        known,
        values,
        factor,
        means,
    )
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
