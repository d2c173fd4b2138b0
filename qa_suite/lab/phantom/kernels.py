"""The inner loops, compiled: distances to the elements of a mesh, and the scale of the skin."""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled(error_model="numpy")
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


_F = np.float32


@compiled(error_model="numpy")
def skin(x, y, z, width, front, back, low, high, lobes, middle, u, v, radius, behind):  # type: ignore[no-untyped-def]
    """Fill the coordinates of every point in units of the outline's width and depth there.

    The outline is a superellipse with lobes over thighs and buttocks; all in single precision.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (points,)
        Where the points lie, in mm.
    width, front, back : ndarray of float32
        Polynomials, highest power first.
    low, high : float32
        Where they end.
    lobes : ndarray of float32, shape (2, 2)
        Front and back, left and right.
    middle : float32
        Where the axis of the body lies along y.
    u, v, radius : ndarray of float32, shape (points,)
        Filled for every point.
    behind : ndarray of bool, shape (points,)
        Filled for every point.
    """
    one = _F(1)
    for n in range(x.size):
        height = min(max(z[n] * _F(0.01), low), high)
        behind[n] = y[n] > middle
        half = width[0]
        for c in range(1, width.size):
            half = half * height + width[c]
        if behind[n]:
            depth = back[0]
            for c in range(1, back.size):
                depth = depth * height + back[c]
        else:
            depth = front[0]
            for c in range(1, front.size):
                depth = depth * height + front[c]
        lower = min(max((_F(30) - z[n]) * _F(1 / 90), _F(0)), one)
        lobe = lobes[1 if behind[n] else 0, 1 if x[n] < 0 else 0]
        side = (abs(x[n]) - _F(78)) * _F(1 / 60)
        side = one / (one + side * side)
        groove = x[n] * _F(1 / 22)
        groove = (one if behind[n] else _F(0)) / (one + groove * groove)
        depth += lobe * lower * (side - _F(0.8) * groove)
        away = y[n] - middle
        u[n] = abs(x[n]) / half
        v[n] = abs(away) / depth
        radius[n] = np.sqrt(x[n] * x[n] + away * away)
