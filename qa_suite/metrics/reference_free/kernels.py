"""Loops over voxels for the checks without a reference.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def joint_counts(a, b, mask, perm, sign, offset, bins, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Joint histograms of two coded images, as they lie and with the second one moved.

    Parameters
    ----------
    a, b
        Codes below ``bins``, uint8, of one shape.
    mask
        Where it is counted, on the grid of ``a``.
    perm, sign, offset
        Voxel p of ``a`` meets voxel ``sign[d] · p[perm[d]] + offset[d]`` of ``b`` along d.
    bins
        Number of codes.
    step
        Every so many voxels along each axis are looked at.

    Returns
    -------
    two arrays of shape (bins, bins): as they lie, and moved; over the same voxels, those
    that meet one inside the grid
    """
    plain = np.zeros((bins, bins), dtype=np.int64)
    moved = np.zeros((bins, bins), dtype=np.int64)
    ni, nj, nk = a.shape
    p = np.zeros(3, dtype=np.int64)
    for i in range(0, ni, step):
        p[0] = i
        for j in range(0, nj, step):
            p[1] = j
            for k in range(0, nk, step):
                if not mask[i, j, k]:
                    continue
                p[2] = k
                x = sign[0] * p[perm[0]] + offset[0]
                y = sign[1] * p[perm[1]] + offset[1]
                z = sign[2] * p[perm[2]] + offset[2]
                if x < 0 or y < 0 or z < 0 or x >= ni or y >= nj or z >= nk:
                    continue
                plain[a[i, j, k], b[i, j, k]] += 1
                moved[a[i, j, k], b[x, y, z]] += 1
    return plain, moved


@compiled
def slice_counts(a, b, mask, lag, bins):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Joint histogram of each slice k of ``a`` with slice ``k + lag`` of ``b``.

    Returns
    -------
    array of shape (slices, bins, bins); slices without a partner stay empty
    """
    ni, nj, nk = a.shape
    counts = np.zeros((nk, bins, bins), dtype=np.int64)
    first, last = max(0, -lag), min(nk, nk - lag)
    for i in range(ni):
        for j in range(nj):
            for k in range(first, last):
                if mask[i, j, k]:
                    counts[k, a[i, j, k], b[i, j, k + lag]] += 1
    return counts


@compiled
def residuals(planes, body, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """High-pass within each slice: the difference of two Laplacians (Immerkær 1996).

    The mask [1 −2 1] ⊗ [1 −2 1] / 6 answers white noise with its standard deviation, and
    neither planes nor straight edges along the axes at all.

    Parameters
    ----------
    planes, body
        Values and body slice by slice, shape (nz, nx, ny).
    low, high
        Voxels beyond are left out with their neighbours.

    Returns
    -------
    array of shape (n,) and array of shape (nz,): the answers wherever all nine voxels lie in
    the body and between ``low`` and ``high``, slice after slice, and how many each slice has
    """
    nk, ni, nj = planes.shape
    found = np.empty(planes.size, dtype=np.float32)
    counts = np.zeros(nk, dtype=np.int64)
    n = 0
    for k in range(nk):
        for i in range(1, ni - 1):
            for j in range(1, nj - 1):
                if not body[k, i, j]:
                    continue
                total, good = 0.0, True
                for a in range(-1, 2):
                    for b in range(-1, 2):
                        v = planes[k, i + a, j + b]
                        if not body[k, i + a, j + b] or v < low or v > high:
                            good = False
                            break
                        weight = (1.0 if a else -2.0) * (1.0 if b else -2.0)
                        total += weight * v
                    if not good:
                        break
                if good:
                    found[n] = total / 6.0
                    counts[k] += 1
                    n += 1
    return found[:n].copy(), counts


@compiled
def coded(values, low, high, bins):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cut values into ``bins`` steps between ``low`` and ``high``; those beyond go to the ends."""
    codes = np.empty(values.shape, dtype=np.uint8)
    flat, out = values.ravel(), codes.ravel()
    scale = bins / (high - low)
    for n in range(flat.size):
        step = (flat[n] - low) * scale
        out[n] = min(max(step, 0.0), bins - 1.0)
    return codes


@compiled
def edge_gradients(values, mask, spacing):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Length of the gradient in every cell of eight voxels that a mask's surface crosses.

    Returns
    -------
    array of shape (n,), per mm
    """
    ni, nj, nk = values.shape
    found = np.empty(ni * nj * nk, dtype=np.float32)
    n = 0
    for i in range(ni - 1):
        for j in range(nj - 1):
            for k in range(nk - 1):
                inside = 0
                gi, gj, gk = 0.0, 0.0, 0.0
                for a in range(2):
                    for b in range(2):
                        for c in range(2):
                            if mask[i + a, j + b, k + c]:
                                inside += 1
                            v = values[i + a, j + b, k + c]
                            gi += v if a else -v
                            gj += v if b else -v
                            gk += v if c else -v
                if inside == 0 or inside == 8:
                    continue
                gi /= 4 * spacing[0]
                gj /= 4 * spacing[1]
                gk /= 4 * spacing[2]
                found[n] = np.sqrt(gi * gi + gj * gj + gk * gk)
                n += 1
    return found[:n].copy()


@compiled
def count_isolated(values, body, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count the voxels of the body that stand ``step`` above, or below, all six neighbours."""
    ni, nj, nk = values.shape
    count = 0
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if not body[i, j, k]:
                    continue
                v = values[i, j, k]
                high, low = -np.inf, np.inf
                for axis in range(3):
                    for side in (-1, 1):
                        x = i + (side if axis == 0 else 0)
                        y = j + (side if axis == 1 else 0)
                        z = k + (side if axis == 2 else 0)
                        if x < 0 or y < 0 or z < 0 or x >= ni or y >= nj or z >= nk:
                            continue
                        w = values[x, y, z]
                        high, low = max(high, w), min(low, w)
                if high >= low and (v > high + step or v < low - step):
                    count += 1
    return count


@compiled
def mean_step(values, body, lag):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mean absolute difference of two voxels ``lag`` apart along the first axis, both in the body.

    0 where there are none.
    """
    ni, nj, nk = values.shape
    total, count = 0.0, 0
    for i in range(ni - lag):
        for j in range(nj):
            for k in range(nk):
                if body[i, j, k] and body[i + lag, j, k]:
                    total += abs(values[i + lag, j, k] - values[i, j, k])
                    count += 1
    return total / count if count else 0.0
