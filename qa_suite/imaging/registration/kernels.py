"""The inner loops of the alignment estimate: similarity of two sampled images, and its slope.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

# mypy sees no types in here: numba derives them from what it is called with.


@compiled
def _entropies(joint):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Entropies of the rows' sums, of the columns' sums and of the whole, from shares."""
    count = joint.shape[0]
    rows, columns = np.zeros(count), np.zeros(count)
    together = 0.0
    for a in range(count):
        for b in range(count):
            share = joint[a, b]
            if share > 0.0:
                rows[a] += share
                columns[b] += share
                together -= share * np.log(share)
    first = second = 0.0
    for a in range(count):
        if rows[a] > 0.0:
            first -= rows[a] * np.log(rows[a])
        if columns[a] > 0.0:
            second -= columns[a] * np.log(columns[a])
    return first, second, together, rows, columns


@compiled
def information(points, bins, moving, matrix, offset, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Normalised mutual information of the points that are seen, and how many are.

    Parameters
    ----------
    points
        Positions, shape (n, 3).
    bins
        First image at these points, 0 .. count − 1, shape (n,).
    moving
        Second image in the same bins; NaN where it was not seen.
    matrix, offset
        ``index = matrix @ position + offset`` into ``moving``.
    count
        Number of bins.

    Returns
    -------
    similarity : float
        (H(A) + H(B)) / H(A, B); 1 where nothing is shared. The joint histogram is filled
        linearly along both axes.
    seen : int
    """
    ni, nj, nk = moving.shape
    joint = np.zeros((count, count))
    seen = 0
    for n in range(points.shape[0]):
        p0, p1, p2 = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * p0 + matrix[0, 1] * p1 + matrix[0, 2] * p2 + offset[0]
        y = matrix[1, 0] * p0 + matrix[1, 1] * p1 + matrix[1, 2] * p2 + offset[1]
        z = matrix[2, 0] * p0 + matrix[2, 1] * p1 + matrix[2, 2] * p2 + offset[2]
        if x < 0 or y < 0 or z < 0 or x > ni - 1 or y > nj - 1 or z > nk - 1:
            continue
        i, j, k = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
        u, v, w = x - i, y - j, z - k
        low = (1 - u) * ((1 - v) * moving[i, j, k] + v * moving[i, j + 1, k]) + u * (
            (1 - v) * moving[i + 1, j, k] + v * moving[i + 1, j + 1, k]
        )
        high = (1 - u) * ((1 - v) * moving[i, j, k + 1] + v * moving[i, j + 1, k + 1]) + u * (
            (1 - v) * moving[i + 1, j, k + 1] + v * moving[i + 1, j + 1, k + 1]
        )
        value = (1 - w) * low + w * high
        if np.isnan(value):
            continue
        a, b = min(int(bins[n]), count - 2), min(int(value), count - 2)
        f, g = bins[n] - a, value - b
        joint[a, b] += (1 - f) * (1 - g)
        joint[a, b + 1] += (1 - f) * g
        joint[a + 1, b] += f * (1 - g)
        joint[a + 1, b + 1] += f * g
        seen += 1
    if seen == 0:
        return 1.0, seen
    first, second, together, _, _ = _entropies(joint / seen)
    return (1.0 if together <= 1e-9 else (first + second) / together), seen


@compiled
def information_and_slope(  # type: ignore[no-untyped-def]
    points, bins, moving, turn, shift, to_index, offset, count
):  # pragma: no cover
    """Normalised mutual information under a rigid motion, and its slope.

    Parameters
    ----------
    turn, shift
        A point p is looked up at ``turn @ p + shift`` (mm).
    to_index, offset
        ``index = to_index @ position + offset`` into ``moving``.
    points, bins, moving, count
        As in :func:`information`.

    Returns
    -------
    similarity : float
    slope : ndarray, shape (6,)
        By the shift (per mm), and by a small further turn about x, y and z (per radian).
    seen : int
    """
    ni, nj, nk = moving.shape
    total = points.shape[0]
    value = np.full(total, np.nan)
    rows = np.empty((total, 6))
    joint = np.zeros((count, count))
    seen = 0
    for n in range(total):
        p0, p1, p2 = points[n, 0], points[n, 1], points[n, 2]
        q0 = turn[0, 0] * p0 + turn[0, 1] * p1 + turn[0, 2] * p2
        q1 = turn[1, 0] * p0 + turn[1, 1] * p1 + turn[1, 2] * p2
        q2 = turn[2, 0] * p0 + turn[2, 1] * p1 + turn[2, 2] * p2
        s0, s1, s2 = q0 + shift[0], q1 + shift[1], q2 + shift[2]
        x = to_index[0, 0] * s0 + to_index[0, 1] * s1 + to_index[0, 2] * s2 + offset[0]
        y = to_index[1, 0] * s0 + to_index[1, 1] * s1 + to_index[1, 2] * s2 + offset[1]
        z = to_index[2, 0] * s0 + to_index[2, 1] * s1 + to_index[2, 2] * s2 + offset[2]
        if x < 0 or y < 0 or z < 0 or x > ni - 1 or y > nj - 1 or z > nk - 1:
            continue
        i, j, k = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
        u, v, w = x - i, y - j, z - k
        a000, a001 = moving[i, j, k], moving[i, j, k + 1]
        a010, a011 = moving[i, j + 1, k], moving[i, j + 1, k + 1]
        a100, a101 = moving[i + 1, j, k], moving[i + 1, j, k + 1]
        a110, a111 = moving[i + 1, j + 1, k], moving[i + 1, j + 1, k + 1]
        b00, b01 = a000 + u * (a100 - a000), a001 + u * (a101 - a001)
        b10, b11 = a010 + u * (a110 - a010), a011 + u * (a111 - a011)
        c0, c1 = b00 + v * (b10 - b00), b01 + v * (b11 - b01)
        found = c0 + w * (c1 - c0)
        if np.isnan(found):
            continue
        d0 = (1 - v) * (a100 - a000) + v * (a110 - a010)
        d1 = (1 - v) * (a101 - a001) + v * (a111 - a011)
        gi, gj, gk = d0 + w * (d1 - d0), (1 - w) * (b10 - b00) + w * (b11 - b01), c1 - c0
        g0 = to_index[0, 0] * gi + to_index[1, 0] * gj + to_index[2, 0] * gk
        g1 = to_index[0, 1] * gi + to_index[1, 1] * gj + to_index[2, 1] * gk
        g2 = to_index[0, 2] * gi + to_index[1, 2] * gj + to_index[2, 2] * gk
        rows[n, 0], rows[n, 1], rows[n, 2] = g0, g1, g2
        rows[n, 3] = q1 * g2 - q2 * g1
        rows[n, 4] = q2 * g0 - q0 * g2
        rows[n, 5] = q0 * g1 - q1 * g0
        value[n] = found
        a, b = min(int(bins[n]), count - 2), min(int(found), count - 2)
        f, g = bins[n] - a, found - b
        joint[a, b] += (1 - f) * (1 - g)
        joint[a, b + 1] += (1 - f) * g
        joint[a + 1, b] += f * (1 - g)
        joint[a + 1, b + 1] += f * g
        seen += 1
    slope = np.zeros(6)
    if seen == 0:
        return 1.0, slope, seen
    joint /= seen
    first, second, together, own, other = _entropies(joint)
    if together <= 1e-9:
        return 1.0, slope, seen
    similarity = (first + second) / together
    # how the similarity answers to each entry of the joint histogram
    answer = np.zeros((count, count))
    tiny = 1e-3 / seen
    for a in range(count):
        for b in range(count):
            apart = -np.log(max(own[a], tiny)) - np.log(max(other[b], tiny))
            answer[a, b] = (apart + similarity * np.log(max(joint[a, b], tiny))) / together
    for n in range(total):
        if np.isnan(value[n]):
            continue
        a, b = min(int(bins[n]), count - 2), min(int(value[n]), count - 2)
        f = bins[n] - a
        by_value = (1 - f) * (answer[a, b + 1] - answer[a, b]) + f * (
            answer[a + 1, b + 1] - answer[a + 1, b]
        )
        for c in range(6):
            slope[c] += by_value * rows[n, c]
    return similarity, slope / seen, seen


@compiled
def count_seen(points, moving, matrix, offset):  # type: ignore[no-untyped-def]  # pragma: no cover
    """How many of the points fall where the second image shows something."""
    ni, nj, nk = moving.shape
    seen = 0
    for n in range(points.shape[0]):
        p0, p1, p2 = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * p0 + matrix[0, 1] * p1 + matrix[0, 2] * p2 + offset[0]
        y = matrix[1, 0] * p0 + matrix[1, 1] * p1 + matrix[1, 2] * p2 + offset[1]
        z = matrix[2, 0] * p0 + matrix[2, 1] * p1 + matrix[2, 2] * p2 + offset[2]
        if x < 0 or y < 0 or z < 0 or x > ni - 1 or y > nj - 1 or z > nk - 1:
            continue
        if not np.isnan(moving[int(x + 0.5), int(y + 0.5), int(z + 0.5)]):
            seen += 1
    return seen
