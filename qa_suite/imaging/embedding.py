"""A source image as a few fixed numbers: looks, shape of its histogram, texture at four scales.

Feature extractors of networks need weights and tell nobody what they see. These numbers need
none, cost a tenth of a second, and each says what it is. The same functions describe the images
that a translator is trained on and those that it is examined on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.appearance import (
    FEWEST,
    MOST,
    SOURCE_FEATURES,
    SPAN_PERCENTS,
    VOXEL_SIZES,
    Told,
    Untold,
    describe_source,
    voxel_sizes,
)
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.robust import thinned

SHAPE = "source_shape"
SHAPE_PERCENTS: Mapping[str, int] = {"p10": 10, "p25": 25, "p75": 75, "p90": 90}
"""Region to percentile; the 50th is ``source_asymmetry``."""
TEXTURE = "source_texture"
TEXTURE_MM: Mapping[str, float] = {"2mm": 2.0, "4mm": 4.0, "8mm": 8.0, "16mm": 16.0}
"""Region to distance of the two voxels that are compared."""

Key = tuple[str, str]
"""Metric and region."""
LOOKS: tuple[Key, ...] = (
    *((metric, "body") for metric in SOURCE_FEATURES),
    *((SHAPE, region) for region in SHAPE_PERCENTS),
    *((TEXTURE, region) for region in TEXTURE_MM),
)
EMBEDDING: tuple[Key, ...] = (*LOOKS, *(("voxel_size", at) for at in VOXEL_SIZES))
"""Every number, in the order of :func:`embed_source`."""


def embed_source(source: Volume, inside: Mask) -> dict[Key, Told]:
    """Describe a source image by the numbers :data:`EMBEDDING`.

    Parameters
    ----------
    source
        On canonical axes.
    inside
        Where it is looked at; of its grid's shape.
    """
    found: dict[Key, Told] = dict(describe_looks(source, inside))
    return found | {("voxel_size", at): mm for at, mm in voxel_sizes(source.grid).items()}


def describe_looks(source: Volume, inside: Mask) -> dict[Key, Told]:
    """Describe a source image by the numbers :data:`LOOKS`, all of the image and not its grid."""
    looks: dict[Key, Told] = {
        (metric, "body"): told for metric, told in describe_source(source, inside).items()
    }
    span = looks["source_span", "body"]
    rest = [key for key in LOOKS if key not in looks]
    if isinstance(span, Untold):
        return looks | dict.fromkeys(rest, span)
    if span <= 0:
        return looks | dict.fromkeys(rest, Untold(why="the source is flat inside the mask"))
    box = bounding_box(inside)
    assert box is not None  # or there would be no span
    array = np.ascontiguousarray(source.array[box], dtype=np.float32)
    return looks | _shape(array[inside[box]]) | _texture(array, inside[box], source.grid)


def _shape(values: NDArray[np.float32]) -> dict[Key, Told]:
    """Say where percentiles lie between the 5th (0) and the 95th (1)."""
    ends = (SPAN_PERCENTS[0], SPAN_PERCENTS[-1])
    low, high, *inner = np.percentile(thinned(values, MOST), [*ends, *SHAPE_PERCENTS.values()])
    return {
        (SHAPE, region): float((value - low) / (high - low))
        for region, value in zip(SHAPE_PERCENTS, inner, strict=True)
    }


# ---------------------------------------------------------------------------------------
# Texture


def _texture(array: Float32Array, inside: Mask, grid: Grid) -> dict[Key, Told]:
    """Say how much voxels of a slice differ at some distances, in % of the contrast.

    The root of twice Matheron's semivariogram; between whole voxels the root is interpolated,
    from nought at no distance.
    """
    low, _, high = np.percentile(thinned(array[inside], MOST), SPAN_PERCENTS)
    span = float(high - low)
    calm = np.clip(array, low - span / 2, high + span / 2)  # a metal's streak is no texture
    places = np.flatnonzero(inside)
    places = places[:: max(1, places.size // MOST)]
    return {
        (TEXTURE, region): _difference(calm, inside, places, grid, mm, span)
        for region, mm in TEXTURE_MM.items()
    }


def _difference(
    array: Float32Array, inside: Mask, places: NDArray[np.intp], grid: Grid, mm: float, span: float
) -> Told:
    total, counted = 0.0, 0
    for axis in range(3):
        if axis == grid.long_axis:
            continue
        steps = mm / grid.spacing_mm[axis]
        whole = math.floor(steps)
        near, far = (_pairs(array, inside, places, axis, n) for n in (whole, whole + 1))
        pairs = min(len(near), len(far)) if whole else len(far)
        if pairs < FEWEST:
            continue
        part = steps - whole
        root = (1 - part) * _root(near) + part * _root(far)
        total, counted = total + pairs * root**2, counted + pairs
    if not counted:
        return Untold(why=f"fewer than {FEWEST} pairs of voxels inside lie {mm:g} mm apart")
    return 100 * math.sqrt(total / counted) / span


def _pairs(
    array: Float32Array, inside: Mask, places: NDArray[np.intp], axis: int, steps: int
) -> NDArray[np.float64]:
    """Return the differences of the voxels at some places to those so many steps on."""
    if steps == 0:
        return np.zeros(1)
    stride = math.prod(array.shape[axis + 1 :])
    along = places // stride % array.shape[axis]
    there = places[along + steps < array.shape[axis]]
    there = there[inside.reshape(-1)[there + steps * stride]]
    flat = array.reshape(-1)
    return flat[there + steps * stride].astype(np.float64) - flat[there]


def _root(differences: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(differences))))
