"""The loops behind the DVH: dose at the sub-voxels of a structure; importing it loads numba."""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

_EDGE = 1e-3  # voxels; rounding in a header must not cut off the outermost sub-voxels


@compiled
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


@compiled
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


@compiled(inline="always")
def _place(x, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the lower neighbour of a position and the fraction beyond it, clamped to the grid."""
    if x <= 0.0 or size == 1:
        return 0, 0.0
    if x >= size - 1:
        return size - 2, 1.0
    low = int(x)
    return low, x - low


@compiled(inline="always")
def _at_voxel(dose, i, j, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the dose of a voxel and its central differences, per voxel."""
    ni, nj, nk = dose.shape
    gx = (dose[min(i + 1, ni - 1), j, k] - dose[max(i - 1, 0), j, k]) / 2
    gy = (dose[i, min(j + 1, nj - 1), k] - dose[i, max(j - 1, 0), k]) / 2
    gz = (dose[i, j, min(k + 1, nk - 1)] - dose[i, j, max(k - 1, 0)]) / 2
    return np.float64(dose[i, j, k]), gx, gy, gz


@compiled(inline="always")
def _between_voxels(dose, i, j, k, f, g, h):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the trilinear dose between voxels and its slopes, per voxel."""
    ni, nj, nk = dose.shape
    i1, j1, k1 = min(i + 1, ni - 1), min(j + 1, nj - 1), min(k + 1, nk - 1)
    d000, d001 = np.float64(dose[i, j, k]), np.float64(dose[i, j, k1])
    d010, d011 = np.float64(dose[i, j1, k]), np.float64(dose[i, j1, k1])
    d100, d101 = np.float64(dose[i1, j, k]), np.float64(dose[i1, j, k1])
    d110, d111 = np.float64(dose[i1, j1, k]), np.float64(dose[i1, j1, k1])
    e00, e01 = d000 + h * (d001 - d000), d010 + h * (d011 - d010)
    e10, e11 = d100 + h * (d101 - d100), d110 + h * (d111 - d110)
    s0 = (1 - g) * (d001 - d000) + g * (d011 - d010)
    s1 = (1 - g) * (d101 - d100) + g * (d111 - d110)
    low, high = e00 + g * (e01 - e00), e10 + g * (e11 - e10)
    gy = (1 - f) * (e01 - e00) + f * (e11 - e10)
    return low + f * (high - low), high - low, gy, (1 - f) * s0 + f * s1


@compiled
def histogram(  # type: ignore[no-untyped-def]
    weights, counts, matrix, offset, dose, low, per_gy, held, summed, rates, facts
):  # pragma: no cover
    """Add every sub-voxel of a structure to the bins of its dose.

    The dose is trilinear at the centre of the sub-voxel, and its weight is spread evenly over
    centre ± half the root of the summed squares of the changes across it: the range of a linear
    dose along an axis, and its variance along any direction.

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
        Get the weight of sub-voxels that lie in one bin, and weight × dose, in cells.
    rates : float64, shape (bins + 2,)
        Gets the others: weight a bin, as changes from bin to bin.
    facts : float64, shape (5,)
        Gets the weight inside the dose grid, outside it, at voxels that are not finite, and
        the lowest and highest dose: across sub-voxels of cells that are half full or more, at
        the centres of others.
    """
    ni, nj, nk = dose.shape
    bins = held.size
    sa, sb, sc = counts
    share = 1.0 / (sa * sb * sc)
    edge = -0.5 - _EDGE
    inside = outside = broken = 0.0
    least, most = np.inf, -np.inf
    m00, m01, m02 = matrix[0]
    m10, m11, m12 = matrix[1]
    m20, m21, m22 = matrix[2]
    for a in range(weights.shape[0]):
        for b in range(weights.shape[1]):
            for c in range(weights.shape[2]):
                weight = np.float64(weights[a, b, c]) * share
                if weight == 0.0:
                    continue
                full = weights[a, b, c] >= 0.5
                for part in range(sa * sb * sc):
                    p = a + (part // (sb * sc) + 0.5) / sa - 0.5
                    q = b + (part // sc % sb + 0.5) / sb - 0.5
                    r = c + (part % sc + 0.5) / sc - 0.5
                    x = m00 * p + m01 * q + m02 * r + offset[0]
                    y = m10 * p + m11 * q + m12 * r + offset[1]
                    z = m20 * p + m21 * q + m22 * r + offset[2]
                    if (
                        x < edge
                        or y < edge
                        or z < edge
                        or x > ni - 1 - edge
                        or y > nj - 1 - edge
                        or z > nk - 1 - edge
                    ):
                        outside += weight
                        continue
                    i, f = _place(x, ni)
                    j, g = _place(y, nj)
                    k, h = _place(z, nk)
                    if f + g + h < 1e-9:
                        value, gx, gy, gz = _at_voxel(dose, i, j, k)
                    else:
                        value, gx, gy, gz = _between_voxels(dose, i, j, k, f, g, h)
                    if not np.isfinite(value):
                        broken += weight
                        continue
                    inside += weight
                    u = (gx * m00 + gy * m10 + gz * m20) / sa
                    v = (gx * m01 + gy * m11 + gz * m21) / sb
                    w = (gx * m02 + gy * m12 + gz * m22) / sc
                    change = 0.5 * np.sqrt(u * u + v * v + w * w)
                    reach = change if full else 0.0
                    least = min(least, value - reach)
                    most = max(most, value + reach)
                    place = (value - low) * per_gy
                    half = change * per_gy
                    if not half > 0.5:
                        n = min(max(int(place), 0), bins - 1)
                        held[n] += weight
                        summed[n] += weight * value
                        continue
                    rate = weight / (2 * half)
                    start, end = place - half, place + half
                    if start < 0.0 or end > bins:  # what would leave the bins stays at the edge
                        cut = max(0.0, -start) + max(0.0, end - bins)
                        n = 0 if start < 0.0 else bins - 1
                        held[n] += rate * cut
                        summed[n] += rate * cut * (low + (n / (bins - 1)) * bins / per_gy)
                        start, end = max(start, 0.0), min(end, np.float64(bins))
                    n = int(start)
                    rates[n] += rate * (1 - (start - n))
                    rates[n + 1] += rate * (start - n)
                    n = int(end)
                    rates[n] -= rate * (1 - (end - n))
                    rates[n + 1] -= rate * (end - n)
    facts[0], facts[1], facts[2], facts[3], facts[4] = inside, outside, broken, least, most
