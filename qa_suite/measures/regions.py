"""The voxels of a pair, taken out of the volumes once, and the regions to measure them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.base import NoValue, Pair
from qa_suite.measures.image_settings import Band, ImageSettings
from qa_suite.segment.threshold import bounding_box

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All voxels of the mask, taken out of the volumes once; shape (voxels in the mask,)."""

    reference: FloatArray
    synthetic: FloatArray
    finite: NDArray[np.bool_]
    data_range: float | NoValue
    ssim: NDArray[np.float32] | NoValue


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region as a choice among the voxels of the mask.

    Parameters
    ----------
    name
        As it stands in the measurements.
    chosen
        Which of the mask's voxels belong to it, shape (voxels in the mask,); None is all.
    voxels
        Size of the whole region, its part outside the mask included.
    why_empty
        What to say where it has no voxel in the mask.
    """

    name: str
    chosen: NDArray[np.bool_] | None
    voxels: int
    why_empty: str

    def take(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of this region out of those of the mask."""
        return values if self.chosen is None else values[self.chosen]


def compare(pair: Pair, settings: ImageSettings) -> Comparison:
    """Take the voxels of the mask out of both volumes, and their SSIM if all are finite."""
    reference = pair.reference.array[pair.mask].astype(np.float64)
    synthetic = pair.synthetic.array[pair.mask].astype(np.float64)
    finite = np.isfinite(reference) & np.isfinite(synthetic)
    quantity = pair.reference.quantity
    limits = settings.data_range.get(quantity)
    if limits is None:
        missing = NoValue(why=f"no data range is set for {quantity} images")
        return Comparison(
            reference=reference, synthetic=synthetic, finite=finite,
            data_range=missing, ssim=missing,
        )  # fmt: skip
    return Comparison(
        reference=reference,
        synthetic=synthetic,
        finite=finite,
        data_range=limits[1] - limits[0],
        ssim=_ssim_in_mask(pair, limits, settings) if finite.all() else NoValue(why="not finite"),
    )


def _ssim_in_mask(
    pair: Pair, limits: tuple[float, float], settings: ImageSettings
) -> NDArray[np.float32]:
    """SSIM of the mask's voxels; NaN where the window leaves the image."""
    from qa_suite.measures.ssim import ssim_map

    box = bounding_box(pair.mask, margin=settings.ssim_window // 2)
    if box is None:
        return np.empty(0, dtype=np.float32)
    inside = pair.mask[box]
    low, high = limits
    first, second = (
        np.where(inside, np.clip(volume.array[box], low, high), low).astype(np.float32)
        - np.float32(low)
        for volume in (pair.reference, pair.synthetic)
    )
    full = ssim_map(
        first,
        second,
        data_range=high - low,
        window=settings.ssim_window,
        k1=settings.ssim_k1,
        k2=settings.ssim_k2,
    )
    return np.asarray(full[inside])


def regions_of(pair: Pair, comparison: Comparison, settings: ImageSettings) -> Iterator[Region]:
    """Yield the mask, its tissue bands (by the reference) and the structures."""
    total = comparison.reference.size
    yield Region(name="body", chosen=None, voxels=total, why_empty="the mask is empty")
    for band in settings.bands.get(pair.reference.quantity, ()):
        chosen = _in_band(comparison.reference, band)
        yield Region(
            name=band.name,
            chosen=chosen,
            voxels=int(np.count_nonzero(chosen)),
            why_empty=f"no voxel of the mask has a reference value {_describe(band)}",
        )
    for name, structure in sorted(pair.structures.items()):
        voxels = int(np.count_nonzero(structure))
        empty = f"the structure {name} " + ("lies outside the mask" if voxels else "is empty")
        yield Region(
            name=f"structure:{name}",
            chosen=structure[pair.mask],
            voxels=voxels,
            why_empty=empty,
        )


def _in_band(values: FloatArray, band: Band) -> NDArray[np.bool_]:
    low = -np.inf if band.low is None else band.low
    high = np.inf if band.high is None else band.high
    # a reference that is not finite may belong to any band, so it is counted in all of them
    return ((values >= low) & (values < high)) | ~np.isfinite(values)


def _describe(band: Band) -> str:
    parts = []
    if band.low is not None:
        parts.append(f"of at least {band.low:g}")
    if band.high is not None:
        parts.append(f"below {band.high:g}")
    return " and ".join(parts) or "at all"
