"""The loops over voxels behind the image measures; importing this module loads numba."""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def region_sums(  # type: ignore[no-untyped-def]
    chosen, reference, synthetic, ssim, gradient, sums
):  # pragma: no cover
    """Add up everything that the metrics of one region need, in one pass over the voxels.

    ``chosen`` is bool, shape (voxels in the mask,), as are the four float32 arrays; NaN in
    ``gradient`` says that the voxel has none. The values are shifted by the
    region's first reference value, so that variances do not cancel and a constant region
    has a variance of exactly zero. Fills ``sums``, float64, in the order of
    ``regions.Sums``.
    """
    count = 0.0
    shift = 0.0
    d1 = da = d2 = sx = sy = sxx = syy = sxy = ss = ng = sg = 0.0
    for v in range(chosen.size):
        if not chosen[v]:
            continue
        if count == 0.0:
            shift = np.float64(reference[v])
        x = np.float64(reference[v]) - shift
        y = np.float64(synthetic[v]) - shift
        d = y - x
        count += 1.0
        d1 += d
        da += abs(d)
        d2 += d * d
        sx += x
        sy += y
        sxx += x * x
        syy += y * y
        sxy += x * y
        ss += ssim[v]
        if gradient[v] == gradient[v]:
            ng += 1.0
            sg += gradient[v]
    for n, value in enumerate((count, d1, da, d2, sx, sy, sxx, syy, sxy, ss, ng, sg)):
        sums[n] = value


@compiled
def joint_cells(reference, synthetic, low, width, bins, cells):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Give every voxel its cell of the joint histogram, ``row of reference × bins + column``.

    Values beyond the window fall into its first or last bin; NaN (never counted) into the
    first.
    """
    for v in range(reference.size):
        cell = 0
        for value in (reference[v], synthetic[v]):
            place = (np.float64(value) - low) / width
            spot = 0
            if place >= bins - 1:
                spot = bins - 1
            elif place > 0:
                spot = int(place)
            cell = cell * bins + spot
        cells[v] = cell


@compiled
def mutual_information_of(chosen, cells, bins):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the plug-in mutual information of a region's voxels, in bits."""
    joint = np.zeros(bins * bins, dtype=np.int64)
    rows = np.zeros(bins, dtype=np.int64)
    columns = np.zeros(bins, dtype=np.int64)
    total = 0
    for v in range(chosen.size):
        if chosen[v]:
            joint[cells[v]] += 1
            total += 1
    for row in range(bins):
        for column in range(bins):
            number = joint[row * bins + column]
            rows[row] += number
            columns[column] += number
    information = 0.0
    for row in range(bins):
        if rows[row] == 0:
            continue
        for column in range(bins):
            number = joint[row * bins + column]
            if number > 0:
                expected = np.float64(rows[row]) * np.float64(columns[column])
                information += number * np.log2(number * np.float64(total) / expected)
    return information / total


@compiled
def clipped_errors(reference, synthetic, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the sums of absolute and of squared differences of clipped values."""
    absolute = square = 0.0
    for v in range(reference.size):
        x = min(max(np.float64(reference[v]), low), high)
        y = min(max(np.float64(synthetic[v]), low), high)
        d = y - x
        absolute += abs(d)
        square += d * d
    return absolute, square


@compiled
def gradient_differences(  # type: ignore[no-untyped-def]
    reference, synthetic, mask, di, dj, dk, result
):  # pragma: no cover
    """Absolute difference of the gradients' magnitudes at the voxels of the mask, per mm.

    Central differences; NaN where one of the six neighbours lies outside mask or image.
    ``result`` is float32, shape (voxels in the mask,).
    """
    ni, nj, nk = mask.shape
    found = 0
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if not mask[i, j, k]:
                    continue
                value = np.nan
                inside = 0 < i < ni - 1 and 0 < j < nj - 1 and 0 < k < nk - 1
                if (
                    inside
                    and mask[i - 1, j, k]
                    and mask[i + 1, j, k]
                    and mask[i, j - 1, k]
                    and mask[i, j + 1, k]
                    and mask[i, j, k - 1]
                    and mask[i, j, k + 1]
                ):
                    one = _slope(reference, i, j, k, di, dj, dk)
                    two = _slope(synthetic, i, j, k, di, dj, dk)
                    value = abs(two - one)
                result[found] = value
                found += 1


@compiled
def _slope(a, i, j, k, di, dj, dk):  # type: ignore[no-untyped-def]  # pragma: no cover
    gi = (np.float64(a[i + 1, j, k]) - np.float64(a[i - 1, j, k])) / (2.0 * di)
    gj = (np.float64(a[i, j + 1, k]) - np.float64(a[i, j - 1, k])) / (2.0 * dj)
    gk = (np.float64(a[i, j, k + 1]) - np.float64(a[i, j, k - 1])) / (2.0 * dk)
    return np.sqrt(gi * gi + gj * gj + gk * gk)


@compiled
def slice_sums(reference, synthetic, mask, axis, counts, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add up the mask's voxels and their differences by their index along one axis."""
    ni, nj, nk = mask.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if mask[i, j, k]:
                    place = i if axis == 0 else (j if axis == 1 else k)
                    counts[place] += 1
                    sums[place] += np.float64(synthetic[i, j, k]) - np.float64(reference[i, j, k])


@compiled
def plane_sums(reference, synthetic, mask, counts, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add up the mask's voxels and their differences by their index along every axis.

    Fills ``counts``, int64, and ``sums``, float64, both zeros of the shape (3, longest axis).
    """
    ni, nj, nk = mask.shape
    for i in range(ni):
        for j in range(nj):
            found, total = 0, 0.0
            for k in range(nk):
                if mask[i, j, k]:
                    error = np.float64(synthetic[i, j, k] - reference[i, j, k])
                    found += 1
                    total += error
                    counts[2, k] += 1
                    sums[2, k] += error
            counts[0, i] += found
            sums[0, i] += total
            counts[1, j] += found
            sums[1, j] += total


@compiled
def clip_in_mask(array, mask, begin, low, high, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the clipped, shifted image, zero outside the mask.

    ``result[d]`` shows the voxel ``d + begin``; beyond the image its outermost voxels are
    repeated.
    """
    ni, nj, nk = array.shape
    for i in range(result.shape[0]):
        p = min(max(i + begin[0], 0), ni - 1)
        for j in range(result.shape[1]):
            q = min(max(j + begin[1], 0), nj - 1)
            for k in range(result.shape[2]):
                r = min(max(k + begin[2], 0), nk - 1)
                value = np.float32(0.0)
                if mask[p, q, r]:
                    value = np.float32(min(max(np.float64(array[p, q, r]), low), high) - low)
                result[i, j, k] = value


@compiled
def cut_out(array, begin, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result[d]`` with the voxel ``d + begin``, as :func:`clip_in_mask` places it."""
    ni, nj, nk = array.shape
    for i in range(result.shape[0]):
        p = min(max(i + begin[0], 0), ni - 1)
        for j in range(result.shape[1]):
            q = min(max(j + begin[1], 0), nj - 1)
            for k in range(result.shape[2]):
                result[i, j, k] = array[p, q, min(max(k + begin[2], 0), nk - 1)]
