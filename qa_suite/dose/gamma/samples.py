"""Loops over samples: the conventions that look at points rather than at the whole surface.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

_EDGE = 1e-9  # of a voxel: rounding of a position on the edge


@compiled
def smallest_difference(position, dose, field, offsets):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Smallest |evaluated - reference| among samples around every voxel, in Gy.

    ``position`` (voxels × 3) and ``offsets`` (samples × 3) are in voxels of the evaluated
    ``field``; samples outside it do not count, and inf stands where none is inside.
    """
    least = np.empty(dose.size)
    ni, nj, nk = field.shape
    for n in range(dose.size):
        best = np.inf
        for m in range(offsets.shape[0]):
            x = position[n, 0] + offsets[m, 0]
            y = position[n, 1] + offsets[m, 1]
            z = position[n, 2] + offsets[m, 2]
            if (
                x < -_EDGE
                or y < -_EDGE
                or z < -_EDGE
                or x > ni - 1 + _EDGE
                or y > nj - 1 + _EDGE
                or z > nk - 1 + _EDGE
            ):
                continue
            i, j, k = max(int(x), 0), max(int(y), 0), max(int(z), 0)
            a, b, c = min(i + 1, ni - 1), min(j + 1, nj - 1), min(k + 1, nk - 1)
            u, v, t = x - i, y - j, z - k
            near = (1 - u) * ((1 - v) * field[i, j, k] + v * field[i, b, k]) + u * (
                (1 - v) * field[a, j, k] + v * field[a, b, k]
            )
            far = (1 - u) * ((1 - v) * field[i, j, c] + v * field[i, b, c]) + u * (
                (1 - v) * field[a, j, c] + v * field[a, b, c]
            )
            best = min(best, abs((1 - t) * near + t * far - dose[n]))
        least[n] = best
    return least


@compiled
def lower_by_offsets(best, dose, field, pad, offsets, distance, allowed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Lower the squared gamma ``best`` by the samples at whole-voxel ``offsets`` of ``field``.

    ``field`` is larger than ``dose`` by ``pad`` voxels (one number an axis) on either side;
    ``distance`` holds the squared distance part of every offset, ``allowed`` the dose criterion
    of every voxel, where 0 leaves gamma infinite.
    """
    ni, nj, nk = dose.shape
    for m in range(offsets.shape[0]):
        a, b, c = pad[0] + offsets[m, 0], pad[1] + offsets[m, 1], pad[2] + offsets[m, 2]
        for i in range(ni):
            for j in range(nj):
                for k in range(nk):
                    if allowed[i, j, k] <= 0 or best[i, j, k] <= distance[m]:
                        continue
                    off = (dose[i, j, k] - field[i + a, j + b, k + c]) / allowed[i, j, k]
                    best[i, j, k] = min(best[i, j, k], off * off + distance[m])
