"""The loop behind the depth of a component; importing this module loads numba."""

from __future__ import annotations

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
