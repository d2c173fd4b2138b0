"""A pair cut to the surroundings of its mask: what every image metric begins from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Quantity
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.settings import ImageSettings


@dataclass(frozen=True, kw_only=True)
class CutPair:
    """A pair, cut to the surroundings of its mask.

    Parameters
    ----------
    reference, synthetic
        float32, of the cut's shape.
    mask
        bool, of the cut's shape.
    offset
        Index in the image of the cut's first voxel.
    grid
        Of the whole image.
    quantity
        Of both images.
    limits
        Data range of the quantity, or why there is none.
    settings
        Of the image measures.
    """

    reference: Float32Array
    synthetic: Float32Array
    mask: NDArray[np.bool_]
    offset: tuple[int, int, int]
    grid: Grid
    quantity: Quantity
    limits: tuple[float, float] | NoValue
    settings: ImageSettings

    @cached_property
    def reference_values(self) -> Float32Array:
        """Values of the mask's voxels, shape (voxels in the mask,)."""
        return np.asarray(self.reference[self.mask])

    @cached_property
    def synthetic_values(self) -> Float32Array:
        """Values of the mask's voxels, shape (voxels in the mask,)."""
        return np.asarray(self.synthetic[self.mask])

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """Whether both values are finite, shape (voxels in the mask,)."""
        return np.isfinite(self.reference_values) & np.isfinite(self.synthetic_values)

    @cached_property
    def absolute_error(self) -> Float32Array:
        """Absolute difference of the mask's voxels, shape (voxels in the mask,)."""
        return np.abs(self.synthetic_values - self.reference_values)

    @cached_property
    def wrong(self) -> int:
        """Voxels of the mask that are not finite in one of the images."""
        return int(self.finite.size - np.count_nonzero(self.finite))

    @property
    def data_range(self) -> float | NoValue:
        """Highest minus lowest value of the quantity, or why there is none."""
        if isinstance(self.limits, NoValue):
            return self.limits
        return self.limits[1] - self.limits[0]

    @cached_property
    def depth_mm(self) -> Float32Array:
        """Depth below the mask's surface, of the cut's shape, as deep as anybody asks."""
        from qa_suite.imaging.depth import depth_in

        settings = self.settings
        cap = max(*settings.shells_mm, settings.skin_mm + settings.taper_mm, 0.0) + 1.0
        return depth_in(self.mask, self.grid.spacing_mm, cap_mm=cap)
