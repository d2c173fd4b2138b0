"""Distances between the surfaces of two masks: one computation, and metrics of a few lines.

Distances run from the centre of a surface element (:mod:`qa_suite.imaging.surface_elements`)
to the nearest centre of the other surface, exactly, and are weighted by the area that the
element stands for, also on an anisotropic grid. The design is that of Nikolov et al. (2021,
J Med Internet Res 23:e26151), who put every element into the middle of its cell; on oblique
surfaces that makes a layer two cells thick and distances up to half a voxel too short.

Where the image, or the domain, ends there is no surface: a scan cut through the thigh does
not make the cut a contour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Triple
from qa_suite.imaging.boxes import Box, box_of_both, label_boxes
from qa_suite.imaging.surface_elements import SurfaceElements, surface_elements
from qa_suite.metrics.facts import METRICS, MetricFacts, MetricFunctions

Labels = NDArray[np.integer]

_CUBE_VOXELS = 4.0
"""Edge of the cubes of the nearest-point search, in voxels: measured to be the quickest."""


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


_NO_SURFACES = SurfaceDistances(
    from_reference_mm=np.empty(0),
    from_synthetic_mm=np.empty(0),
    reference_area_mm2=np.empty(0),
    synthetic_area_mm2=np.empty(0),
)


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
    box = box_of_both(reference, synthetic, margin=1)
    if box is None:
        return _NO_SURFACES
    return _in_box(reference[box], synthetic[box], box, spacing_mm, domain)


def surface_distances_of(
    reference: Labels | Mapping[str, Mask],
    synthetic: Labels | Mapping[str, Mask],
    spacing_mm: Triple,
    *,
    names: Mapping[int, str] | None = None,
    domain: Mask | None = None,
) -> dict[str, SurfaceDistances]:
    """Compute the surface distances of many structures, each within its own bounding box.

    Parameters
    ----------
    reference, synthetic
        Both either a label map (integers, shape (ni, nj, nk)) or bool masks by name.
    spacing_mm
        Voxel spacing along i, j, k.
    names
        Label to name, needed for label maps; other labels are left out.
    domain
        As for :func:`surface_distances`.

    Returns
    -------
    dict
        Structure to its distances, in the order of the names.

    Raises
    ------
    InputError
        If the two sides name different structures, or label maps come without names.
    GeometryError
        If the two sides have different shapes.
    """
    if isinstance(reference, Mapping) and isinstance(synthetic, Mapping):
        if set(reference) != set(synthetic):
            only = sorted(set(reference) ^ set(synthetic))
            raise InputError(f"Both images need the same structures; {', '.join(only)} differ.")
        return {
            name: surface_distances(mask, synthetic[name], spacing_mm, domain=domain)
            for name, mask in reference.items()
        }
    if isinstance(reference, Mapping) or isinstance(synthetic, Mapping) or names is None:
        raise InputError("Give two label maps with the names of their labels, or masks by name.")
    if reference.shape != synthetic.shape:
        raise GeometryError(
            f"Label maps of {reference.shape} and {synthetic.shape} voxels cannot be compared."
        )
    found = {}
    for label, box in label_boxes((reference, synthetic), tuple(names), margin=1).items():
        found[names[label]] = (
            _NO_SURFACES
            if box is None
            else _in_box(reference[box] == label, synthetic[box] == label, box, spacing_mm, domain)
        )
    return found


def _in_box(
    reference: Mask, synthetic: Mask, box: Box, spacing_mm: Triple, domain: Mask | None
) -> SurfaceDistances:
    """Distances between two masks that were cut out of a grid."""
    known = None if domain is None else domain[box]
    offset = (box[0].start, box[1].start, box[2].start)
    surfaces = [
        surface_elements(mask, spacing_mm, domain=known, offset=offset)
        for mask in (reference, synthetic)
    ]
    distances, areas = [], []
    for mine, other in (surfaces, surfaces[::-1]):
        found = distances_between(mine, other, spacing_mm)
        order = np.argsort(found)
        distances.append(found[order])
        areas.append(mine.area_mm2[order])
    return SurfaceDistances(
        from_reference_mm=distances[0],
        from_synthetic_mm=distances[1],
        reference_area_mm2=areas[0],
        synthetic_area_mm2=areas[1],
    )


def distances_between(
    mine: SurfaceElements, other: SurfaceElements, spacing_mm: Triple
) -> FloatArray:
    """Distance of every element of one surface to the nearest element of another, in mm.

    Exact: what an exhaustive search over all pairs finds.

    Returns
    -------
    ndarray, shape (elements of mine,), in the order of the array; inf where the other surface
    has no element
    """
    from qa_suite.imaging.nearest import nearest_distances

    edge = _CUBE_VOXELS * float(np.prod(spacing_mm)) ** (1 / 3)
    return nearest_distances(mine.position_mm, other.position_mm, edge)


# ---------------------------------------------------------------------------------------
# The metrics; both surfaces must exist


BY_SURFACE: MetricFunctions[Callable[[SurfaceDistances], float]] = MetricFunctions("segmentation")
_EMPTY = (
    "undefined where the reference or the synthetic image has no such structure, or no surface "
    "of it inside the image; a missed structure is counted by 'missed'"
)
_ELEMENTS = "surface elements: marching cubes, weighted by area"


@BY_SURFACE.add(
    "hd",
    MetricFacts(
        family="segmentation",
        title="Hausdorff distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=f"largest distance from either surface to the other; {_ELEMENTS}",
        empty=_EMPTY,
        censored="in seg:Body, where the synthetic body goes on beyond the domain: at least the "
        "domain's margin (the other distances, surface_dice and centroid_shift are undefined)",
        reference="Taha and Hanbury 2015, BMC Med Imaging 15:29",
    ),
)
def hd(distances: SurfaceDistances) -> float:
    """Hausdorff distance, in mm."""
    return float(max(distances.from_reference_mm[-1], distances.from_synthetic_mm[-1]))


@BY_SURFACE.add(
    "hd95",
    MetricFacts(
        family="segmentation",
        title="95th percentile Hausdorff distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
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


@BY_SURFACE.add(
    "assd",
    MetricFacts(
        family="segmentation",
        title="Average symmetric surface distance",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=f"area-weighted mean of the distances of both surfaces together; {_ELEMENTS}",
        empty=_EMPTY,
        reference="Heimann et al. 2009, IEEE Trans Med Imaging 28:1251",
    ),
)
def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, in mm."""
    there = (distances.from_reference_mm * distances.reference_area_mm2).sum()
    back = (distances.from_synthetic_mm * distances.synthetic_area_mm2).sum()
    return float(there + back) / _total_area(distances)


METRICS.declare(
    "surface_dice",
    MetricFacts(
        family="segmentation",
        title="Surface Dice at a tolerance",
        unit="1",
        direction="higher",
        range="[0, 1]",
        kind="bounded",
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
