"""Multi-scale SSIM inside a mask, whichever way the images are turned and cut.

Wang Z, Simoncelli EP, Bovik AC (2003), Asilomar Conf Signals Systems Computers, 1398,
equation 7, with every mean taken over the mask alone: what lies outside, and how much of it,
does not matter. Importing this module loads numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.ms_ssim_kernels import add_up_scale, halve_in_mask

FEWEST_CELLS = 3
"""Along every axis at the coarsest scale: a cell and a neighbour on either side of it."""


class Scale(NamedTuple):
    """Both images at one scale, and the share of every cell that lies in the mask."""

    first: Float32Array
    second: Float32Array
    share: NDArray[Any]


def shortest_axis(scales: int) -> int:
    """Return how many voxels of an axis the mask must span to carry so many scales."""
    return int((FEWEST_CELLS - 1) * 2 ** (scales - 1) + 1)


def halved(scale: Scale) -> Scale:
    """Return the next scale: cells twice as long, laid symmetrically over every axis.

    A cell's value is the mean over its part of the mask. Where an axis has an odd number of
    cells, the new ones are centred on every second, from the first to the last.
    """
    shape = tuple((n + 1) // 2 for n in scale.share.shape)
    coarse = Scale(*(np.empty(shape, dtype=np.float32) for _ in range(3)))
    halve_in_mask(*scale, *coarse)
    return coarse


def pyramid(scale: Scale, scales: int) -> Iterator[Scale]:
    """Yield so many scales, beginning with the one that is given."""
    yield scale
    for _ in range(scales - 1):
        scale = halved(scale)
        yield scale


def ms_ssim_of(
    first: Float32Array,
    second: Float32Array,
    mask: NDArray[np.bool_],
    *,
    data_range: float,
    weights: Sequence[float],
    window: int = 7,
    k1: float = 0.01,
    k2: float = 0.03,
) -> float | NoValue:
    """Return the MS-SSIM in a mask.

    Parameters
    ----------
    first, second
        Images of one shape, float32, of values from zero up; finite in the mask and zero
        outside.
    mask
        Where it is measured.
    data_range
        Highest minus lowest possible value.
    weights
        Exponent of every scale, finest first.
    window
        Edge of the cubic window, in cells of each scale; odd.
    k1, k2
        Wang's constants, in shares of the data range.

    Returns
    -------
    float or NoValue
        In [0, 1]: a scale whose mean is negative counts as zero. No value where the mask spans
        fewer than :func:`shortest_axis` voxels of an axis.
    """
    shortest = shortest_axis(len(weights))
    box = bounding_box(mask)
    if box is None:
        return NoValue(why="the mask is empty")
    spans = [part.stop - part.start for part in box]
    if min(spans) < shortest:
        sizes = " × ".join(str(span) for span in spans)
        return NoValue(
            why=f"the mask spans {sizes} voxels, and {len(weights)} scales of MS-SSIM need "
            f"{shortest} along every axis: {FEWEST_CELLS} at the coarsest"
        )
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    totals, result = np.zeros(3), 1.0
    one, two = (np.ascontiguousarray(array[box]) for array in (first, second))
    finest = Scale(one, two, np.ascontiguousarray(mask[box]))
    for number, scale in enumerate(pyramid(finest, len(weights)), start=1):
        add_up_scale(*scale, window, c1, c2, totals)
        shares, structure, ssim = totals.tolist()
        mean = (ssim if number == len(weights) else structure) / shares
        result *= max(mean, 0.0) ** weights[number - 1]
    return min(result, 1.0)
