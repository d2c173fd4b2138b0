"""The loops behind the measures of shared noise; importing this module loads numba.

``shifts`` (n, 3) are in voxels; ``correlations`` takes one value a shift.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def even_places(reference, mask, low, high, ranges):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``ranges`` with the reference's range over 3×3×3 voxels; NaN where it is not even.

    Even is a voxel whose 27 voxels all lie in image and mask, with values in ``[low, high)``.
    """
    ni, nj, nk = mask.shape
    least = np.empty((3, nj, nk), dtype=np.float32)  # over 3×3 voxels of the last three planes
    most = np.empty((3, nj, nk), dtype=np.float32)
    lines = np.empty((2, nj, nk), dtype=np.float32)
    for i in range(ni):
        ranges[i] = np.nan
        _ends_of_plane(reference[i], mask[i], low, high, lines, least[i % 3], most[i % 3])
        if i >= 2:
            for j in range(1, nj - 1):
                for k in range(1, nk - 1):
                    if mask[i - 1, j, k]:
                        a = min(least[0, j, k], min(least[1, j, k], least[2, j, k]))
                        b = max(most[0, j, k], max(most[1, j, k], most[2, j, k]))
                        if b < np.inf:
                            ranges[i - 1, j, k] = b - a


@compiled
def _ends_of_plane(image, mask, low, high, lines, least, most):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Least and highest value over 3×3 voxels; infinite where one of them is not even."""
    nj, nk = mask.shape
    infinite = np.float32(np.inf)
    for j in range(nj):
        for k in range(nk):
            value = image[j, k]
            even = mask[j, k] and low <= value < high  # NaN is in no window
            lines[0, j, k] = value if even else -infinite
            lines[1, j, k] = value if even else infinite
    for j in range(1, nj - 1):
        for k in range(1, nk - 1):
            a, b = infinite, -infinite
            for q in range(j - 1, j + 2):
                a = min(a, min(lines[0, q, k - 1], min(lines[0, q, k], lines[0, q, k + 1])))
                b = max(b, max(lines[1, q, k - 1], max(lines[1, q, k], lines[1, q, k + 1])))
            least[j, k] = a
            most[j, k] = b


@compiled
def fine_detail(image, mask, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the mixed second differences of an image, voxel by voxel.

    The product of the three axes' (1, −2, 1), divided by the root of its sum of squares, so
    that white noise keeps its standard deviation; NaN where one of the 27 voxels lies beyond the
    image or the mask.
    """
    ni, nj, nk = mask.shape
    result[0] = result[ni - 1] = np.nan
    planes = np.empty((3, nj, nk))  # the differences along j and k of the last three planes
    inside = np.empty((3, nj, nk), dtype=np.bool_)  # whether the nine voxels lie in the mask
    along_k = np.empty((nj, nk))
    in_k = np.empty((nj, nk), dtype=np.bool_)
    size = np.sqrt(216.0)
    for i in range(ni):
        _differences(image[i], mask[i], along_k, in_k, planes[i % 3], inside[i % 3])
        if i < 2:
            continue
        before, here, after = planes[(i - 2) % 3], planes[(i - 1) % 3], planes[i % 3]
        first, second, third = inside[(i - 2) % 3], inside[(i - 1) % 3], inside[i % 3]
        target = result[i - 1]
        target[0] = target[nj - 1] = np.nan
        for j in range(1, nj - 1):
            target[j, 0] = target[j, nk - 1] = np.nan
            for k in range(1, nk - 1):
                total = before[j, k] - 2.0 * here[j, k] + after[j, k]
                known = first[j, k] and second[j, k] and third[j, k]
                target[j, k] = total / size if known else np.nan


@compiled
def _differences(image, mask, along_k, in_k, plane, inside):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Second differences along k and then j of one plane, and whether all nine are in the mask."""
    nj, nk = mask.shape
    for j in range(nj):
        for k in range(1, nk - 1):
            before, after = np.float64(image[j, k - 1]), np.float64(image[j, k + 1])
            along_k[j, k] = before - 2.0 * np.float64(image[j, k]) + after
            in_k[j, k] = mask[j, k - 1] and mask[j, k] and mask[j, k + 1]
    for j in range(1, nj - 1):
        for k in range(1, nk - 1):
            plane[j, k] = along_k[j - 1, k] - 2.0 * along_k[j, k] + along_k[j + 1, k]
            inside[j, k] = in_k[j - 1, k] and in_k[j, k] and in_k[j + 1, k]


@compiled
def detail_around(detail, places, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``result`` with the mean size of the fine detail at the 3×3×3 voxels around places.

    Detail that is not finite is left out; ``inf``: none is left. ``places`` is int64, shape
    (n, 3), none of them at the image's end.
    """
    for n in range(places.shape[0]):
        total, count = 0.0, 0
        for i in range(places[n, 0] - 1, places[n, 0] + 2):
            for j in range(places[n, 1] - 1, places[n, 1] + 2):
                for k in range(places[n, 2] - 1, places[n, 2] + 2):
                    found = np.float64(detail[i, j, k])
                    if np.isfinite(found):
                        total += abs(found)
                        count += 1
        result[n] = total / count if count else np.inf


@compiled
def shifted_correlations(  # type: ignore[no-untyped-def]
    reference, detail, places, shifts, outlier, fewest, smallest, numbers, correlations
):  # pragma: no cover
    """Correlate known detail with that of another image at shifted places, shift by shift.

    The other image's detail is clipped at ``outlier`` times its median size. ``numbers`` tells
    how many of the places had any; with fewer than ``fewest`` the correlation stays as it was,
    and it is 0 where the other spread is less than ``smallest`` of the reference's.
    """
    ni, nj, nk = detail.shape
    other, known, sizes = np.empty(len(places)), np.empty(len(places)), np.empty(len(places))
    for s in range(shifts.shape[0]):
        n = 0
        for p in range(len(places)):
            i, j = places[p, 0] + shifts[s, 0], places[p, 1] + shifts[s, 1]
            k = places[p, 2] + shifts[s, 2]
            if 0 <= i < ni and 0 <= j < nj and 0 <= k < nk and np.isfinite(detail[i, j, k]):
                other[n], known[n] = detail[i, j, k], reference[p]
                sizes[n] = abs(other[n])
                n += 1
        numbers[s] = n
        if n < fewest:
            continue
        limit = outlier * np.median(sizes[:n])
        if limit > 0:
            for p in range(n):
                other[p] = min(max(other[p], -limit), limit)
        one, two = known[:n].mean(), other[:n].mean()
        square_one = square_two = product = 0.0
        for p in range(n):
            square_one += (known[p] - one) ** 2
            square_two += (other[p] - two) ** 2
            product += (known[p] - one) * (other[p] - two)
        if square_two <= smallest * smallest * square_one:
            correlations[s] = 0.0
        else:
            correlations[s] = product / np.sqrt(square_one * square_two)
