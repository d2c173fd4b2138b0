"""The loops along rays; importing this module loads numba.

``field`` is what is summed up, (i, j, k); ``spacing`` its voxels' size in mm.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled(inline="always")
def _clip(start, step, size, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Narrow the part ``low .. high`` of a ray to one axis' extent, −½ .. size − ½."""
    if step == 0.0:
        if start < -0.5 or start >= size - 0.5:
            return 1.0, 0.0
        return low, high
    first, last = (-0.5 - start) / step, (size - 0.5 - start) / step
    if first > last:
        first, last = last, first
    return max(low, first), min(high, last)


@compiled(inline="always")
def _first(position, step, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the voxel that a ray enters at ``position`` when it moves along ``step``."""
    edge = position + 0.5
    voxel = int(np.floor(edge))
    if step < 0.0 and edge == voxel:
        voxel -= 1
    return min(max(voxel, 0), size - 1)


@compiled
def walk(field, ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Walk from a to b (voxel indices) through a field; the whole segment has length 1.

    Returns the field's integral, and where the segment leaves the last voxel that is not 0
    (−1 if there is none). The parameter at every voxel boundary is computed anew from the
    boundary's position, so no error piles up along a ray.
    """
    nx, ny, nz = field.shape
    dx, dy, dz = bx - ax, by - ay, bz - az
    low, high = _clip(ax, dx, nx, 0.0, 1.0)
    low, high = _clip(ay, dy, ny, low, high)
    low, high = _clip(az, dz, nz, low, high)
    if low >= high:
        return 0.0, -1.0
    i = _first(ax + low * dx, dx, nx)
    j = _first(ay + low * dy, dy, ny)
    k = _first(az + low * dz, dz, nz)
    si, sj, sk = (1 if dx > 0 else -1), (1 if dy > 0 else -1), (1 if dz > 0 else -1)
    hi, hj, hk = 0.5 * si, 0.5 * sj, 0.5 * sk
    ix = 1.0 / dx if dx != 0 else 0.0
    iy = 1.0 / dy if dy != 0 else 0.0
    iz = 1.0 / dz if dz != 0 else 0.0
    tx = (i + hi - ax) * ix if dx != 0 else np.inf
    ty = (j + hj - ay) * iy if dy != 0 else np.inf
    tz = (k + hk - az) * iz if dz != 0 else np.inf
    total, at, left = 0.0, low, -1.0
    while True:
        if tx <= ty and tx <= tz:
            until, axis = tx, 0
        elif ty <= tz:
            until, axis = ty, 1
        else:
            until, axis = tz, 2
        value = field[i, j, k]
        until = min(until, high)
        if until > at:
            total += value * (until - at)
            at = until
            if value != 0.0:
                left = until
        if at >= high:
            return total, left
        if axis == 0:
            i += si
            if i < 0 or i >= nx:
                return total, left
            tx = (i + hi - ax) * ix
        elif axis == 1:
            j += sj
            if j < 0 or j >= ny:
                return total, left
            ty = (j + hj - ay) * iy
        else:
            k += sk
            if k < 0 or k >= nz:
                return total, left
            tz = (k + hk - az) * iz


@compiled
def trace(field, ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Integrate a field from a to b (voxel indices); the whole segment has length 1."""
    return walk(field, ax, ay, az, bx, by, bz)[0]


@compiled
def trace_rays(field, starts, ends, lengths, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``out[first:last]`` with the integrals from ``starts`` to ``ends``, shape (rays, 3)."""
    for n in range(first, last):
        a, b = starts[n], ends[n]
        out[n] = lengths[n] * trace(field, a[0], a[1], a[2], b[0], b[1], b[2])


@compiled
def trace_voxels(  # type: ignore[no-untyped-def]
    field, voxels, source, shift, parallel, spacing, first, last, out
):  # pragma: no cover
    """Fill ``out[first:last]`` with the integrals from the source to voxel centres.

    ``voxels`` are flat indices; ``source`` is a position in voxel indices, or, where
    ``parallel``, unused: the ray then starts at the voxel plus ``shift``.
    """
    ny, nz = field.shape[1], field.shape[2]
    for n in range(first, last):
        v = voxels[n]
        i, rest = v // (ny * nz), v % (ny * nz)
        j, k = rest // nz, rest % nz
        if parallel:
            ax, ay, az = i + shift[0], j + shift[1], k + shift[2]
        else:
            ax, ay, az = source[0], source[1], source[2]
        lx, ly, lz = (i - ax) * spacing[0], (j - ay) * spacing[1], (k - az) * spacing[2]
        length = np.sqrt(lx * lx + ly * ly + lz * lz)
        out[n] = length * trace(field, ax, ay, az, float(i), float(j), float(k))


@compiled
def last_exit(mask, starts, ends, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``out[first:last]`` with where each ray leaves a mask for the last time.

    ``starts`` and ``ends`` (rays, 3) are positions in voxel indices; the result is a share of
    the ray, exact at voxel boundaries, and −1 where it misses the mask.
    """
    for n in range(first, last):
        a, b = starts[n], ends[n]
        out[n] = walk(mask, a[0], a[1], a[2], b[0], b[1], b[2])[1]
