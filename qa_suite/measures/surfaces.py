"""Distances between the surfaces of two masks: one computation, and metrics of a few lines.

A *surface element* sits at the corner that eight voxels share, wherever these eight are not
all inside or all outside; its area is that of the marching-cubes surface within the cell of
the eight voxel centres (Lorensen and Cline 1987), in mm². Distances run from element to
nearest element. So every distance is weighted by the area it stands for, also on an
anisotropic grid (the design of Nikolov et al. 2021, J Med Internet Res 23:e26151).

Where the image, or the domain, ends there is no surface: a scan cut through the thigh does
not make the cut a contour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.base import METRICS, MetricFacts
from qa_suite.segment.threshold import bounding_box
from qa_suite.volume import Triple

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """How far two surfaces lie apart, element by element; sorted by distance.

    Parameters
    ----------
    from_reference_mm, from_synthetic_mm
        Distance of each element of the one surface to the nearest element of the other.
    reference_area_mm2, synthetic_area_mm2
        Areas of the elements, in the same order.
    """

    from_reference_mm: FloatArray
    from_synthetic_mm: FloatArray
    reference_area_mm2: FloatArray
    synthetic_area_mm2: FloatArray

    @property
    def reference_empty(self) -> bool:
        """Whether the reference has no surface inside the image."""
        return self.reference_area_mm2.size == 0

    @property
    def synthetic_empty(self) -> bool:
        """Whether the synthetic image has no surface inside the image."""
        return self.synthetic_area_mm2.size == 0


def surface_distances(
    reference: Mask, synthetic: Mask, spacing_mm: Triple, *, domain: Mask | None = None
) -> SurfaceDistances:
    """Compute the distances between the surfaces of two masks.

    Parameters
    ----------
    reference, synthetic
        Bool, of one shape, indexed ``[i, j, k]``.
    spacing_mm
        Voxel spacing along i, j, k.
    domain
        Where both are known, bool; elements that touch its outside are no surface. None is
        the whole image.

    Returns
    -------
    SurfaceDistances
        With infinite distances where one surface is missing, empty arrays for the missing one.
    """
    from qa_suite.measures.edt import distance_to

    box = bounding_box(reference | synthetic, margin=1)
    if box is None or min(reference.shape) < 2:
        nothing = np.empty(0)
        return SurfaceDistances(
            from_reference_mm=nothing, from_synthetic_mm=nothing,
            reference_area_mm2=nothing, synthetic_area_mm2=nothing,
        )  # fmt: skip
    known = None if domain is None else domain[box]
    area = area_table(spacing_mm)
    codes = [surface_codes(mask[box], known) for mask in (reference, synthetic)]
    on_surface = [(code != 0) & (code != 255) for code in codes]
    distances = [distance_to(on_surface[1 - n], spacing_mm)[on_surface[n]] for n in (0, 1)]
    areas = [area[codes[n][on_surface[n]]] for n in (0, 1)]
    order = [np.argsort(found, kind="stable") for found in distances]
    return SurfaceDistances(
        from_reference_mm=distances[0][order[0]],
        from_synthetic_mm=distances[1][order[1]],
        reference_area_mm2=areas[0][order[0]],
        synthetic_area_mm2=areas[1][order[1]],
    )


def surface_codes(mask: Mask, domain: Mask | None = None) -> NDArray[np.uint8]:
    """Which of its eight voxels are inside, for every corner that eight voxels share.

    Bit ``4a + 2b + c`` stands for the voxel at offset (a, b, c). Corners that touch the
    outside of ``domain`` get 0 (nothing there).

    Returns
    -------
    ndarray of uint8, one shorter than the mask along every axis
    """
    ni, nj, nk = (size - 1 for size in mask.shape)
    codes = np.zeros((ni, nj, nk), dtype=np.uint8)
    known = None if domain is None else np.ones((ni, nj, nk), dtype=bool)
    for bit in range(8):
        a, b, c = bit >> 2 & 1, bit >> 1 & 1, bit & 1
        corner = (slice(a, a + ni), slice(b, b + nj), slice(c, c + nk))
        codes |= mask[corner].view(np.uint8) << np.uint8(bit)
        if known is not None and domain is not None:
            known &= domain[corner]
    if known is not None:
        codes[~known] = 0
    return codes


@lru_cache(maxsize=64)
def area_table(spacing_mm: Triple) -> FloatArray:
    """Surface area in mm² of each of the 256 codes of :func:`surface_codes`.

    Averaged over the mirror images and the complement of a code, so that areas do not depend
    on how the ambiguous codes are triangulated and a flipped mask has the same surface.
    """
    from skimage.measure import marching_cubes, mesh_surface_area

    single = np.zeros(256)
    for code in range(1, 255):
        cell = np.unpackbits(np.uint8(code), bitorder="little").reshape(2, 2, 2)
        corners, faces, _, _ = marching_cubes(cell.astype(float), 0.5, spacing=spacing_mm)
        single[code] = mesh_surface_area(corners, faces)
    table = np.zeros(256)
    for flip in range(8):
        for code in range(256):
            mirrored = sum((code >> bit & 1) << (bit ^ flip) for bit in range(8))
            table[code] += (single[mirrored] + single[255 - mirrored]) / 16
    table.setflags(write=False)
    return table


# ---------------------------------------------------------------------------------------
# The metrics; both surfaces must exist


_EMPTY = (
    "undefined where the reference or the synthetic image has no such structure, or no surface "
    "of it inside the image; a missed structure is counted by 'missed'"
)
_ELEMENTS = "elements: marching-cubes area at the corners between voxels"


@METRICS.add(
    "hd",
    MetricFacts(
        family="segmentation",
        title="Hausdorff distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        formula=f"largest distance from either surface to the other; {_ELEMENTS}",
        empty=_EMPTY,
        reference="Taha and Hanbury 2015, BMC Med Imaging 15:29",
    ),
)
def hd(distances: SurfaceDistances) -> float:
    """Hausdorff distance, in mm."""
    return float(max(distances.from_reference_mm[-1], distances.from_synthetic_mm[-1]))


@METRICS.add(
    "hd95",
    MetricFacts(
        family="segmentation",
        title="95th percentile Hausdorff distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        formula=(
            "the larger of the two directed 95th percentiles; directed: the smallest distance "
            f"within which at least 95 % of the surface's area lies; {_ELEMENTS}"
        ),
        empty=_EMPTY,
        reference="Nikolov et al. 2021, J Med Internet Res 23:e26151",
        settings={"percent": 95},
    ),
)
def hd95(distances: SurfaceDistances) -> float:
    """95th percentile Hausdorff distance, in mm."""
    return max(
        directed_percentile(distances.from_reference_mm, distances.reference_area_mm2, 95),
        directed_percentile(distances.from_synthetic_mm, distances.synthetic_area_mm2, 95),
    )


@METRICS.add(
    "assd",
    MetricFacts(
        family="segmentation",
        title="Average symmetric surface distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        formula=f"area-weighted mean of the distances of both surfaces together; {_ELEMENTS}",
        empty=_EMPTY,
        reference="Heimann et al. 2009, IEEE Trans Med Imaging 28:1251",
    ),
)
def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, in mm."""
    there = float(distances.from_reference_mm @ distances.reference_area_mm2)
    back = float(distances.from_synthetic_mm @ distances.synthetic_area_mm2)
    return (there + back) / _total_area(distances)


@METRICS.add(
    "surface_dice",
    MetricFacts(
        family="segmentation",
        title="Surface Dice at a tolerance",
        unit="1",
        direction="higher",
        range="[0, 1]",
        formula=(
            "share of the area of both surfaces together that lies within the tolerance of the "
            f"other surface; the variant names the tolerance; {_ELEMENTS}"
        ),
        empty=_EMPTY,
        reference="Nikolov et al. 2021, J Med Internet Res 23:e26151",
        settings={"tolerance_mm": 2.0},
    ),
)
def surface_dice(distances: SurfaceDistances, *, tolerance_mm: float) -> float:
    """Surface Dice at a tolerance in mm."""
    limit = tolerance_mm * (1 + 1e-9)  # so that a distance of exactly the tolerance is within
    there = distances.reference_area_mm2[distances.from_reference_mm <= limit].sum()
    back = distances.synthetic_area_mm2[distances.from_synthetic_mm <= limit].sum()
    return float(there + back) / _total_area(distances)


def directed_percentile(distances_mm: FloatArray, areas_mm2: FloatArray, percent: float) -> float:
    """Smallest distance within which at least ``percent`` of the area lies (both sorted)."""
    reached = np.cumsum(areas_mm2)
    needed = percent / 100 * reached[-1] * (1 - 1e-12)
    return float(distances_mm[np.searchsorted(reached, needed)])


def _total_area(distances: SurfaceDistances) -> float:
    return float(distances.reference_area_mm2.sum() + distances.synthetic_area_mm2.sum())
