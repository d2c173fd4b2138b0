"""The inner loops, compiled: distances of many points to the elements of a mesh."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def mesh_distance(x, y, z, nodes, shell, elements, boxes, outer, inner, far):  # type: ignore[no-untyped-def]
    """Lower ``outer`` and ``inner`` to the distances of a mesh.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (nx, ny, nz)
        The points, in mm.
    nodes : ndarray of float32, shape (n, 4)
        Centre and radius of each ball.
    shell : ndarray of float32, shape (n,)
        Thickness of the outer layer at each ball.
    elements : ndarray of int64, shape (m, 3)
        The balls of each tube (third index −1) or plate.
    boxes : ndarray of int64, shape (m, 6)
        Where each element matters: first and last-plus-one index along each axis.
    outer, inner : ndarray of float32, shape (nx, ny, nz)
        Signed distances to the surface and to the inner face of the shell; changed in place.
    far : float32
        What a plate answers beside itself; larger than any distance of interest.
    """
    zero, one = np.float32(0), np.float32(1)
    for e in range(elements.shape[0]):
        a, b, c = elements[e]
        ax, ay, az, ar = nodes[a]
        ux, uy, uz = nodes[b, 0] - ax, nodes[b, 1] - ay, nodes[b, 2] - az
        dr, ds = nodes[b, 3] - ar, shell[b] - shell[a]
        s0 = shell[a]
        if c < 0:
            scale = one / max(ux * ux + uy * uy + uz * uz, np.float32(1e-6))
            for i in range(boxes[e, 0], boxes[e, 1]):
                for j in range(boxes[e, 2], boxes[e, 3]):
                    for k in range(boxes[e, 4], boxes[e, 5]):
                        px, py, pz = x[i, j, k] - ax, y[i, j, k] - ay, z[i, j, k] - az
                        t = (px * ux + py * uy + pz * uz) * scale
                        t = min(max(t, zero), one)
                        px, py, pz = px - t * ux, py - t * uy, pz - t * uz
                        d = np.sqrt(px * px + py * py + pz * pz) - (ar + t * dr)
                        outer[i, j, k] = min(outer[i, j, k], d)
                        inner[i, j, k] = min(inner[i, j, k], d + (s0 + t * ds))
            continue
        vx, vy, vz = nodes[c, 0] - ax, nodes[c, 1] - ay, nodes[c, 2] - az
        er, es = nodes[c, 3] - ar, shell[c] - shell[a]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        scale = one / max(nx * nx + ny * ny + nz * nz, np.float32(1e-9))
        # weights of the second and third ball at the foot of the perpendicular
        bx, by, bz = (
            (vy * nz - vz * ny) * scale,
            (vz * nx - vx * nz) * scale,
            (vx * ny - vy * nx) * scale,
        )
        cx, cy, cz = (
            (ny * uz - nz * uy) * scale,
            (nz * ux - nx * uz) * scale,
            (nx * uy - ny * ux) * scale,
        )
        unit = np.sqrt(scale)
        nx, ny, nz = nx * unit, ny * unit, nz * unit
        for i in range(boxes[e, 0], boxes[e, 1]):
            for j in range(boxes[e, 2], boxes[e, 3]):
                for k in range(boxes[e, 4], boxes[e, 5]):
                    px, py, pz = x[i, j, k] - ax, y[i, j, k] - ay, z[i, j, k] - az
                    wb = px * bx + py * by + pz * bz
                    wc = px * cx + py * cy + pz * cz
                    d = abs(px * nx + py * ny + pz * nz) - (ar + wb * dr + wc * er)
                    # beside the plate its edges answer
                    beside = min(min(wb, wc), one - wb - wc) < zero
                    d = far if beside else d
                    outer[i, j, k] = min(outer[i, j, k], d)
                    inner[i, j, k] = min(inner[i, j, k], d + (s0 + wb * ds + wc * es))
