"""One patient without a reference, and what several checks look at, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume, canonical, require_same_grid
from qa_suite.imaging.body import OUTLINE, body_of, signal_level
from qa_suite.imaging.boxes import box_mask, data_box
from qa_suite.imaging.masks import eroded
from qa_suite.imaging.robust import thinned
from qa_suite.metrics.reference_free.norms import Norms, describe
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

Codes = NDArray[np.uint8]
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is known of a patient in the clinic: no reference, and no mask made from one.

    Parameters
    ----------
    synthetic
        The synthetic image.
    source
        The image it was made from, on the same grid, or None.
    prediction
        The translator's whole answer (std, samples), or None.
    norms
        What the training cohort looks like, or None.
    inverse
        From the synthetic image back to the source's modality, or None.
    without
        Why norms or inverse are absent, by their name.

    Raises
    ------
    GeometryError
        If the two images lie on different grids.
    """

    synthetic: Volume
    source: Volume | None = None
    prediction: Prediction | None = None
    norms: Norms | None = None
    inverse: Callable[[Volume], Volume] | None = None
    without: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.source is not None:
            require_same_grid({"the source": self.source, "the synthetic image": self.synthetic})


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A patient on canonical axes, with what the checks share.

    Every property is computed when it is first asked for. Those of the source raise where
    there is none; a check names what it needs (:mod:`.checks`) and is not called without.
    """

    patient: Patient
    settings: ReferenceFreeSettings

    @cached_property
    def synthetic(self) -> Volume:
        """The synthetic image, float32, on canonical axes."""
        return _prepared(self.patient.synthetic)

    @cached_property
    def source(self) -> Volume:
        """The source image, float32, on canonical axes."""
        if self.patient.source is None:
            raise ValueError("there is no source image")
        return _prepared(self.patient.source)

    @property
    def grid(self) -> Grid:
        """The grid that both share, canonical."""
        return self.synthetic.grid

    @property
    def hu(self) -> Float32Array:
        """Values of the synthetic image."""
        return self.synthetic.array

    @cached_property
    def nonfinite(self) -> int:
        """Voxels of the synthetic image that are NaN or infinite."""
        return count_nonfinite(self.hu)

    @cached_property
    def nonfinite_source(self) -> int:
        """Voxels of the source that are NaN or infinite."""
        return count_nonfinite(self.source.array)

    @cached_property
    def body(self) -> Mask:
        """The body as the synthetic image shows it."""
        return body_of(self.synthetic)

    @cached_property
    def body_values(self) -> Float32Array:
        """Values of the synthetic image in its body, shape (n,)."""
        return self.hu[self.body]

    @cached_property
    def source_body(self) -> Mask:
        """The body as the source shows it."""
        return body_of(self.source)

    @cached_property
    def dark_level(self) -> float:
        """Value of the source below which there is no tissue that gives signal."""
        if self.source.quantity == "HU":
            return self.settings.fat_hu[0]
        return signal_level(self.source.array[self.known], OUTLINE.share_of_otsu)[0]

    @cached_property
    def known(self) -> Mask:
        """Where the source holds data, not padding; bool."""
        return box_mask(data_box(self.source.array), self.grid.shape)

    @cached_property
    def deep_source_body(self) -> Mask:
        """The source's body without what lies nearer to its surface than ``depth_mm``."""
        return eroded(self.source_body, self.grid, self.settings.depth_mm)

    @cached_property
    def deep_body(self) -> Mask:
        """The synthetic image's body without what lies nearer to its surface."""
        return eroded(self.body, self.grid, self.settings.depth_mm)

    @cached_property
    def shared(self) -> dict[Any, Any]:
        """What checks of one file hand to each other."""
        return {}

    @cached_property
    def planes(self) -> Float32Array:
        """The synthetic image slice by slice, shape (nz, nx, ny)."""
        return np.ascontiguousarray(np.moveaxis(self.hu, 2, 0))

    @cached_property
    def source_planes(self) -> Float32Array:
        """The source slice by slice."""
        return np.ascontiguousarray(np.moveaxis(self.source.array, 2, 0))

    @cached_property
    def body_planes(self) -> Mask:
        """The synthetic image's body slice by slice."""
        return np.ascontiguousarray(np.moveaxis(self.body, 2, 0))

    @cached_property
    def source_body_planes(self) -> Mask:
        """The source's body slice by slice."""
        return np.ascontiguousarray(np.moveaxis(self.source_body, 2, 0))

    @cached_property
    def spans(self) -> tuple[Span, Span]:
        """0.5th and 99.5th percentile of source and synthetic image in their bodies."""
        return span_of(self.source.array[self.source_body]), span_of(self.body_values)

    def codes(self, bins: int) -> tuple[Codes, Codes]:
        """Source and synthetic image in ``bins`` steps of their own range in the body."""
        if ("codes", bins) not in self.shared:
            source, synthetic = self.spans
            self.shared["codes", bins] = (
                coded(self.source.array, source, bins),
                coded(self.hu, synthetic, bins),
            )
        result: tuple[Codes, Codes] = self.shared["codes", bins]
        return result

    @cached_property
    def residuals(self) -> tuple[Float32Array, NDArray[np.int64]]:
        """High-pass of the synthetic image's soft tissue slice by slice, and how many each has."""
        from qa_suite.metrics.reference_free.kernels import residuals

        low, high = self.settings.soft_window_hu
        values, counts = residuals(self.planes, self.body_planes, low, high)
        return values, counts

    @cached_property
    def descriptor(self) -> dict[str, float] | None:
        """What the source looks like, or None where its body is flat."""
        return describe(self.source, self.source_body, self.source_planes, self.source_body_planes)


def count_nonfinite(array: Float32Array) -> int:
    """Count the voxels that are NaN or infinite."""
    # A sum that is finite has finite terms, and is ten times faster than asking each.
    if np.isfinite(array.sum(dtype=np.float64)):
        return 0
    return int(array.size - np.count_nonzero(np.isfinite(array)))


def span_of(values: Float32Array) -> Span:
    """0.5th and 99.5th percentile of values."""
    low, high = np.percentile(thinned(values), [0.5, 99.5])
    return float(low), float(high)


def coded(array: Float32Array, span: Span, bins: int) -> Codes:
    """Cut an image into ``bins`` steps within a span; what lies beyond goes to the ends."""
    from qa_suite.metrics.reference_free import kernels

    low, high = span
    if high <= low:
        return np.zeros(array.shape, dtype=np.uint8)
    codes: Codes = kernels.coded(array, low, high, bins)
    return codes


def _prepared(volume: Volume) -> Volume:
    turned = canonical(volume)
    return replace(turned, array=np.ascontiguousarray(turned.array, dtype=np.float32))
