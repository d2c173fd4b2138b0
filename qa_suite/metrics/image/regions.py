"""The regions that image measures are given for, as choices among the voxels of the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, FloatArray
from qa_suite.metrics.base import Censored, NoValue, Pair
from qa_suite.metrics.facts import MetricFunctions
from qa_suite.metrics.image.comparison import Comparison
from qa_suite.metrics.image.settings import Band, ImageSettings


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region.

    Parameters
    ----------
    name
        As it stands in the measurements.
    chosen
        Which of the mask's voxels belong to it, shape (voxels in the mask,).
    voxels
        Size of the whole region, its part outside the mask included.
    why_empty
        What to say where it has no voxel in the mask.
    cut_off
        Whether it has voxels, all of them outside the mask: it is there, and not measured.
    """

    name: str
    chosen: NDArray[np.bool_]
    voxels: int
    why_empty: str
    cut_off: bool = False


class Sums(NamedTuple):
    """What one pass over a region's voxels adds up (see ``kernels.region_sums``).

    ``reference`` to ``product`` are relative to the region's first reference value; ``gradient``
    is over the ``neighbourhoods``: the voxels that have one.
    """

    voxels: float
    difference: float
    absolute: float
    square: float
    reference: float
    synthetic: float
    reference_square: float
    synthetic_square: float
    product: float
    ssim: float
    neighbourhoods: float
    gradient: float

    @property
    def variances(self) -> tuple[float, float, float]:
        """Variance of the reference, of the synthetic image, and their covariance."""
        n, x, y = self.voxels, self.reference / self.voxels, self.synthetic / self.voxels
        return (
            max(self.reference_square / n - x * x, 0.0),
            max(self.synthetic_square / n - y * y, 0.0),
            self.product / n - x * y,
        )


@dataclass(frozen=True, kw_only=True)
class RegionVoxels:
    """The voxels of one region: finite, at least one.

    Parameters
    ----------
    comparison
        The pair that they come from.
    chosen
        Which of the mask's voxels they are, shape (voxels in the mask,).
    """

    comparison: Comparison
    chosen: NDArray[np.bool_]

    @cached_property
    def reference(self) -> FloatArray:
        """Values of the reference, shape (voxels,), in the order of the array."""
        return self.comparison.reference_values[self.chosen].astype(np.float64)

    @cached_property
    def synthetic(self) -> FloatArray:
        """Values of the synthetic image, shape (voxels,), in the same order."""
        return self.comparison.synthetic_values[self.chosen].astype(np.float64)

    @cached_property
    def difference(self) -> FloatArray:
        """Synthetic minus reference, shape (voxels,)."""
        return self.synthetic - self.reference

    @property
    def data_range(self) -> float | NoValue:
        """Highest minus lowest value of the quantity, or why there is none."""
        return self.comparison.data_range

    @cached_property
    def sums(self) -> Sums:
        """Sums over the voxels, added up in one pass."""
        from qa_suite.metrics.image.kernels import region_sums

        c = self.comparison
        found = np.empty(len(Sums._fields))
        region_sums(self.chosen, c.reference_values, c.synthetic_values, c.ssim, c.gradient, found)
        return Sums(*found.tolist())


BY_REGION: MetricFunctions[Callable[[RegionVoxels], float | Censored | NoValue]] = MetricFunctions(
    "image"
)
"""Metrics that every region is measured in."""


def regions_of(pair: Pair, comparison: Comparison, settings: ImageSettings) -> Iterator[Region]:
    """Yield the mask, its bands (by the reference), its structures and its shells."""
    values = comparison.reference_values
    everything = np.ones(values.size, dtype=bool)
    yield Region(name="body", chosen=everything, voxels=values.size, why_empty="the mask is empty")
    for band in settings.bands.get(pair.reference.quantity, ()):
        chosen = _in_band(values, band)
        yield Region(
            name=band.name,
            chosen=chosen,
            voxels=int(np.count_nonzero(chosen)),
            why_empty=f"no voxel of the mask has a reference value {_describe(band)}",
        )
    if settings.structures:
        yield from _structures(pair, comparison)
    if settings.shells_mm:
        yield from _shells(comparison, settings.shells_mm)


def _structures(pair: Pair, comparison: Comparison) -> Iterator[Region]:
    cut = tuple(
        slice(begin, begin + size)
        for begin, size in zip(comparison.offset, comparison.mask.shape, strict=True)
    )
    for name, structure in sorted(pair.structures.items()):
        voxels = int(np.count_nonzero(structure))
        empty = f"the structure {name} " + ("lies outside the mask" if voxels else "is empty")
        chosen = np.asarray(structure[cut][comparison.mask])
        yield Region(
            name=f"structure:{name}",
            chosen=chosen,
            voxels=voxels,
            why_empty=empty,
            cut_off=bool(voxels) and not chosen.any(),
        )


def shell_names(shells_mm: tuple[float, ...]) -> list[str]:
    """Return the regions' names, from the surface inwards, such as ``shell:0-5mm``."""
    depths = (0.0, *shells_mm)
    names = [f"shell:{a:g}-{b:g}mm" for a, b in pairwise(depths)]
    return [*names, f"shell:>{depths[-1]:g}mm"]


def _shells(comparison: Comparison, shells_mm: tuple[float, ...]) -> Iterator[Region]:
    depth = comparison.depth_mm[comparison.mask]
    bounds = (0.0, *shells_mm, np.inf)
    for name, low, high in zip(shell_names(shells_mm), bounds, bounds[1:], strict=False):
        chosen = (depth > np.float32(low)) & (depth <= np.float32(high))
        yield Region(
            name=name,
            chosen=chosen,
            voxels=int(np.count_nonzero(chosen)),
            why_empty=f"no voxel of the mask lies {low:g} to {high:g} mm below its surface",
        )


def _in_band(values: Float32Array, band: Band) -> NDArray[np.bool_]:
    chosen = ~np.isfinite(values)  # may belong to any band, so it is counted in all of them
    if band.low is not None and band.high is not None:
        chosen |= (values >= band.low) & (values < band.high)
    elif band.low is not None:
        chosen |= values >= band.low
    elif band.high is not None:
        chosen |= values < band.high
    else:
        chosen[:] = True
    return chosen


def _describe(band: Band) -> str:
    parts = []
    if band.low is not None:
        parts.append(f"of at least {band.low:g}")
    if band.high is not None:
        parts.append(f"below {band.high:g}")
    return " and ".join(parts) or "at all"
