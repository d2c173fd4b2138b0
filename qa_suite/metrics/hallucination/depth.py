"""Depths of water: what a component, or a thing outside the body, is to a beam.

A beam crosses a couch, a cushion or a coil before it reaches the patient, and no measure inside
the mask sees it.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Triple
from qa_suite.metrics.base import NoValue, Pair
from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.hallucination.settings import HallucinationSettings

REGION = "outside"
_RIM_VOXELS = 1  # around the mask: partial volume of the skin
_AIR_HU = -700.0  # below it is air with its noise, offset and blur, and no thing
_FEWEST = 20  # lines of a direction, below which it has no mean

Points = tuple[tuple[float, float], ...]

DIRECTIONS = tuple(d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0))
"""The 13 lines through a voxel and its neighbours."""


def water_equivalent(hu: Float32Array, points: Points) -> Float32Array:
    """Depth of water that a depth of tissue is worth: relative electron density of HU.

    Parameters
    ----------
    hu
        Of any shape.
    points
        (HU, relative electron density), linear between; beyond the ends as at the ends.
    """
    known, values = np.transpose(points)
    return np.interp(hu, known, values).astype(np.float32)


def along_rays(change: Float32Array, mask: Mask, spacing_mm: Triple) -> float:
    """Return the largest sum of a change along a straight line, in mm of water; at least 0.

    Parameters
    ----------
    change
        Change of the relative electron density, indexed ``[i, j, k]``.
    mask
        Voxels that count.
    spacing_mm
        Voxel spacing along i, j, k. Lines run in :data:`DIRECTIONS`, through voxel centres.
    """
    from qa_suite.metrics.hallucination.kernels import largest_sum_along

    steps = [float(np.linalg.norm(np.multiply(d, spacing_mm))) for d in DIRECTIONS]
    values = np.where(mask, change, 0).astype(np.float64)
    return float(largest_sum_along(values, np.asarray(DIRECTIONS), np.asarray(steps)))


def reach(
    image: Float32Array, sign: float, tolerance_mm: float, spacing_mm: Triple
) -> Float32Array:
    """How far a value rises within a distance of its voxel (falls, where ``sign`` is negative).

    One step towards each neighbour by faces, linear between them. Unlike the gradient it is not
    zero in a gap between two bones, which a small displacement fills.
    """
    result = np.zeros_like(image)
    for axis, spacing in enumerate(spacing_mm):
        share = np.float32(sign * min(tolerance_mm / spacing, 1.0))
        forth = np.diff(image, axis=axis) * share
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        result[tuple(here)] = np.maximum(result[tuple(here)], forth)
        result[tuple(there)] = np.maximum(result[tuple(there)], -forth)
    return result


# ---------------------------------------------------------------------------------------
# Outside the body


METRICS.declare(
    "outside_depth",
    MetricFacts(
        family="hallucination",
        title="Water-equivalent depth error of what lies outside the body",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "largest |mean over the lines that meet the mask of the sum of (density of synthetic - "
            "of reference) before the mask| over the six directions along the grid's axes; the "
            "mask, the voxels next to it, air below -700 HU and what is not finite are left out; "
            "density: electrons relative to water"
        ),
        empty=(
            f"directions of fewer than {_FEWEST} lines do not count; without any, an empty mask or "
            "an image not in HU: undefined"
        ),
        reference="Definition of this suite",
        settings={"rim_voxels": _RIM_VOXELS, "air_hu": _AIR_HU},
        quantities=("HU",),
        because="only HU say how much water a voxel is to a beam",
    ),
)


def outside_depth(pair: Pair, settings: HallucinationSettings) -> float | NoValue:
    """Millimetres of water that only one image puts between a beam and the body."""
    from scipy import ndimage

    rim = ndimage.binary_dilation(pair.mask, iterations=_RIM_VOXELS)
    counted = ~rim if pair.coverage is None else pair.coverage & ~rim
    counted &= np.isfinite(pair.synthetic.array) & np.isfinite(pair.reference.array)
    synthetic, reference = (
        np.where(
            counted & (v.array > _AIR_HU),
            water_equivalent(v.array, settings.water_points),
            np.float32(0),
        )
        for v in (pair.synthetic, pair.reference)
    )
    change = synthetic - reference
    found = []
    for axis, step in enumerate(pair.grid.spacing_mm):
        for back in (False, True):
            part = slice(None, None, -1 if back else 1)
            here = np.moveaxis(pair.mask, axis, 0)[part]
            lines = here.any(axis=0)
            if np.count_nonzero(lines) < _FEWEST:
                continue
            before = np.cumsum(here, axis=0) == 0
            depth = (np.moveaxis(change, axis, 0)[part] * before).sum(axis=0, dtype=np.float64)
            found.append(abs(float(depth[lines].mean())) * step)
    if not found:
        return NoValue(why=f"no direction has {_FEWEST} lines that meet the mask")
    return max(found)
