"""The loops behind the error in blocks and on a beam's way; importing this module loads numba.

``x`` and ``y`` are a row of the reference and of the synthetic image in HU; tissue lies from
``low`` to ``high``; ``known`` HU have the relative electron densities ``values``; ``line`` takes
the sums.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def _interpolated(value, known, values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Interpolate linearly between points; beyond the ends as at the ends."""
    last = known.size - 1
    if value <= known[0]:
        return values[0]
    if value >= known[last]:
        return values[last]
    n = 0
    while value >= known[n + 1]:
        n += 1
    slope = (values[n + 1] - values[n]) / (known[n + 1] - known[n])
    return slope * (value - known[n]) + values[n]


@compiled
def _read_line(x, y, mask, low, high, known, values, line):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill five lines with tissue error, tissue, error, mask and change of density."""
    found = False
    for k in range(mask.size):
        inside = mask[k]
        even = inside and low <= x[k] < high
        error = y[k] - x[k] if inside else np.float32(0.0)
        change = np.float32(0.0)
        if inside and known.size > 0:
            water = np.float32(_interpolated(np.float64(y[k]), known, values))
            change = water - np.float32(_interpolated(np.float64(x[k]), known, values))
        line[0, k] = error if even else np.float32(0.0)
        line[1, k] = np.float32(1.0 if even else 0.0)
        line[2, k] = error
        line[3, k] = np.float32(1.0 if inside else 0.0)
        line[4, k] = change
        found |= inside
    return found


@compiled
def _add_means(source, factor, target):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the means of so many neighbours along the last axis; beyond its end all is zero."""
    for q in range(source.shape[0]):
        for b in range(target.shape[1]):
            total = np.float32(0.0)
            for k in range(b * factor, min((b + 1) * factor, source.shape[1])):
                total += source[q, k]
            target[q, b] += np.float32(total / np.float32(factor))


@compiled
def block_means(  # type: ignore[no-untyped-def]
    reference, synthetic, mask, low, high, known, values, factor, means
):  # pragma: no cover
    """Average five quantities of a pair in blocks of voxels, in float32, axis by axis.

    Parameters
    ----------
    reference, synthetic : ndarray of float32, shape (ni, nj, nk)
    mask : ndarray of bool, same shape
    low, high : float
        Even tissue is where the reference lies in ``[low, high)``.
    known, values : ndarray of float64, shape (points,)
        Relative electron density of values; none: the change of density stays zero.
    factor : tuple of int
        Voxels of a block along i, j, k; what lies beyond the image counts as 0.
    means : ndarray of float32, shape (5, blocks along i, j, k)
        Zeros, to be filled with tissue error, share of tissue, error, share of the mask and
        change of density.
    """
    ni, nj, nk = mask.shape
    fi, fj, fk = factor
    line = np.empty((5, nk), dtype=np.float32)
    rows = np.empty((5, means.shape[3]), dtype=np.float32)
    for i in range(ni):
        for bj in range(means.shape[2]):
            rows[:] = np.float32(0.0)
            for j in range(bj * fj, min((bj + 1) * fj, nj)):
                x, y, inside = reference[i, j], synthetic[i, j], mask[i, j]
                if _read_line(x, y, inside, low, high, known, values, line):
                    _add_means(line, fk, rows)
            for q in range(5):
                for b in range(rows.shape[1]):
                    means[q, i // fi, bj, b] += rows[q, b] / np.float32(fj)
    for q in range(5):
        block = means[q]
        for a in range(block.shape[0]):
            for b in range(block.shape[1]):
                for c in range(block.shape[2]):
                    block[a, b, c] /= np.float32(fi)


@compiled
def along_beam(plane, targets, along, direction, spacing_mm):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sum a plane's values along the ways to the targets, nearest voxel by nearest voxel.

    Parameters
    ----------
    plane : ndarray of float64, shape (nx, ny)
        Outside of it there is nothing.
    targets : ndarray of float64, shape (n, 2)
        In mm from the first voxel.
    along : ndarray of float64
        Distances from a target at which the plane is read, in mm.
    direction : ndarray of float64, shape (2,)
        From the target towards the source of the beam.
    spacing_mm : ndarray of float64, shape (2,)
        Of the plane's voxels.
    """
    total = 0.0
    for n in range(targets.shape[0]):
        for distance in along:
            i = int(np.rint((targets[n, 0] + distance * direction[0]) / spacing_mm[0]))
            j = int(np.rint((targets[n, 1] + distance * direction[1]) / spacing_mm[1]))
            if 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]:
                total += plane[i, j]
    return total
