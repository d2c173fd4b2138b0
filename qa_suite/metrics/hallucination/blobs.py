"""Connected parts of a mask that are large and deep enough, and what lies around them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qa_suite.core.arrays import Box, Mask
from qa_suite.core.volume import Triple


def blobs(
    candidate: Mask, spacing_mm: Triple, *, fewest: int, radius_mm: float
) -> Iterator[tuple[Box, Mask]]:
    """Yield the parts that hold a ball and enough voxels, each as a mask in its box.

    Parts (joined by faces) are opened by the ball, so that sheets, needles and bridges fall
    away, and parted again.

    Parameters
    ----------
    candidate
        Indexed ``[i, j, k]``.
    spacing_mm
        Voxel spacing along i, j, k.
    fewest
        Voxels of the smallest part.
    radius_mm
        Of the ball; at least the longest voxel edge is taken.
    """
    from scipy import ndimage

    from qa_suite.metrics.hallucination.kernels import opened_parts

    if not candidate.any():
        return
    labels, count = ndimage.label(candidate)
    large = np.bincount(labels.ravel(), minlength=count + 1) >= fewest
    opened = opened_parts(labels, large, digital_balls(radius_mm, spacing_mm))
    left = np.bincount(opened.ravel(), minlength=count + 1) >= fewest
    left[0] = False
    if not left.any():
        return
    kept = np.where(left[opened], opened, 0)
    boxes = ndimage.find_objects(kept)
    for number in np.flatnonzero(left):
        box = boxes[number - 1]
        parts, _ = ndimage.label(kept[box] == number)
        part_sizes = np.bincount(parts.ravel())
        for part, inner in enumerate(ndimage.find_objects(parts), start=1):
            if part_sizes[part] >= fewest:
                yield _box_in(box, inner), parts[inner] == part


def _box_in(box: Box, inner: Box) -> Box:
    """Return the box of the image that a box within another one is."""
    i, j, k = (
        slice(outer.start + s.start, outer.start + s.stop)
        for outer, s in zip(box, inner, strict=True)
    )
    return i, j, k


def digital_balls(radius_mm: float, spacing_mm: Triple) -> tuple[Mask, Mask]:
    """Return a ball centred on a voxel and one centred on a corner of eight voxels.

    The radius is at least the longest voxel edge, so that they are at least three and two
    voxels wide: a sheet of one voxel holds neither.
    """
    radius = max(radius_mm, *spacing_mm) * (1 + 1e-6)
    balls = []
    for shift in (0.0, 0.5):
        axes = []
        for s in spacing_mm:
            n = int(np.ceil(radius / s))
            axes.append((np.arange(-n, n + 1) + shift) * s)
        x, y, z = np.ix_(*axes)
        ball = x**2 + y**2 + z**2 <= radius**2
        hits = [np.flatnonzero(ball.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        balls.append(ball[np.ix_(*hits)])
    return balls[0], balls[1]


def enlarged(box: Box, mask: Mask, voxels: int, shape: tuple[int, ...]) -> tuple[Box, Mask]:
    """Return a mask in a box that is larger by some voxels, as far as the image reaches."""
    low = [max(s.start - voxels, 0) for s in box]
    high = [min(s.stop + voxels, n) for s, n in zip(box, shape, strict=True)]
    large = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=bool)
    large[tuple(slice(s.start - a, s.stop - a) for s, a in zip(box, low, strict=True))] = mask
    i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
    return (i, j, k), large


def dilated(mask: Mask, voxels: int) -> Mask:
    """Dilate a mask by faces."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, iterations=voxels))


def shell_of(
    mask: Mask, spacing_mm: Triple, *, gap_mm: float, thickness_mm: float, within: Mask
) -> Mask:
    """Return the voxels around a mask: farther than the gap, nearer than gap and thickness.

    Parameters
    ----------
    mask, within
        Indexed ``[i, j, k]``; the shell is taken out of ``within``.
    spacing_mm
        Voxel spacing along i, j, k.
    gap_mm
        What is left out next to the mask: voxels that hold part of it.
    thickness_mm
        Of the shell.
    """
    from qa_suite.imaging.distance import distance_to

    if not mask.any():
        return np.zeros_like(mask)
    distance = distance_to(mask, spacing_mm)
    return np.asarray((distance > gap_mm) & (distance <= gap_mm + thickness_mm) & within)
