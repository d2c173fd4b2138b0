"""The loops behind the DVH: dose at the sub-voxels of a structure; importing it loads numba."""

from __future__ import annotations

import numpy as np
from numba import njit

_EDGE = 1e-3  # voxels; rounding in a header must not cut off the outermost sub-voxels


@njit(nogil=True, cache=True)
def box_of(mask, box):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``box`` (int64, shape (3, 2)) with first and last index of what is not 0 in a mask.

    ``mask`` is uint8. The first index stays above the last where it is empty.
    """
    ni, nj, nk = mask.shape
    box[:, 0] = 1 << 30
    box[:, 1] = -1
    for i in range(ni):
        for j in range(nj):
            row = mask[i, j]
            some = np.uint8(0)
            for k in range(nk):
                some |= row[k]
            if some == 0:
                continue
            box[0, 0] = min(box[0, 0], i)
            box[0, 1] = max(box[0, 1], i)
            box[1, 0] = min(box[1, 0], j)
            box[1, 1] = max(box[1, 1], j)
            first = 0
            while row[first] == 0:
                first += 1
            last = nk - 1
            while row[last] == 0:
                last -= 1
            box[2, 0] = min(box[2, 0], first)
            box[2, 1] = max(box[2, 1], last)


@njit(nogil=True, cache=True)
def boxes_of_labels(labels, boxes):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Do the same for every label at once: ``boxes`` is int64, shape (labels + 1, 3, 2).

    ``labels`` is int32, C-contiguous; values outside 0 ... labels are passed over.
    """
    ni, nj, nk = labels.shape
    boxes[:, :, 0] = 1 << 30
    boxes[:, :, 1] = -1
    top = boxes.shape[0]
    for i in range(ni):
        for j in range(nj):
            before = 0
            for k in range(nk):
                value = labels[i, j, k]
                if value <= 0 or value >= top:
                    before = 0
                    continue
                box = boxes[value]
                if value != before:
                    box[0, 0] = min(box[0, 0], i)
                    box[0, 1] = max(box[0, 1], i)
                    box[1, 0] = min(box[1, 0], j)
                    box[1, 1] = max(box[1, 1], j)
                    box[2, 0] = min(box[2, 0], k)
                    before = value
                box[2, 1] = max(box[2, 1], k)


@njit(nogil=True, cache=True, inline="always")
def _place(x, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the lower neighbour of a position and the fraction beyond it, clamped to the grid."""
    if x <= 0.0 or size == 1:
        return 0, 0.0
    if x >= size - 1:
        return size - 2, 1.0
    low = int(x)
    return low, x - low


@njit(nogil=True, cache=True)
def histogram(  # type: ignore[no-untyped-def]
    weights, counts, matrix, offset, dose, low, per_gy, held, summed, facts
):  # pragma: no cover
    """Add every sub-voxel of a structure to the bins of its dose.

    Parameters
    ----------
    weights : uint8 or float32, shape (a, b, c)
        Share of each cell that belongs to the structure.
    counts : int64, shape (3,)
        Sub-voxels of a cell along each axis.
    matrix, offset : float64, shapes (3, 3) and (3,)
        From index of a cell to index of the dose grid.
    dose : float32, 3-D
    low, per_gy
        Lower edge of the first bin, and bins per Gy (0 for a box of one dose).
    held, summed : float64, shape (bins,)
        Gets the weight of each bin, and weight × dose, in cells.
    facts : float64, shape (5,)
        Gets the weight inside the dose grid, outside it, at voxels that are not finite, and
        min and max behind them.
    """
    ni, nj, nk = dose.shape
    bins = held.size
    sa, sb, sc = counts
    share = 1.0 / (sa * sb * sc)
    inside = outside = broken = 0.0
    least, most = np.inf, -np.inf
    for a in range(weights.shape[0]):
        for b in range(weights.shape[1]):
            for c in range(weights.shape[2]):
                weight = np.float64(weights[a, b, c]) * share
                if weight == 0.0:
                    continue
                for u in range(sa):
                    p = a + (u + 0.5) / sa - 0.5
                    for v in range(sb):
                        q = b + (v + 0.5) / sb - 0.5
                        for w in range(sc):
                            r = c + (w + 0.5) / sc - 0.5
                            x = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
                            y = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
                            z = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + offset[2]
                            edge = -0.5 - _EDGE
                            if (
                                x < edge or y < edge or z < edge
                                or x > ni - 1 - edge or y > nj - 1 - edge or z > nk - 1 - edge
                            ):  # fmt: skip
                                outside += weight
                                continue
                            i, f = _place(x, ni)
                            j, g = _place(y, nj)
                            k, h = _place(z, nk)
                            i1 = min(i + 1, ni - 1)
                            j1 = min(j + 1, nj - 1)
                            k1 = min(k + 1, nk - 1)
                            d00 = dose[i, j, k]
                            if f + g + h > 1e-9:
                                value = (1 - f) * (
                                    (1 - g) * ((1 - h) * d00 + h * dose[i, j, k1])
                                    + g * ((1 - h) * dose[i, j1, k] + h * dose[i, j1, k1])
                                ) + f * (
                                    (1 - g) * ((1 - h) * dose[i1, j, k] + h * dose[i1, j, k1])
                                    + g * ((1 - h) * dose[i1, j1, k] + h * dose[i1, j1, k1])
                                )
                            else:
                                value = np.float64(d00)
                            if not np.isfinite(value):
                                broken += weight
                                continue
                            inside += weight
                            least = min(least, value)
                            most = max(most, value)
                            n = min(max(int((value - low) * per_gy), 0), bins - 1)
                            held[n] += weight
                            summed[n] += weight * value
    facts[0], facts[1], facts[2], facts[3], facts[4] = inside, outside, broken, least, most
