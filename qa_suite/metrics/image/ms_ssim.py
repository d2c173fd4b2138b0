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
from qa_suite.imaging.compiled import compiled
from qa_suite.metrics.base import NoValue

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


@compiled
def _part(index, odd):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return how much of a voxel lies in its cell: of an odd axis, half of every second voxel."""
    return 0.5 if odd and index % 2 == 1 else 1.0


@compiled
def halve_in_mask(x, y, share, coarse_x, coarse_y, coarse_share):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill the coarse arrays with means over cells twice as long, by share of the mask.

    The cells lie symmetrically over an axis: pairs of voxels where their number is even, else
    centred on every second voxel with half of either neighbour, from the first to the last. A
    cell that holds nothing of the mask is zero.
    """
    ni, nj, nk = share.shape
    odd_i, odd_j, odd_k = ni % 2, nj % 2, nk % 2
    for i in range(coarse_share.shape[0]):
        for j in range(coarse_share.shape[1]):
            for k in range(coarse_share.shape[2]):
                total = sum_x = sum_y = 0.0
                for p in range(max(2 * i - odd_i, 0), min(2 * i + 2, ni)):
                    part_i = _part(p, odd_i)
                    for q in range(max(2 * j - odd_j, 0), min(2 * j + 2, nj)):
                        part_j = part_i * _part(q, odd_j)
                        for r in range(max(2 * k - odd_k, 0), min(2 * k + 2, nk)):
                            weight = part_j * _part(r, odd_k) * share[p, q, r]
                            total += weight
                            sum_x += weight * x[p, q, r]
                            sum_y += weight * y[p, q, r]
                coarse_share[i, j, k] = total / 8.0
                coarse_x[i, j, k] = sum_x / total if total > 0.0 else 0.0
                coarse_y[i, j, k] = sum_y / total if total > 0.0 else 0.0


@compiled
def _add_plane(x, y, share, sums, sign):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add (or take away) one plane of 1, x, y, x² + y² and xy, each times the share."""
    for j in range(share.shape[0]):
        for k in range(share.shape[1]):
            weight = sign * np.float64(share[j, k])
            u = np.float64(x[j, k])
            v = np.float64(y[j, k])
            sums[0, j, k] += weight
            sums[1, j, k] += weight * u
            sums[2, j, k] += weight * v
            sums[3, j, k] += weight * (u * u + v * v)
            sums[4, j, k] += weight * (u * v)


@compiled
def _add_row(planes, j, radius, rows, sign):  # type: ignore[no-untyped-def]  # pragma: no cover
    nk = planes.shape[2]
    for q in range(planes.shape[0]):
        source = planes[q, j]
        target = rows[q, radius : radius + nk]
        for k in range(nk):
            target[k] += sign * source[k]


@compiled
def _slide(rows, window, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``sums`` with the five running sums along one line."""
    s0 = s1 = s2 = s3 = s4 = 0.0
    for k in range(window - 1):
        s0 += rows[0, k]
        s1 += rows[1, k]
        s2 += rows[2, k]
        s3 += rows[3, k]
        s4 += rows[4, k]
    for k in range(sums.shape[1]):  # side by side they keep the processor busy
        s0 += rows[0, k + window - 1]
        s1 += rows[1, k + window - 1]
        s2 += rows[2, k + window - 1]
        s3 += rows[3, k + window - 1]
        s4 += rows[4, k + window - 1]
        sums[0, k] = s0
        sums[1, k] = s1
        sums[2, k] = s2
        sums[3, k] = s3
        sums[4, k] = s4
        s0 -= rows[0, k]
        s1 -= rows[1, k]
        s2 -= rows[2, k]
        s3 -= rows[3, k]
        s4 -= rows[4, k]


@compiled
def _any(line):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(line.size):  # noqa: SIM110  numba knows no any()
        if line[k] > 0:
            return True
    return False


@compiled
def _add_line(share, sums, c1, c2, totals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the factors of SSIM along one line to the totals; the loop runs over k and vectorises."""
    n, sx, sy, sq, sxy = sums[0], sums[1], sums[2], sums[3], sums[4]
    shares, structures, products = totals[0], totals[1], totals[2]
    for k in range(share.size):
        weight = np.float64(share[k])
        count = max(n[k], 1e-6)  # nothing of the mask in the window: its weight is zero
        ux = sx[k] / count
        uy = sy[k] / count
        product = ux * uy
        squares = ux * ux + uy * uy
        structure = 2.0 * (sxy[k] / count - product) + c2
        structure *= weight / (sq[k] / count - squares + c2)
        shares[k] += weight
        structures[k] += structure
        products[k] += structure * (2.0 * product + c1) / (squares + c1)


@compiled
def add_up_scale(x, y, share, window, c1, c2, totals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add up one scale: the shares, contrast × structure and SSIM, each by share of the mask.

    Means and (co)variances are those of the mask's part of the cubic window around a voxel.
    Slides along i (planes) and j (rows) with running sums in float64; fills ``totals``,
    float64, shape (3,).
    """
    ni, nj, nk = share.shape
    radius = window // 2
    planes = np.zeros((5, nj, nk))
    rows = np.empty((5, nk + 2 * radius))
    sums = np.empty((5, nk))
    lines = np.zeros((3, nk))
    for p in range(min(radius, ni)):
        _add_plane(x[p], y[p], share[p], planes, 1.0)
    for i in range(ni):
        if i + radius < ni:
            _add_plane(x[i + radius], y[i + radius], share[i + radius], planes, 1.0)
        p = i - radius - 1
        if p >= 0:
            _add_plane(x[p], y[p], share[p], planes, -1.0)
        rows[:] = 0.0
        for q in range(min(radius, nj)):
            _add_row(planes, q, radius, rows, 1.0)
        for j in range(nj):
            if j + radius < nj:
                _add_row(planes, j + radius, radius, rows, 1.0)
            if j - radius - 1 >= 0:
                _add_row(planes, j - radius - 1, radius, rows, -1.0)
            if _any(share[i, j]):
                _slide(rows, window, sums)
                _add_line(share[i, j], sums, c1, c2, lines)
    for q in range(3):
        totals[q] = lines[q].sum()
