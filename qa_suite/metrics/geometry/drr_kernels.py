"""Ray casting: line integrals through a moved volume, and their derivative by the motion.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled
from qa_suite.imaging.registration.motion_kernels import _inside, _linear


@compiled
def cast(  # type: ignore[no-untyped-def]
    sources, directions, entry, exit_, step, turn, shift, volume, to_index, offset, value, rows
):  # pragma: no cover
    """Sum a volume along rays, and fill the derivative of the sums by the motion.

    Parameters are relative to the isocentre, in mm. A point p of a ray is read at
    ``turn p + shift``; beyond the volume there is nothing. ``rows`` of shape (0, 6) asks for
    values alone; else ``rows[n]`` is d value / d (shift, rotation vector).
    """
    gradient = np.empty(3)
    wanted = rows.shape[0] > 0
    matrix = to_index @ turn
    base = to_index @ shift + offset
    for n in range(directions.shape[0]):
        count = max(1, int(np.ceil((exit_[n] - entry[n]) / step)))
        length = (exit_[n] - entry[n]) / count
        along = directions[n]
        source = sources[n]
        d = matrix @ along
        total = 0.0
        t0 = t1 = t2 = m00 = m01 = m02 = 0.0
        near0 = near1 = near2 = 0.0
        first = entry[n] + 0.5 * length
        a = matrix @ source + base
        for s in range(count):
            t = first + s * length
            x, y, z = a[0] + t * d[0], a[1] + t * d[1], a[2] + t * d[2]
            if not _inside(volume.shape, x, y, z):
                continue
            total += _linear(volume, x, y, z, gradient)
            if wanted:
                t0 += gradient[0]
                t1 += gradient[1]
                t2 += gradient[2]
                m00 += t * gradient[0]
                m01 += t * gradient[1]
                m02 += t * gradient[2]
        value[n] = total * length
        if not wanted:
            continue
        # gradient by mm, summed, and summed weighted with the place along the ray
        for axis in range(3):
            g = to_index[0, axis] * t0 + to_index[1, axis] * t1 + to_index[2, axis] * t2
            rows[n, axis] = g * length
        near0, near1, near2 = turn @ source
        far = turn @ along
        w0 = to_index[0, 0] * m00 + to_index[1, 0] * m01 + to_index[2, 0] * m02
        w1 = to_index[0, 1] * m00 + to_index[1, 1] * m01 + to_index[2, 1] * m02
        w2 = to_index[0, 2] * m00 + to_index[1, 2] * m01 + to_index[2, 2] * m02
        g0, g1, g2 = rows[n, 0], rows[n, 1], rows[n, 2]
        w0, w1, w2 = w0 * length, w1 * length, w2 * length
        rows[n, 3] = near1 * g2 - near2 * g1 + far[1] * w2 - far[2] * w1
        rows[n, 4] = near2 * g0 - near0 * g2 + far[2] * w0 - far[0] * w2
        rows[n, 5] = near0 * g1 - near1 * g0 + far[0] * w1 - far[1] * w0
