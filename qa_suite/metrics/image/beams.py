"""What the signed error is to a beam: millimetres of water on its way, from all around."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.metrics.base import METRICS, MetricFacts, NoValue
from qa_suite.metrics.image.comparison import Comparison
from qa_suite.metrics.image.settings import ImageSettings

_DEFAULT = ImageSettings()
_EMPTY = (
    "an empty mask is undefined; a voxel of the mask that is not finite is an error; undefined "
    "where the body has no slab of more than a few blocks"
)
_TARGETS = 200  # at most so many of a slab's places; their mean is what counts
_FEWEST_TARGETS = 8
_WAY = (
    "water-equivalent depth error: ∫ (density of the synthetic image - density of the reference) "
    "from the body's surface to a target within the mask; density: electrons relative to "
    "water, by water_points; targets: the middle of an axial slab, its body shrunk to a "
    "third about its centroid; coplanar parallel beams"
)


def _facts(title: str, formula: str) -> MetricFacts:
    return MetricFacts(
        family="image",
        title=title,
        unit="mm",
        direction="lower",
        range="[0, inf)",
        formula=f"{formula}; {_WAY}",
        empty=_EMPTY,
        reference=(
            "Definition of this suite; Thomas 1999, Br J Radiol 72:781 (densities); 0.4 %/mm of a "
            "6 MV beam: IAEA TRS-398"
        ),
        settings={
            "regions": "body",
            "beams": _DEFAULT.beams,
            "slab_mm": _DEFAULT.slab_mm,
            "field_mm": _DEFAULT.field_mm,
            "water_points": ", ".join(f"{hu:g}: {rho:g}" for hu, rho in _DEFAULT.water_points),
        },
        quantities=("HU",),
        because="only HU say how much water a voxel is to a beam",
    )


@METRICS.add(
    "beam_depth_error",
    _facts(
        "Water-equivalent depth error of the worst beam",
        "largest |mean over the slab's targets| over all slabs and beams",
    ),
)
def beam_depth_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Millimetres of water by which the worst beam errs on its way to the middle of the body."""
    depths = comparison.depth_errors_mm
    if isinstance(depths, NoValue):
        return depths
    return float(np.abs(depths).max()), 1.0


@METRICS.add(
    "arc_depth_error",
    _facts(
        "Water-equivalent depth error in the mean over all beams",
        "largest |mean over the beams and the slab's targets| over all slabs",
    ),
)
def arc_depth_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Millimetres of water by which a full arc errs, in the worst slab."""
    depths = comparison.depth_errors_mm
    if isinstance(depths, NoValue):
        return depths
    return float(np.abs(depths.mean(axis=1)).max()), 1.0


def depth_errors(comparison: Comparison) -> NDArray[np.float64] | NoValue:
    """Mean water-equivalent depth error of every slab and beam, in mm.

    Returns
    -------
    ndarray, shape (slabs, beams)
        Signed: positive where the synthetic image is too dense.
    """
    field, settings = comparison.field, comparison.settings
    axis = comparison.grid.long_axis
    share = np.moveaxis(field.body_share, axis, 0)
    density = np.moveaxis(field.density, axis, 0)
    step = field.spacing_mm[axis]
    in_plane = np.delete(np.asarray(field.spacing_mm), axis)
    angles = 2 * np.pi * np.arange(settings.beams) / settings.beams
    found = []
    for slab in _slabs(share, max(1, round(settings.slab_mm / step))):
        body = share[slab].mean(axis=0)
        targets = _targets(body, in_plane)
        if len(targets) < _FEWEST_TARGETS:
            continue
        plane = density[slab].mean(axis=0, dtype=np.float64)
        found.append([_way(plane, targets, angle, in_plane) for angle in angles])
    if not found:
        return NoValue(why="no axial slab of the body is wide enough to hold targets for beams")
    return np.asarray(found)


def _slabs(share: NDArray[Any], thickness: int) -> Iterator[slice]:
    """Part the planes that show the body into slabs of nearly equal thickness."""
    planes = np.flatnonzero(share.any(axis=(1, 2)))
    if planes.size == 0:
        return
    first, last = int(planes[0]), int(planes[-1]) + 1
    count = max(1, round((last - first) / thickness))
    edges = np.rint(np.linspace(first, last, count + 1)).astype(int)
    for begin, end in pairwise(edges):
        yield slice(int(begin), int(end))


def _targets(body: NDArray[Any], spacing_mm: NDArray[Any]) -> NDArray[np.float64]:
    """Places of the body shrunk to a third about its centroid, in mm, shape (n, 2)."""
    inside = np.argwhere(body >= 0.5)
    if len(inside) == 0:
        return np.zeros((0, 2))
    places = inside * spacing_mm
    centre = places.mean(axis=0)
    chosen = places[:: max(1, len(places) // _TARGETS)]
    return np.asarray(centre + (chosen - centre) / 3)


def _way(
    plane: NDArray[np.float64], targets: NDArray[np.float64], angle: float, spacing_mm: NDArray[Any]
) -> float:
    """Mean over the targets of the error's sum from outside to the target, in mm of water."""
    from qa_suite.metrics.image.beam_kernels import along_beam

    step = float(spacing_mm.min())
    reach = float(np.hypot(*(np.asarray(plane.shape) * spacing_mm)))
    along = np.arange(0.5, reach / step) * step
    direction = np.array([np.cos(angle), np.sin(angle)])
    return float(along_beam(plane, targets, along, direction, spacing_mm) * step / len(targets))
