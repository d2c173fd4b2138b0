"""Loops over voxels: where a mask's surface runs, where labels lie, what two masks share.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

_SPREAD = np.array(
    [sum((column >> bit & 1) << (2 * bit) for bit in range(4)) for column in range(16)],
    dtype=np.int64,
)
"""Bits 0 to 3 moved to 0, 2, 4, 6: the four voxels of a column among the eight of a cell."""


@compiled
def scan_surface(  # type: ignore[no-untyped-def]
    mask, domain, spacing, offset, centre, area
):  # pragma: no cover
    """Positions and areas of a mask's surface elements, in the order of the array.

    ``domain`` is of the mask's shape, or of shape (0, 0, 0) where there is none; ``offset`` is
    the index of the mask's first voxel in the whole image; ``centre`` and ``area`` are the tables
    over the 256 codes.
    """
    ni, nj, nk = mask.shape
    limited = domain.size > 0
    count, room = 0, 1024
    positions = np.empty((room, 3))
    areas = np.empty(room)
    for i in range(ni - 1):
        for j in range(nj - 1):
            before = np.int64(0)
            for k in range(nk):
                column = (
                    np.int64(mask[i, j, k])
                    | np.int64(mask[i, j + 1, k]) << 1
                    | np.int64(mask[i + 1, j, k]) << 2
                    | np.int64(mask[i + 1, j + 1, k]) << 3
                )
                last, before = before, column
                if k == 0 or (column == last and (column == 0 or column == 15)):
                    continue
                if limited and not _all_known(domain, i, j, k - 1):
                    continue
                code = _SPREAD[last] | _SPREAD[column] << 1
                if count == room:
                    positions, areas = _grown(positions, areas)
                    room = areas.size
                positions[count, 0] = (i + offset[0]) * spacing[0] + centre[code, 0]
                positions[count, 1] = (j + offset[1]) * spacing[1] + centre[code, 1]
                positions[count, 2] = (k - 1 + offset[2]) * spacing[2] + centre[code, 2]
                areas[count] = area[code]
                count += 1
    return positions[:count].copy(), areas[:count].copy()


@compiled
def _grown(positions, areas):  # type: ignore[no-untyped-def]  # pragma: no cover
    more_positions = np.empty((2 * areas.size, 3))
    more_areas = np.empty(2 * areas.size)
    more_positions[: areas.size] = positions
    more_areas[: areas.size] = areas
    return more_positions, more_areas


@compiled
def _all_known(domain, i, j, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    for a in range(2):
        for b in range(2):
            for c in range(2):
                if not domain[i + a, j + b, k + c]:
                    return False
    return True


@compiled
def grow_label_boxes(labels, row_of, boxes):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Grow the box (first and last index along i, j, k) of every label, in one pass.

    ``row_of`` maps a label to its row of ``boxes``, or to -1.
    """
    ni, nj, nk = labels.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                label = labels[i, j, k]
                if label < 0 or label >= row_of.size or row_of[label] < 0:
                    continue
                box = boxes[row_of[label]]
                box[0] = min(box[0], i)
                box[1] = max(box[1], i)
                box[2] = min(box[2], j)
                box[3] = max(box[3], j)
                box[4] = min(box[4], k)
                box[5] = max(box[5], k)


@compiled
def overlap_sums(reference, synthetic):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Voxels of the one, of the other and of both, and the sums of their indices.

    Returns counts, shape (3,), and sums, shape (2, 3), both int64.
    """
    ni, nj, nk = reference.shape
    counts = np.zeros(3, dtype=np.int64)
    sums = np.zeros((2, 3), dtype=np.int64)
    for i in range(ni):
        for j in range(nj):
            first = np.int64(0)
            second = np.int64(0)
            for k in range(nk):
                mine = np.int64(reference[i, j, k])
                other = np.int64(synthetic[i, j, k])
                first += mine
                second += other
                counts[2] += mine & other
                sums[0, 2] += k * mine
                sums[1, 2] += k * other
            counts[0] += first
            counts[1] += second
            sums[0, 0] += i * first
            sums[0, 1] += j * first
            sums[1, 0] += i * second
            sums[1, 1] += j * second
    return counts, sums
