"""What a component means to a beam, and how much of it a displaced border explains."""

from __future__ import annotations

from itertools import product

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Triple

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
