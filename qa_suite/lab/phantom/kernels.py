"""The inner loop, compiled: distances of many points to the elements of a mesh."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def mesh_distance(x, y, z, nodes, elements, boxes, distance, far):  # type: ignore[no-untyped-def]
    """Lower ``distance`` to the signed distance of a mesh.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (nx, ny, nz)
        The points, in mm.
    nodes : ndarray of float32, shape (n, 4)
        Centre and radius of each ball.
    elements : ndarray of int64, shape (m, 3)
        The balls of each tube (third index −1) or plate.
    boxes : ndarray of int64, shape (m, 6)
        Where each element matters: first and last-plus-one index along each axis.
    distance : ndarray of float32, shape (nx, ny, nz)
        Signed distance to the surface; changed in place.
    far : float32
        What a plate answers beside itself; larger than any distance of interest.
    """
    zero, one = np.float32(0), np.float32(1)
    for e in range(elements.shape[0]):
        a, b, c = elements[e]
        k0, k1 = boxes[e, 4], boxes[e, 5]
        ax, ay, az, ar = nodes[a]
        ux, uy, uz = nodes[b, 0] - ax, nodes[b, 1] - ay, nodes[b, 2] - az
        dr = nodes[b, 3] - ar
        if c < 0:
            scale = one / max(ux * ux + uy * uy + uz * uz, np.float32(1e-6))
            for i in range(boxes[e, 0], boxes[e, 1]):
                for j in range(boxes[e, 2], boxes[e, 3]):
                    rx, ry, rz = x[i, j, k0:k1], y[i, j, k0:k1], z[i, j, k0:k1]
                    row = distance[i, j, k0:k1]
                    for k in range(len(row)):
                        px, py, pz = rx[k] - ax, ry[k] - ay, rz[k] - az
                        t = (px * ux + py * uy + pz * uz) * scale
                        t = min(max(t, zero), one)
                        px, py, pz = px - t * ux, py - t * uy, pz - t * uz
                        d = np.sqrt(px * px + py * py + pz * pz) - (ar + t * dr)
                        row[k] = min(row[k], d)
            continue
        vx, vy, vz = nodes[c, 0] - ax, nodes[c, 1] - ay, nodes[c, 2] - az
        er = nodes[c, 3] - ar
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        scale = one / max(nx * nx + ny * ny + nz * nz, np.float32(1e-9))
        # weights of the second and third ball at the foot of the perpendicular
        bx, by, bz = vy * nz - vz * ny, vz * nx - vx * nz, vx * ny - vy * nx
        bx, by, bz = bx * scale, by * scale, bz * scale
        cx, cy, cz = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
        cx, cy, cz = cx * scale, cy * scale, cz * scale
        unit = np.sqrt(scale)
        nx, ny, nz = nx * unit, ny * unit, nz * unit
        for i in range(boxes[e, 0], boxes[e, 1]):
            for j in range(boxes[e, 2], boxes[e, 3]):
                rx, ry, rz = x[i, j, k0:k1], y[i, j, k0:k1], z[i, j, k0:k1]
                row = distance[i, j, k0:k1]
                for k in range(len(row)):
                    px, py, pz = rx[k] - ax, ry[k] - ay, rz[k] - az
                    wb = px * bx + py * by + pz * bz
                    wc = px * cx + py * cy + pz * cz
                    d = abs(px * nx + py * ny + pz * nz) - (ar + wb * dr + wc * er)
                    # beside the plate its edges answer
                    d = far if min(min(wb, wc), one - wb - wc) < zero else d
                    row[k] = min(row[k], d)
