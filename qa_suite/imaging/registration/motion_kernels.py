"""Inner loops of geometric fidelity: interpolation, rigid steps, block matching, profiles.

Importing this module loads numba, so it is imported where it is used.

``points`` are in mm; a motion is ``turn`` (3×3) and ``shift`` (mm); ``to_index`` (3×3) and
``offset`` bring mm to indices of the image.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

# mypy sees no types in here: numba derives them from what it is called with.


@compiled
def _linear(image, x, y, z, gradient):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Trilinear value at an index inside the image; its gradient (by index) is filled in."""
    ni, nj, nk = image.shape
    i, j, k = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
    u, v, w = x - i, y - j, z - k
    a000, a001 = image[i, j, k], image[i, j, k + 1]
    a010, a011 = image[i, j + 1, k], image[i, j + 1, k + 1]
    a100, a101 = image[i + 1, j, k], image[i + 1, j, k + 1]
    a110, a111 = image[i + 1, j + 1, k], image[i + 1, j + 1, k + 1]
    b00, b01 = a000 + u * (a100 - a000), a001 + u * (a101 - a001)
    b10, b11 = a010 + u * (a110 - a010), a011 + u * (a111 - a011)
    c0, c1 = b00 + v * (b10 - b00), b01 + v * (b11 - b01)
    d0 = (1 - v) * (a100 - a000) + v * (a110 - a010)
    d1 = (1 - v) * (a101 - a001) + v * (a111 - a011)
    gradient[0] = d0 + w * (d1 - d0)
    gradient[1] = (1 - w) * (b10 - b00) + w * (b11 - b01)
    gradient[2] = c1 - c0
    return c0 + w * (c1 - c0)


@compiled
def _inside(shape, x, y, z):  # type: ignore[no-untyped-def]  # pragma: no cover
    return (
        x >= 0
        and y >= 0
        and z >= 0
        and x <= shape[0] - 1
        and y <= shape[1] - 1
        and z <= shape[2] - 1
    )


@compiled
def _cubic_weights(u, weight):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cubic convolution with a = −1/2 (Keys 1981, IEEE Trans ASSP 29:1153)."""
    weight[0] = u * (-0.5 + u * (1.0 - 0.5 * u))
    weight[1] = 1.0 + u * u * (-2.5 + 1.5 * u)
    weight[2] = u * (0.5 + u * (2.0 - 1.5 * u))
    weight[3] = u * u * (-0.5 + 0.5 * u)


@compiled
def _cubic(image, x, y, z, wi, wj, wk):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cubic interpolation at an index; beyond the image its edge goes on."""
    ni, nj, nk = image.shape
    x, y, z = min(max(x, 0.0), ni - 1.0), min(max(y, 0.0), nj - 1.0), min(max(z, 0.0), nk - 1.0)
    i, j, k = int(x), int(y), int(z)
    _cubic_weights(x - i, wi)
    _cubic_weights(y - j, wj)
    _cubic_weights(z - k, wk)
    total = 0.0
    for a in range(4):
        ii = min(max(i + a - 1, 0), ni - 1)
        for b in range(4):
            jj = min(max(j + b - 1, 0), nj - 1)
            line = 0.0
            for c in range(4):
                line += wk[c] * image[ii, jj, min(max(k + c - 1, 0), nk - 1)]
            total += wi[a] * wj[b] * line
    return total


@compiled
def scan_moved(  # type: ignore[no-untyped-def]
    image, region, matrix, first, to_mm, corner_mm, radius_mm, half_mm, cupping, values, seen
):  # pragma: no cover
    """Read a moved image on a grid, with cupping, and say which voxels show the region.

    Parameters
    ----------
    image, region
        On one grid.
    matrix, first
        Index into the image: ``matrix @ (i, j, k) + first``.
    to_mm, corner_mm
        Position from the isocentre: ``to_mm @ (i, j, k) + corner_mm``.
    radius_mm, half_mm
        Of the cylinder that is seen.
    cupping
        Lack on the axis; it falls with the square of the radius over ``radius_mm``.
    values, seen
        Filled; they have the shape of the new grid.
    """
    ni, nj, nk = image.shape
    wi, wj, wk = np.empty(4), np.empty(4), np.empty(4)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            for k in range(values.shape[2]):
                x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + first[0]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + first[1]
                z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + first[2]
                left = to_mm[0, 0] * i + to_mm[0, 1] * j + to_mm[0, 2] * k + corner_mm[0]
                back = to_mm[1, 0] * i + to_mm[1, 1] * j + to_mm[1, 2] * k + corner_mm[1]
                head = to_mm[2, 0] * i + to_mm[2, 1] * j + to_mm[2, 2] * k + corner_mm[2]
                share = (left * left + back * back) / (radius_mm * radius_mm)
                values[i, j, k] = _cubic(image, x, y, z, wi, wj, wk) - cupping * max(
                    0.0, 1.0 - share
                )
                a, b, c = int(np.rint(x)), int(np.rint(y)), int(np.rint(z))
                known = 0 <= a < ni and 0 <= b < nj and 0 <= c < nk
                seen[i, j, k] = known and region[a, b, c] and share <= 1.0 and abs(head) <= half_mm


@compiled
def block_mean(image, step, low, high, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mean of clipped values over blocks of ``step`` voxels."""
    share = np.float32(1.0 / (step[0] * step[1] * step[2]))
    for a in range(result.shape[0]):
        for b in range(result.shape[1]):
            for c in range(result.shape[2]):
                total = 0.0
                for i in range(a * step[0], (a + 1) * step[0]):
                    for j in range(b * step[1], (b + 1) * step[1]):
                        for k in range(c * step[2], (c + 1) * step[2]):
                            total += min(max(image[i, j, k], low), high)
                result[a, b, c] = total * share


@compiled
def rigid_rows(  # type: ignore[no-untyped-def]
    points, turn, shift, moving, to_index, offset, value, rows
):  # pragma: no cover
    """Value of the moving image at every moved point, and its derivative by the motion.

    ``rows[n]`` holds d value / d (shift, rotation vector) in mm and rad; ``value`` is NaN where
    a point leaves the image.
    """
    gradient = np.empty(3)
    for n in range(points.shape[0]):
        p0, p1, p2 = points[n, 0], points[n, 1], points[n, 2]
        r0 = turn[0, 0] * p0 + turn[0, 1] * p1 + turn[0, 2] * p2
        r1 = turn[1, 0] * p0 + turn[1, 1] * p1 + turn[1, 2] * p2
        r2 = turn[2, 0] * p0 + turn[2, 1] * p1 + turn[2, 2] * p2
        q0, q1, q2 = r0 + shift[0], r1 + shift[1], r2 + shift[2]
        x = to_index[0, 0] * q0 + to_index[0, 1] * q1 + to_index[0, 2] * q2 + offset[0]
        y = to_index[1, 0] * q0 + to_index[1, 1] * q1 + to_index[1, 2] * q2 + offset[1]
        z = to_index[2, 0] * q0 + to_index[2, 1] * q1 + to_index[2, 2] * q2 + offset[2]
        if not _inside(moving.shape, x, y, z):
            value[n] = np.nan
            rows[n, :] = 0.0
            continue
        value[n] = _linear(moving, x, y, z, gradient)
        d0, d1, d2 = gradient
        g0 = to_index[0, 0] * d0 + to_index[1, 0] * d1 + to_index[2, 0] * d2
        g1 = to_index[0, 1] * d0 + to_index[1, 1] * d1 + to_index[2, 1] * d2
        g2 = to_index[0, 2] * d0 + to_index[1, 2] * d1 + to_index[2, 2] * d2
        rows[n, 0], rows[n, 1], rows[n, 2] = g0, g1, g2
        rows[n, 3] = r1 * g2 - r2 * g1
        rows[n, 4] = r2 * g0 - r0 * g2
        rows[n, 5] = r0 * g1 - r1 * g0


@compiled
def normal_equations(rows, gain, value, basis, target, weight):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Weighted normal equations of ``target = gain·value + gain·rows·step + basis·field``.

    Unknowns: six of the step, the gain, the field's terms. Points with weight 0 do not count.
    """
    terms = basis.shape[1]
    size = 7 + terms
    left = np.zeros((size, size))
    right = np.zeros(size)
    row = np.empty(size)
    for n in range(rows.shape[0]):
        w = weight[n]
        if w == 0.0:
            continue
        for a in range(6):
            row[a] = gain * rows[n, a]
        row[6] = value[n]
        for a in range(terms):
            row[7 + a] = basis[n, a]
        for a in range(size):
            scaled = w * row[a]
            right[a] += scaled * target[n]
            for b in range(a + 1):
                left[a, b] += scaled * row[b]
    for a in range(size):
        for b in range(a + 1, size):
            left[a, b] = left[b, a]
    return left, right


@compiled
def residuals(target, value, gain, basis, terms, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``target − gain·value − basis @ terms``."""
    for n in range(target.size):
        field = 0.0
        for a in range(terms.size):
            field += basis[n, a] * terms[a]
        result[n] = target[n] - gain * value[n] - field


@compiled
def gram(basis, value, target, used):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Inner products of the basis, the value and the target (in this order) over used points."""
    terms = basis.shape[1]
    result = np.zeros((terms + 2, terms + 2))
    row = np.empty(terms + 2)
    for n in range(value.size):
        if not used[n]:
            continue
        for a in range(terms):
            row[a] = basis[n, a]
        row[terms], row[terms + 1] = value[n], target[n]
        for a in range(terms + 2):
            for b in range(a + 1):
                result[a, b] += row[a] * row[b]
    for a in range(terms + 2):
        for b in range(a + 1, terms + 2):
            result[a, b] = result[b, a]
    return result
