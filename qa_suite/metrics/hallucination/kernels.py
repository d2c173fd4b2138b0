"""The loops behind the depth of a component and the opening of parts: this loads numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.imaging.compiled import compiled


@compiled
def largest_sum_along(values, directions, steps):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Largest sum along a line through voxel centres times the line's step; at least 0.

    ``directions`` are steps of -1, 0 or 1 voxel, shape (n, 3); ``steps`` their lengths.
    """
    ni, nj, nk = values.shape
    deepest = 0.0
    for n in range(directions.shape[0]):
        di, dj, dk = directions[n, 0], directions[n, 1], directions[n, 2]
        for i in range(ni):
            for j in range(nj):
                for k in range(nk):
                    p, q, r = i - di, j - dj, k - dk
                    if 0 <= p < ni and 0 <= q < nj and 0 <= r < nk:
                        continue  # no line begins here
                    total = 0.0
                    p, q, r = i, j, k
                    while 0 <= p < ni and 0 <= q < nj and 0 <= r < nk:
                        total += values[p, q, r]
                        p, q, r = p + di, q + dj, r + dk
                    deepest = max(deepest, total * steps[n])
    return deepest


def opened_parts(
    labels: NDArray[np.int32], large: NDArray[np.bool_], balls: tuple[NDArray[np.bool_], ...]
) -> NDArray[np.int32]:
    """Open every large part by each ball on its own, and unite what is left of it.

    Parameters
    ----------
    labels
        Number of the part of each voxel, 0 for none; what lies beyond the image is none.
    large
        Whether a part counts, by its number.
    balls
        Structuring elements; each holds its first plane, row and column.

    Returns
    -------
    ndarray, shape of ``labels``
        The part's number where a translate of a ball that lies wholly inside the part holds the
        voxel, else 0.
    """
    opened = np.zeros_like(labels)
    for ball in balls:
        _open(labels, large, np.argwhere(ball), np.array(ball.shape), opened)
    return opened


@compiled
def _open(labels, large, offsets, size, opened):  # type: ignore[no-untyped-def]
    nx, ny, nz = labels.shape
    a, b, c = offsets[0]
    count = offsets.shape[0]
    for i in range(nx - size[0] + 1):
        for j in range(ny - size[1] + 1):
            for k in range(nz - size[2] + 1):
                part = labels[i + a, j + b, k + c]
                if part == 0 or not large[part]:
                    continue
                fits = True
                for n in range(1, count):
                    if labels[i + offsets[n, 0], j + offsets[n, 1], k + offsets[n, 2]] != part:
                        fits = False
                        break
                if fits:
                    for n in range(count):
                        opened[i + offsets[n, 0], j + offsets[n, 1], k + offsets[n, 2]] = part
