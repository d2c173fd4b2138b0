"""The nearest point of one cell where the dose is linear over each of its six tetrahedra.

After Ju, Simpson, Deasy and Low (2008), Geometric interpretation of the gamma dose distribution
comparison technique: interpolation-free calculation, Med. Phys. 35(3), 879-887: gamma is the
distance of the point (position, reference dose) from the simplexes whose corners are evaluated
voxels (position, dose), in four dimensions. A cell is cut along its main diagonal into the six
tetrahedra of its axes' orders (Kuhn), so that neighbouring cells share their faces. Importing
this module loads numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

_ORDERS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
_FACES = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
_EDGES = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
_FLAT = 1e-12  # relative determinant below which a simplex is degenerate and its faces decide


@compiled
def minimum_in_tetrahedra(  # type: ignore[no-untyped-def]
    dose, i, j, k, q, w, rho, d, best
):  # pragma: no cover
    """Squared distance in mm² and nearest point (cell coordinates) within the six tetrahedra.

    Only what is better than ``best`` counts; where nothing is, the point has no meaning.
    """
    corner = np.empty((4, 4))
    root = (np.sqrt(w[0]), np.sqrt(w[1]), np.sqrt(w[2]), np.sqrt(rho))
    qx, qy, qz = q
    px, py, pz = 0.0, 0.0, 0.0
    for order in range(6):
        a, b, c = 0, 0, 0
        least, most = np.inf, -np.inf
        for n in range(4):
            if n > 0:
                axis = _ORDERS[order, n - 1]
                a, b, c = a + (axis == 0), b + (axis == 1), c + (axis == 2)
            f = np.float64(dose[i + a, j + b, k + c])
            least, most = min(least, f), max(most, f)
            corner[n, 0] = root[0] * (a - qx)
            corner[n, 1] = root[1] * (b - qy)
            corner[n, 2] = root[2] * (c - qz)
            corner[n, 3] = root[3] * (f - d)
        gap = max(0.0, least - d, d - most)
        if rho * gap * gap >= best:
            continue
        value, x, y, z = nearest_of_tetrahedron(corner)
        if value < best:
            best = value
            px, py, pz = x / root[0] + qx, y / root[1] + qy, z / root[2] + qz
    return best, px, py, pz


@compiled
def nearest_of_tetrahedron(corner):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance of the origin from a tetrahedron in 4-D, and the point's first three.

    ``corner`` holds the four corners as rows. The foot of the perpendicular onto the tetrahedron
    counts where it lies inside; else the nearest point lies on a triangle, an edge or a corner.
    """
    inside, value, x, y, z = _foot_in_tetrahedron(corner)
    if inside:
        return value, x, y, z
    best, bx, by, bz = np.inf, 0.0, 0.0, 0.0
    for n in range(4):
        value, x, y, z = _foot_in_triangle(
            corner[_FACES[n, 0]], corner[_FACES[n, 1]], corner[_FACES[n, 2]]
        )
        if value < best:
            best, bx, by, bz = value, x, y, z
    for n in range(6):
        value, x, y, z = _nearest_of_edge(corner[_EDGES[n, 0]], corner[_EDGES[n, 1]])
        if value < best:
            best, bx, by, bz = value, x, y, z
    return best, bx, by, bz


@compiled
def _between(a, b, c):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Scalar product (b - a) · (c - a)."""
    total = 0.0
    for n in range(4):
        total += (b[n] - a[n]) * (c[n] - a[n])
    return total


@compiled
def _along(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Scalar product (b - a) · (0 - a)."""
    total = 0.0
    for n in range(4):
        total -= (b[n] - a[n]) * a[n]
    return total


@compiled
def _nearest_of_edge(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    s = min(max(_along(a, b) / _between(a, b, b), 0.0), 1.0)
    x, y, z = a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1]), a[2] + s * (b[2] - a[2])
    last = a[3] + s * (b[3] - a[3])
    return x * x + y * y + z * z + last * last, x, y, z


@compiled
def _foot_in_triangle(a, b, c):  # type: ignore[no-untyped-def]  # pragma: no cover
    bb, bc, cc = _between(a, b, b), _between(a, b, c), _between(a, c, c)
    rb, rc = _along(a, b), _along(a, c)
    determinant = bb * cc - bc * bc
    if determinant <= _FLAT * bb * cc:
        return np.inf, 0.0, 0.0, 0.0
    s = (rb * cc - rc * bc) / determinant
    t = (rc * bb - rb * bc) / determinant
    if s < 0.0 or t < 0.0 or s + t > 1.0:
        return np.inf, 0.0, 0.0, 0.0
    x = a[0] + s * (b[0] - a[0]) + t * (c[0] - a[0])
    y = a[1] + s * (b[1] - a[1]) + t * (c[1] - a[1])
    z = a[2] + s * (b[2] - a[2]) + t * (c[2] - a[2])
    last = a[3] + s * (b[3] - a[3]) + t * (c[3] - a[3])
    return x * x + y * y + z * z + last * last, x, y, z


@compiled
def _foot_in_tetrahedron(corner):  # type: ignore[no-untyped-def]  # pragma: no cover
    o, a, b, c = corner[0], corner[1], corner[2], corner[3]
    aa, bb, cc = _between(o, a, a), _between(o, b, b), _between(o, c, c)
    ab, ac, bc = _between(o, a, b), _between(o, a, c), _between(o, b, c)
    ra, rb, rc = _along(o, a), _along(o, b), _along(o, c)
    m0, m1, m2 = bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb
    determinant = aa * m0 + ab * m1 + ac * m2
    if determinant <= _FLAT * aa * bb * cc:
        return False, np.inf, 0.0, 0.0, 0.0
    n1, n2, n3 = aa * cc - ac * ac, ab * ac - aa * bc, aa * bb - ab * ab
    s = (ra * m0 + rb * m1 + rc * m2) / determinant
    t = (ra * m1 + rb * n1 + rc * n2) / determinant
    r = (ra * m2 + rb * n2 + rc * n3) / determinant
    if s < 0.0 or t < 0.0 or r < 0.0 or s + t + r > 1.0:
        return False, np.inf, 0.0, 0.0, 0.0
    x = o[0] + s * (a[0] - o[0]) + t * (b[0] - o[0]) + r * (c[0] - o[0])
    y = o[1] + s * (a[1] - o[1]) + t * (b[1] - o[1]) + r * (c[1] - o[1])
    z = o[2] + s * (a[2] - o[2]) + t * (b[2] - o[2]) + r * (c[2] - o[2])
    last = o[3] + s * (a[3] - o[3]) + t * (b[3] - o[3]) + r * (c[3] - o[3])
    return True, x * x + y * y + z * z + last * last, x, y, z
