"""The loops behind the proton dose; importing this module loads numba.

Names: a *ray* is one sub-pencil of the lattice, ``x`` and ``y`` count lattice points in the
isocentre plane, ``z`` counts planes away from the source.

``first`` and ``last`` are the rays that one call takes. ``wed`` (z, ray) is water-equivalent
depth in mm, ``field`` the relative stopping power, (i, j, k). ``z_mm`` are places of the planes,
``scales`` their size over that of the isocentre plane, and ``ray_mm`` the lattice's step there.
``angles`` is the scattered angle, squared, by depth; tables by depth run in steps of ``step`` mm
until ``end``. ``variances`` are the widths, squared, that dose is sorted by; ``sub2`` is the
squared width of one sub-pencil. ``x_mm`` and ``y_mm`` are the spots' places; points lie at
``depths`` and reach over ``halves`` around them.
"""

from __future__ import annotations

import numpy as np

from qa_suite.dose.range.raytrace_kernels import trace
from qa_suite.imaging.compiled import compiled


@compiled
def plane_depths(field, starts, slopes, lengths, z_mm, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``out[z, ray]`` with the exact integral from plane 0 to plane z.

    A ray is at ``starts + z_mm · slopes`` in voxel indices; ``lengths`` is its length per mm
    of ``z_mm``.
    """
    for n in range(first, last):
        sx, sy, sz = starts[n]
        dx, dy, dz = slopes[n]
        total = 0.0
        out[0, n] = 0.0
        for k in range(1, z_mm.size):
            a, b = z_mm[k - 1], z_mm[k]
            step = abs(b - a) * lengths[n]
            total += step * trace(
                field, sx + a * dx, sy + a * dy, sz + a * dz, sx + b * dx, sy + b * dy, sz + b * dz
            )
            out[k, n] = total


@compiled(inline="always")
def _look(table, depth, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Read a table in steps of ``step`` mm, linear, 0 behind its end."""
    at = depth / step
    n = int(at)
    if n >= table.size - 1:
        return 0.0
    return table[n] + (at - n) * (table[n + 1] - table[n])


@compiled(inline="always")
def _angle(table, depth, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Read a table that stays what it is behind its end."""
    at = depth / step
    n = int(at)
    if n >= table.size - 1:
        return table[table.size - 1]
    return table[n] + (at - n) * (table[n + 1] - table[n])


@compiled
def spread_along(wed, angles, step, z_mm, scales, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``out[z, ray]`` with the variance by scattering, in the isocentre plane's mm².

    Fermi and Eyges: the angle gained in tissue, the width by geometric distance, so that a
    gap of air widens a beam that has been scattered before it.
    """
    for n in range(first, last):
        a0 = a1 = a2 = 0.0
        before = 0.0
        out[0, n] = 0.0
        for k in range(1, z_mm.size):
            dz = abs(z_mm[k] - z_mm[k - 1])
            here = _angle(angles, wed[k, n], step)
            gain = here - before
            before = here
            a2 += 2 * a1 * dz + a0 * dz * dz + gain * dz * dz / 3
            a1 += a0 * dz + gain * dz / 2
            a0 += gain
            out[k, n] = a2 / (scales[k] * scales[k])


@compiled
def deposit(  # type: ignore[no-untyped-def]
    wed, protons, doses, angles, ends, step, z_mm, scales, variances, first, last, out
):  # pragma: no cover
    """Fill ``out[bin, z, ray]`` with what every ray leaves on its axis, sorted by width.

    ``protons`` (energies, rays); ``doses`` and ``angles`` (energies, depths) are tables in
    steps of ``step`` mm; ``ends`` is the last depth of each energy. A width between two
    bins goes to both, so that its variance is kept.
    """
    bins = variances.size
    for n in range(first, last):
        for e in range(protons.shape[0]):
            count = protons[e, n]
            if count == 0.0:
                continue
            a0 = a1 = a2 = 0.0
            before = 0.0
            b = 0
            for k in range(z_mm.size):
                depth = wed[k, n]
                if depth > ends[e]:
                    break
                if k > 0:
                    dz = abs(z_mm[k] - z_mm[k - 1])
                    here = _angle(angles[e], depth, step)
                    gain = here - before
                    before = here
                    a2 += 2 * a1 * dz + a0 * dz * dz + gain * dz * dz / 3
                    a1 += a0 * dz + gain * dz / 2
                    a0 += gain
                square = scales[k] * scales[k]
                value = count * _look(doses[e], depth, step) / square
                extra = a2 / square
                while b < bins - 2 and extra > variances[b + 1]:
                    b += 1
                while b > 0 and extra < variances[b]:
                    b -= 1
                share = (extra - variances[b]) / (variances[b + 1] - variances[b])
                share = min(max(share, 0.0), 1.0)
                out[b, k, n] += value * (1.0 - share)
                out[b + 1, k, n] += value * share


@compiled
def blur(sources, taps, reach, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add up the sources of all widths, each blurred by its own Gaussian, plane by plane.

    ``sources`` (bins, z, y, x); ``taps`` (bins, most) holds half a kernel, from its middle;
    ``reach`` how many of them count.
    """
    bins, _, ny, nx = sources.shape
    rows = np.zeros((ny, nx))
    for k in range(first, last):
        for b in range(bins):
            top, bottom = ny, -1
            for y in range(ny):
                some = False
                for x in range(nx):
                    if sources[b, k, y, x] != 0.0:
                        some = True
                        break
                if some:
                    top, bottom = min(top, y), y
            if bottom < 0:
                continue
            length = reach[b]
            for y in range(top, bottom + 1):
                for x in range(nx):
                    rows[y, x] = 0.0
                for x in range(nx):
                    value = sources[b, k, y, x]
                    if value == 0.0:
                        continue
                    rows[y, x] += value * taps[b, 0]
                    for t in range(1, length):
                        if x - t >= 0:
                            rows[y, x - t] += value * taps[b, t]
                        if x + t < nx:
                            rows[y, x + t] += value * taps[b, t]
            for y in range(max(0, top - length + 1), min(ny, bottom + length)):
                for source in range(max(top, y - length + 1), min(bottom + 1, y + length)):
                    tap = taps[b, abs(source - y)]
                    for x in range(nx):
                        out[k, y, x] += tap * rows[source, x]


@compiled
def depth_ranges(plane_mm, depths, halves, x_mm, y_mm, radius, near, far):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Note the nearest and the farthest depth of all points within ``radius`` of a spot.

    ``plane_mm`` (points, 2); ``near`` and ``far`` (y, x) start at +∞ and −∞.
    """
    step_x, step_y = x_mm[1] - x_mm[0], y_mm[1] - y_mm[0]
    for n in range(depths.size):
        px, py = plane_mm[n, 0], plane_mm[n, 1]
        ix0 = max(0, int(np.ceil((px - radius - x_mm[0]) / step_x)))
        ix1 = min(x_mm.size - 1, int(np.floor((px + radius - x_mm[0]) / step_x)))
        iy0 = max(0, int(np.ceil((py - radius - y_mm[0]) / step_y)))
        iy1 = min(y_mm.size - 1, int(np.floor((py + radius - y_mm[0]) / step_y)))
        for iy in range(iy0, iy1 + 1):
            for ix in range(ix0, ix1 + 1):
                if (x_mm[ix] - px) ** 2 + (y_mm[iy] - py) ** 2 <= radius * radius:
                    near[iy, ix] = min(near[iy, ix], depths[n] - halves[n])
                    far[iy, ix] = max(far[iy, ix], depths[n] + halves[n])


@compiled
def spot_rows(  # type: ignore[no-untyped-def]
    at,
    wed,
    variance,
    scales,
    dose,
    end,
    step,
    sub2,
    ray_mm,
    shares,
    stride,
    columns,
    offset,
    reach,
    least,
    rows,
    cols,
    values,
):  # pragma: no cover
    """Write down what every spot of one energy gives to points; return the number of entries.

    Parameters
    ----------
    at
        (points, 3): fractional (z, y, x) on the fan.
    wed, variance
        (z, y, x): depth in mm, variance by scattering in mm² of the isocentre plane.
    shares
        Half of the lattice weights that make a spot of sub-pencils, from the middle.
    stride, columns, offset
        Spots stand at every ``stride``-th lattice point from ``offset`` (y, x); ``columns``
        (spots y, spots x) holds their number, or −1.
    reach
        Of a Gaussian, in its σ.
    least
        Smaller values are left out.
    rows, cols, values
        What is filled.
    """
    ny, nx = wed.shape[1], wed.shape[2]
    sy_all, sx_all = columns.shape
    most = 2 * max(nx, ny) + 1
    half = shares.size - 1
    across = np.zeros((ny, sx_all))
    kernel = np.zeros((ny, nx))
    weight = np.zeros(most)
    count = 0
    for p in range(at.shape[0]):
        k = int(at[p, 0])
        up = at[p, 0] - k
        cy, cx = int(np.rint(at[p, 1])), int(np.rint(at[p, 2]))
        scale = scales[k] + up * (scales[k + 1] - scales[k])
        centre = variance[k, cy, cx] + up * (variance[k + 1, cy, cx] - variance[k, cy, cx])
        radius = int(np.ceil(reach * np.sqrt(sub2 + 1.2 * centre) / ray_mm))
        y0, y1 = max(0, cy - radius), min(ny - 1, cy + radius)
        x0, x1 = max(0, cx - radius), min(nx - 1, cx + radius)
        some = False
        for y in range(y0, y1 + 1):
            dy2 = ((y - at[p, 1]) * ray_mm) ** 2
            for x in range(x0, x1 + 1):
                depth = wed[k, y, x] + up * (wed[k + 1, y, x] - wed[k, y, x])
                if depth > end:
                    kernel[y, x] = 0.0
                    continue
                some = True
                total = sub2 + variance[k, y, x]
                total += up * (variance[k + 1, y, x] - variance[k, y, x])
                r2 = dy2 + ((x - at[p, 2]) * ray_mm) ** 2
                kernel[y, x] = (
                    100.0
                    * _look(dose, depth, step)
                    * np.exp(-0.5 * r2 / total)
                    / (2.0 * np.pi * total * scale * scale)
                )
        if not some:
            continue
        first_x = max(0, (x0 - half - offset[1] + stride - 1) // stride)
        last_x = min(sx_all - 1, (x1 + half - offset[1]) // stride)
        first_y = max(0, (y0 - half - offset[0] + stride - 1) // stride)
        last_y = min(sy_all - 1, (y1 + half - offset[0]) // stride)
        for y in range(y0, y1 + 1):
            for sx in range(first_x, last_x + 1):
                x = offset[1] + sx * stride
                total = 0.0
                for source in range(max(x0, x - half), min(x1, x + half) + 1):
                    total += kernel[y, source] * shares[abs(source - x)]
                across[y, sx] = total
        for sy in range(first_y, last_y + 1):
            y = offset[0] + sy * stride
            low, high = max(y0, y - half), min(y1, y + half)
            for source in range(low, high + 1):
                weight[source - low] = shares[abs(source - y)]
            for sx in range(first_x, last_x + 1):
                column = columns[sy, sx]
                if column < 0:
                    continue
                total = 0.0
                for source in range(low, high + 1):
                    total += across[source, sx] * weight[source - low]
                if total > least:
                    rows[count], cols[count], values[count] = p, column, total
                    count += 1
    return count


@compiled(inline="always")
def _weights(t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the four cubic B-spline weights at a share ``t`` of the way to the next point."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        2.0 / 3.0 - 0.5 * t * t * (2.0 - t),
        2.0 / 3.0 - 0.5 * s * s * (2.0 - s),
        t * t * t / 6.0,
    )


@compiled(inline="always")
def _mirror(n, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    if n < 0:
        return -n
    if n >= size:
        return 2 * (size - 1) - n
    return n


@compiled
def read_rows(coefficients, density, to_beam, sad, starts, steps, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the dose at the voxels ``out[first:last]``, where the density is above 0.

    Parameters
    ----------
    coefficients
        Of cubic B-splines, (z, y, x), at least four points an axis.
    to_beam
        3×4, from voxel indices to beam coordinates in mm.
    sad
        From source to isocentre in mm; 0 for parallel rays.
    starts, steps
        Of the fan along z, y and x.
    """
    nz, ny, nx = coefficients.shape
    for i in range(first, last):
        for j in range(density.shape[1]):
            for k in range(density.shape[2]):
                if density[i, j, k] <= 0:
                    continue
                bx = to_beam[0, 0] * i + to_beam[0, 1] * j + to_beam[0, 2] * k + to_beam[0, 3]
                by = to_beam[1, 0] * i + to_beam[1, 1] * j + to_beam[1, 2] * k + to_beam[1, 3]
                bz = to_beam[2, 0] * i + to_beam[2, 1] * j + to_beam[2, 2] * k + to_beam[2, 3]
                scale = sad / (sad - bz) if sad > 0 else 1.0
                z = (bz - starts[0]) / steps[0]
                y = (by * scale - starts[1]) / steps[1]
                x = (bx * scale - starts[2]) / steps[2]
                if z < 0 or y < 0 or x < 0 or z > nz - 1 or y > ny - 1 or x > nx - 1:
                    continue
                iz, iy, ix = min(int(z), nz - 2), min(int(y), ny - 2), min(int(x), nx - 2)
                wz, wy, wx = _weights(z - iz), _weights(y - iy), _weights(x - ix)
                total = 0.0
                for a in range(4):
                    pz = _mirror(iz + a - 1, nz)
                    for b in range(4):
                        py = _mirror(iy + b - 1, ny)
                        weight = wz[a] * wy[b]
                        for c in range(4):
                            px = _mirror(ix + c - 1, nx)
                            total += weight * wx[c] * coefficients[pz, py, px]
                if total > 0:
                    out[i, j, k] += total
