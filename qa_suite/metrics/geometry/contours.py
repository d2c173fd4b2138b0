"""How far the surface of a structure lies from that of the reference, along its normal.

The outline of the reference (see :mod:`qa_suite.imaging.surface_elements`) says where
to look. At each element, profiles of both images are read along the normal, and the distance
between the places where they cross the threshold is taken: with a sign, and finer than a voxel,
which the distances of two binary masks are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.measure_kinds import Kind
from qa_suite.core.volume import Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.surface_elements import surface_elements
from qa_suite.metrics.base import Censored, NoValue, absent
from qa_suite.metrics.facts import MetricFacts, MetricFunctions
from qa_suite.metrics.geometry.settings import GeometrySettings
from qa_suite.metrics.segmentation.surfaces import directed_percentile

_STEP_VOXELS = 0.5
_SAME_VOXELS = 1.5  # how far the reference's own crossing may lie from its surface element
_MIN_ELEMENTS = 20


@dataclass(frozen=True, kw_only=True)
class ContourDistances:
    """Signed distances from the surface of the reference to that of the synthetic image.

    Parameters
    ----------
    distance_mm
        Positive where the synthetic structure reaches farther out. Where none of its surface
        was found, the distance up to which there is none: to the reach, or to the image's edge;
        its sign (also that of 0) says to which side.
    known
        Where it was found, bool.
    area_mm2
        Area of the reference's surface that each stands for.
    reach_mm
        How far the surface was looked for.
    """

    distance_mm: FloatArray
    known: Mask
    area_mm2: FloatArray
    reach_mm: float

    @property
    def farthest(self) -> FloatArray:
        """The distances, infinite where no surface was found."""
        return np.where(self.known, self.distance_mm, np.copysign(np.inf, self.distance_mm))

    @property
    def unmatched(self) -> float:
        """Share of the surface's area without a surface of the synthetic image, 0 to 1."""
        return float(self.area_mm2[~self.known].sum() / self.area_mm2.sum())

    def beyond(self) -> str:
        """Say why the distances are not all known."""
        return (
            f"{100 * self.unmatched:.2g} % of the reference's surface have none of the synthetic "
            f"image within {self.reach_mm:g} mm or the image"
        )


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
        How far along the normal; a surface beyond counts as not found.

    Returns
    -------
    ContourDistances or NoValue
        No value where the reference has no surface inside the domain.
    """
    from qa_suite.metrics.geometry.kernels import nearest_crossing, outward_normals

    grid = reference.grid
    spacing = np.asarray(grid.spacing_mm)
    margin = int(np.ceil(2 * reach_mm / spacing.min())) + 2
    box = bounding_box(mask, margin=margin)
    if box is None or min(mask.shape) < 2:
        return absent("the reference has no such structure")
    inside = np.ascontiguousarray(mask[box])
    surface = surface_elements(inside, grid.spacing_mm, domain=domain[box])
    at = surface.position_mm / spacing
    normals = np.empty_like(at)
    outward_normals(inside, np.floor(at).astype(np.int64), spacing, normals)
    along = normals / spacing
    step = _STEP_VOXELS * float(spacing.min())
    count = int(np.ceil(2 * reach_mm / step))
    places = []
    wanted, ends = np.zeros(len(at)), np.empty((len(at), 2))
    for volume in (reference, synthetic):
        values = np.ascontiguousarray(volume.array[box], dtype=np.float32)
        found = np.empty(len(at))
        nearest_crossing(values, at, along, step, count, threshold, wanted, found, ends)
        places.append(found)
        wanted = np.where(np.isfinite(found), found, 0.0)
    own, other = places
    good = (np.abs(own) <= _SAME_VOXELS * spacing.max()) & ~np.isnan(other)
    good &= (normals != 0).any(axis=1)
    if int(good.sum()) < _MIN_ELEMENTS:
        return NoValue(
            why=f"only {int(good.sum())} elements of the reference's surface lie inside the image"
        )
    own, other, ends = own[good], other[good], ends[good]
    known = np.abs(other - own) <= reach_mm
    # No surface up to the reach, or up to where the profile leaves the image.
    seen = np.where(other > own, ends[:, 1] - own, own - ends[:, 0])
    farthest = np.copysign(np.clip(seen, 0.0, reach_mm), other - own)
    return ContourDistances(
        distance_mm=np.where(known, other - own, farthest),
        known=known,
        area_mm2=surface.area_mm2[good],
        reach_mm=reach_mm,
    )


_FORMULA = (
    "distance d along the normal of the reference's surface between the places where both images "
    "cross the structure's threshold, positive outwards; "
)
_EMPTY = (
    "undefined where the reference or the synthetic image has no such structure, or no surface "
    "of it inside the image"
)
_TRIM = 0.05  # of the area, at the ends of a mean: what has no counterpart is farthest
_FARTHEST = (
    "; an element without a surface of the synthetic image within contour_reach_mm, or inside the "
    "image, is farthest to its side"
)
_CENSORED = (
    "where the percentile falls on an element without a counterpart, each counted as far as was "
    "searched: at least that"
)


def _facts(
    title: str,
    formula: str,
    *,
    unit: str = "mm",
    signed: bool = False,
    censored: str = _CENSORED,
    span: str = "[0, inf)",
    kind: Kind = "positive",
) -> MetricFacts:
    reach = GeometrySettings().contour_reach_mm
    ends = (-reach, reach) if signed else (reach,)
    return MetricFacts(
        family="geometry",
        title=title,
        unit=unit,
        direction="zero" if signed else "lower",
        range="(-inf, inf)" if signed else span,
        kind="signed" if signed else kind,
        formula=_FORMULA + formula,
        empty=_EMPTY,
        censored=censored,
        ends=ends if censored else (),
        reference="Definition of this suite",
        settings={"contour_reach_mm": reach},
        quantities=("HU",),
        because="body and bone are told by their HU",
    )


OF_CONTOURS: MetricFunctions[Callable[[ContourDistances], float | Censored | NoValue]] = (
    MetricFunctions("geometry")
)
"""Metrics of the contours of body and bone."""


@OF_CONTOURS.add(
    "contour_distance",
    _facts(
        "Mean contour distance",
        "mean of |d| over the 95 % of the area where it is smallest" + _FARTHEST,
        censored="where more than 5 % of the area has no counterpart, each element counted as far "
        "as was searched: at least that",
    ),
)
def contour_distance(found: ContourDistances) -> float | Censored:
    """Mean absolute distance, in mm."""
    mean = _trimmed_mean(np.abs(found.farthest), found.area_mm2, above=_TRIM)
    if np.isfinite(mean):
        return mean
    least = _trimmed_mean(np.abs(found.distance_mm), found.area_mm2, above=_TRIM)
    return Censored(at_least=least, why=found.beyond())


@OF_CONTOURS.add(
    "contour_distance_95",
    _facts(
        "95th percentile of the contour distance",
        "smallest distance within which at least 95 % of the surface's area has its |d|"
        + _FARTHEST,
    ),
)
def contour_distance_95(found: ContourDistances) -> float | Censored:
    """95th percentile of the absolute distance, in mm."""
    return _percentile(np.abs(found.distance_mm), ~found.known, found, 95)


@OF_CONTOURS.add(
    "contour_loss",
    _facts(
        "Contour loss",
        "smallest depth within which at least 99 % of the surface's area has its loss max(-d, 0)"
        + _FARTHEST,
    ),
)
def contour_loss(found: ContourDistances) -> float | Censored:
    """Depth, in mm, by which the synthetic structure falls short over the worst hundredth."""
    return _one_sided(found, -found.distance_mm)


@OF_CONTOURS.add(
    "contour_gain",
    _facts(
        "Contour gain",
        "smallest height within which at least 99 % of the surface's area has its gain max(d, 0)"
        + _FARTHEST,
    ),
)
def contour_gain(found: ContourDistances) -> float | Censored:
    """Height, in mm, by which the synthetic structure sticks out over the worst hundredth."""
    return _one_sided(found, found.distance_mm)


def _one_sided(found: ContourDistances, size_mm: FloatArray) -> float | Censored:
    """Of what lies to one side only; a surface not found to the other side is none of it."""
    return _percentile(np.maximum(size_mm, 0.0), ~found.known & ~np.signbit(size_mm), found, 99)


def _percentile(
    size_mm: FloatArray, unknown: Mask, found: ContourDistances, percent: float
) -> float | Censored:
    """Return the percentile, or what it is at least where it falls on what was not found."""
    low, high = (
        directed_percentile(sizes[order], found.area_mm2[order], percent)
        for sizes in (size_mm, np.where(unknown, np.inf, size_mm))
        for order in (np.argsort(sizes, kind="stable"),)
    )
    return high if np.isfinite(high) else Censored(at_least=low, why=found.beyond())


def _trimmed_mean(
    values: FloatArray, area_mm2: FloatArray, *, below: float = 0.0, above: float
) -> float:
    """Area-weighted mean without the shares ``below`` and ``above`` of the area at both ends."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(area_mm2[order]) / area_mm2.sum()
    edges = np.clip(np.concatenate([[0.0], reached]), below, 1 - above)
    weight = np.diff(edges)
    used = weight > 0
    return float(values[order][used] @ weight[used] / weight[used].sum())


@OF_CONTOURS.add(
    "contour_bias",
    _facts(
        "Signed contour distance",
        "mean of d over the middle 90 % of the area" + _FARTHEST,
        signed=True,
        censored="where more than 5 % of the area has no counterpart to one side, each element "
        "counted as far as was searched: at least that outwards, at most that inwards; undefined "
        "where to both",
    ),
)
def contour_bias(found: ContourDistances) -> float | Censored | NoValue:
    """Mean signed distance, in mm; positive where the synthetic structure is larger."""
    area, unknown = found.area_mm2, np.where(found.known, 0.0, np.sign(found.farthest))
    outwards, inwards = (float(area[unknown == side].sum() / area.sum()) for side in (1, -1))
    searched = np.where(
        unknown == (1 if outwards > _TRIM else -1), found.distance_mm, found.farthest
    )
    if max(outwards, inwards) <= _TRIM:
        return _trimmed_mean(found.farthest, area, below=_TRIM, above=_TRIM)
    if min(outwards, inwards) > _TRIM:
        return NoValue(why=f"{found.beyond()}, to both sides")
    bound = _trimmed_mean(searched, area, below=_TRIM, above=_TRIM)
    if outwards > _TRIM:
        return Censored(at_least=bound, why=found.beyond())
    return Censored(at_most=bound, why=found.beyond())


@OF_CONTOURS.add(
    "contour_unmatched",
    _facts(
        "Share of the surface without a counterpart",
        "share of the surface's area without a surface of the synthetic image within the reach",
        unit="%",
        censored="",
        span="[0, 100]",
        kind="bounded",
    ),
)
def contour_unmatched(found: ContourDistances) -> float:
    """Share of the reference's surface where the synthetic image shows none, in %."""
    return 100 * found.unmatched
