"""How far the surface of a structure lies from that of the reference, along its normal.

The outline of the reference (see :mod:`qa_suite.measures.surface_elements`) says where
to look. At each element, profiles of both images are read along the normal, and the distance
between the places where they cross the threshold is taken: with a sign, and finer than a voxel,
which the distances of two binary masks are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.base import METRICS, MetricFacts, NoValue
from qa_suite.measures.surface_elements import surface_elements
from qa_suite.measures.surfaces import directed_percentile
from qa_suite.segment.threshold import bounding_box
from qa_suite.volume import Volume

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEP_VOXELS = 0.5
_SAME_VOXELS = 1.5  # how far the reference's own crossing may lie from its surface element
_MIN_ELEMENTS = 20


@dataclass(frozen=True, kw_only=True)
class ContourDistances:
    """Signed distances from the surface of the reference to that of the synthetic image.

    Parameters
    ----------
    distance_mm
        Positive where the synthetic structure reaches farther out; at most the reach.
    area_mm2
        Area of the reference's surface that each stands for.
    """

    distance_mm: Array
    area_mm2: Array


def contour_distances(
    reference: Volume,
    synthetic: Volume,
    mask: Mask,
    *,
    domain: Mask,
    threshold: float,
    reach_mm: float,
) -> ContourDistances | NoValue:
    """Measure the distance at every element of the reference's surface.

    Parameters
    ----------
    reference, synthetic
        On one grid, finite around the mask.
    mask
        The structure in the reference, cleaned and filled.
    domain
        Where its surface counts.
    threshold
        The value at the surface, in both images.
    reach_mm
        Larger distances count as this one.

    Returns
    -------
    ContourDistances or NoValue
        No value where the reference has no surface inside the domain.
    """
    from qa_suite.measures.geometry.contour_kernels import nearest_crossing, outward_normals

    grid = reference.grid
    spacing = np.asarray(grid.spacing_mm)
    margin = int(np.ceil(2 * reach_mm / spacing.min())) + 2
    box = bounding_box(mask, margin=margin)
    if box is None or min(mask.shape) < 2:
        return NoValue(why="the reference has no such structure")
    inside = np.ascontiguousarray(mask[box])
    surface = surface_elements(inside, grid.spacing_mm, domain=domain[box])
    at = surface.position_mm / spacing
    normals = np.empty_like(at)
    outward_normals(inside, np.floor(at).astype(np.int64), spacing, normals)
    along = normals / spacing
    step = _STEP_VOXELS * float(spacing.min())
    count = int(np.ceil(2 * reach_mm / step))
    places = []
    wanted = np.zeros(len(at))
    for volume in (reference, synthetic):
        values = np.ascontiguousarray(volume.array[box], dtype=np.float32)
        found = np.empty(len(at))
        nearest_crossing(values, at, along, step, count, threshold, wanted, found)
        places.append(found)
        wanted = np.where(np.isfinite(found), found, 0.0)
    own, other = places
    good = (np.abs(own) <= _SAME_VOXELS * spacing.max()) & ~np.isnan(other)
    good &= (normals != 0).any(axis=1)
    if int(good.sum()) < _MIN_ELEMENTS:
        return NoValue(
            why=f"only {int(good.sum())} elements of the reference's surface lie inside the image"
        )
    distance = np.clip(other[good] - own[good], -reach_mm, reach_mm)
    return ContourDistances(distance_mm=distance, area_mm2=surface.area_mm2[good])


_FORMULA = (
    "distance d along the normal of the reference's surface between the places where both images "
    "cross the structure's threshold, positive outwards, cut off at the reach; "
)
_EMPTY = (
    "undefined where the reference or the synthetic image has no such structure, or no surface "
    "of it inside the image"
)


def _facts(title: str, formula: str, **more: str) -> MetricFacts:
    return MetricFacts(
        family="geometry",
        title=title,
        unit="mm",
        direction="zero" if more else "lower",
        range="(-inf, inf)" if more else "[0, inf)",
        formula=_FORMULA + formula,
        empty=_EMPTY,
        reference="Definition of this suite",
        settings={"contour_reach_mm": 10.0},
        quantities=("HU",),
        because="body and bone are told by their HU",
    )


@METRICS.add("contour_distance", _facts("Mean contour distance", "area-weighted mean of |d|"))
def contour_distance(found: ContourDistances) -> float:
    """Mean absolute distance, in mm."""
    return float(np.abs(found.distance_mm) @ found.area_mm2 / found.area_mm2.sum())


@METRICS.add(
    "contour_distance_95",
    _facts(
        "95th percentile of the contour distance",
        "smallest distance within which at least 95 % of the surface's area has its |d|",
    ),
)
def contour_distance_95(found: ContourDistances) -> float:
    """95th percentile of the absolute distance, in mm."""
    return _percentile(np.abs(found.distance_mm), found, 95)


@METRICS.add(
    "contour_loss",
    _facts(
        "Contour loss",
        "smallest depth within which at least 99 % of the surface's area has its loss max(-d, 0)",
    ),
)
def contour_loss(found: ContourDistances) -> float:
    """Depth, in mm, by which the synthetic structure falls short over the worst hundredth."""
    return _percentile(np.maximum(-found.distance_mm, 0.0), found, 99)


@METRICS.add(
    "contour_gain",
    _facts(
        "Contour gain",
        "smallest height within which at least 99 % of the surface's area has its gain max(d, 0)",
    ),
)
def contour_gain(found: ContourDistances) -> float:
    """Height, in mm, by which the synthetic structure sticks out over the worst hundredth."""
    return _percentile(np.maximum(found.distance_mm, 0.0), found, 99)


def _percentile(size_mm: Array, found: ContourDistances, percent: float) -> float:
    order = np.argsort(size_mm, kind="stable")
    return directed_percentile(size_mm[order], found.area_mm2[order], percent)


@METRICS.add(
    "contour_bias",
    _facts("Signed contour distance", "area-weighted mean of d", signed="yes"),
)
def contour_bias(found: ContourDistances) -> float:
    """Mean signed distance, in mm; positive where the synthetic structure is larger."""
    return float(found.distance_mm @ found.area_mm2 / found.area_mm2.sum())
