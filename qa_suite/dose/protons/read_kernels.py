"""Reading planes of dose at voxel centres; importing this module loads numba."""

from __future__ import annotations

from numba import njit


@njit(nogil=True, cache=True, inline="always")
def _weights(t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the four cubic B-spline weights at a share ``t`` of the way to the next point."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        2.0 / 3.0 - 0.5 * t * t * (2.0 - t),
        2.0 / 3.0 - 0.5 * s * s * (2.0 - s),
        t * t * t / 6.0,
    )


@njit(nogil=True, cache=True, inline="always")
def _mirror(n, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    if n < 0:
        return -n
    if n >= size:
        return 2 * (size - 1) - n
    return n


@njit(nogil=True, cache=True)
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
