"""A pair made ready to be measured: cut out once, and each expensive map made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import Censored, NoValue, Pair
from qa_suite.metrics.facts import MetricFunctions
from qa_suite.metrics.image.cut import CutPair
from qa_suite.metrics.image.error_field import ErrorField, depth_errors, error_field
from qa_suite.metrics.image.noise import FineDetail, find_detail
from qa_suite.metrics.image.settings import ImageSettings

if TYPE_CHECKING:
    from qa_suite.metrics.image.spectra import Spectra
    from qa_suite.metrics.image.ssim import Similarity

_NOT_FINITE = NoValue(why="not finite")


@dataclass(frozen=True, kw_only=True)
class Comparison(CutPair):
    """A cut pair with the maps that several metrics share, each made when it is first asked for."""

    @cached_property
    def prepared(self) -> tuple[Float32Array, Float32Array] | NoValue:
        """Both images for SSIM: clipped to the data range, shifted to zero, zero outside."""
        from qa_suite.metrics.image.kernels import clip_in_mask

        if isinstance(self.limits, NoValue):
            return self.limits
        if self.wrong:
            return _NOT_FINITE
        images = []
        for array in (self.reference, self.synthetic):
            image = np.empty(array.shape, dtype=np.float32)
            clip_in_mask(array, self.mask, (0, 0, 0), *self.limits, image)
            images.append(image)
        return images[0], images[1]

    @cached_property
    def similarity(self) -> Similarity | NoValue:
        """Both factors of SSIM at the mask's voxels."""
        from qa_suite.metrics.image.ssim import local_similarity

        if isinstance(self.data_range, NoValue):
            return self.data_range
        if isinstance(self.prepared, NoValue):
            return self.prepared
        return local_similarity(
            *self.prepared,
            self.mask,
            data_range=self.data_range,
            window=self.settings.ssim_window,
            k1=self.settings.ssim_k1,
            k2=self.settings.ssim_k2,
        )

    @cached_property
    def ssim(self) -> Float32Array:
        """SSIM of the mask's voxels; NaN where there is none."""
        if isinstance(self.similarity, NoValue):
            return self._nothing
        return self.similarity.ssim

    @cached_property
    def gradient(self) -> Float32Array:
        """Difference of the gradients' magnitudes, per mm; NaN without six neighbours in it."""
        from qa_suite.metrics.image.kernels import gradient_differences

        if self.wrong:
            return self._nothing
        result = np.empty(self.reference_values.size, dtype=np.float32)
        gradient_differences(
            self.reference, self.synthetic, self.mask, *self.grid.spacing_mm, result
        )
        return result

    @cached_property
    def cells(self) -> NDArray[np.uint16]:
        """Cell of the joint histogram of every voxel of the mask; needs a data range."""
        from qa_suite.metrics.image.kernels import joint_cells

        cells = np.zeros(self.reference_values.size, dtype=np.uint16)
        if not isinstance(self.limits, NoValue):
            bins = self.settings.information_bins
            width = (self.limits[1] - self.limits[0]) / bins
            joint_cells(
                self.reference_values, self.synthetic_values, self.limits[0], width, bins, cells
            )
        return cells

    @cached_property
    def spectra(self) -> Spectra | NoValue:
        """Power spectra of both images below the skin; needs finite voxels."""
        from qa_suite.metrics.image.spectra import body_spectra

        return body_spectra(self)

    @cached_property
    def field(self) -> ErrorField:
        """Mean signed error of blocks of a few millimetres; needs finite voxels."""
        return error_field(self)

    @cached_property
    def depth_errors_mm(self) -> NDArray[np.float64] | NoValue:
        """Water-equivalent depth errors by slab and beam; needs finite voxels in HU."""
        return depth_errors(self.field, self.grid, self.settings)

    @cached_property
    def fine_detail(self) -> FineDetail | NoValue:
        """Noise of both images where the reference is flattest; needs finite voxels."""
        return find_detail(self)

    @property
    def _nothing(self) -> Float32Array:
        return np.full(self.reference_values.size, np.nan, dtype=np.float32)


OF_BODY: MetricFunctions[Callable[[Comparison], tuple[float, float] | Censored | NoValue]] = (
    MetricFunctions("image")
)
"""Metrics of the whole mask: functions to a value and the share of the voxels it rests on."""


def compare(pair: Pair, settings: ImageSettings) -> Comparison:
    """Cut a pair to its mask and as far around it as any measure looks."""
    cut = bounding_box(pair.mask, margin=1) or (slice(0, 0),) * 3
    quantity = pair.reference.quantity
    limits = settings.data_range.get(quantity)
    why = f"no data range is set for {quantity} images"
    if quantity == "arbitrary" and pair.scale is None:
        limits, why = None, "the arbitrary scale of the images was not removed"
    return Comparison(
        reference=_cut(pair.reference.array, cut),
        synthetic=_cut(pair.synthetic.array, cut),
        mask=np.ascontiguousarray(pair.mask[cut]),
        offset=(cut[0].start, cut[1].start, cut[2].start),
        grid=pair.grid,
        quantity=quantity,
        limits=limits or NoValue(why=why),
        settings=settings,
    )


def _cut(array: NDArray[Any], cut: tuple[slice, ...]) -> Float32Array:
    return np.ascontiguousarray(array[cut], dtype=np.float32)
