"""Bounding boxes: what is measured of a structure is measured where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Box, Mask


def bounding_box(mask: Mask, *, margin: int = 0) -> tuple[slice, slice, slice] | None:
    """Return the slices that hold all of ``mask``, grown by ``margin`` voxels inside the grid.

    None where the mask is empty.
    """
    spans: list[slice] = []
    rest = mask  # smaller from axis to axis, which saves most of the reading
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (hits,) = np.nonzero(rest.any(axis=others))
        if hits.size == 0:
            return None
        span = slice(int(hits[0]), int(hits[-1]) + 1)
        rest = rest[(slice(None),) * axis + (span,)]
        spans.append(slice(max(span.start - margin, 0), min(span.stop + margin, size)))
    return spans[0], spans[1], spans[2]


def box_of_both(first: Mask, second: Mask, *, margin: int = 0) -> Box | None:
    """Return the box that holds both masks, grown by ``margin`` voxels inside the grid.

    None where both are empty.
    """
    found = [box for mask in (first, second) if (box := bounding_box(mask)) is not None]
    if not found:
        return None
    starts = [min(box[axis].start for box in found) for axis in range(3)]
    stops = [max(box[axis].stop for box in found) for axis in range(3)]
    return _grown(starts, stops, first.shape, margin)


def label_boxes(
    images: Sequence[NDArray[np.integer]], labels: Sequence[int], *, margin: int = 0
) -> dict[int, Box | None]:
    """Return the box that holds a label in any of the images, for every label.

    Parameters
    ----------
    images
        Label maps of one shape.
    labels
        Not negative.
    margin
        Voxels to grow by, inside the grid.
    """
    from qa_suite.imaging.surface_kernels import grow_label_boxes

    shape = images[0].shape
    row_of = np.full(max(labels, default=0) + 1, -1, dtype=np.int64)
    row_of[list(labels)] = np.arange(len(labels))
    ends = np.tile(np.array([[2**62, -1] * 3], dtype=np.int64), (len(labels), 1))
    for image in images:
        grow_label_boxes(np.ascontiguousarray(image), row_of, ends)
    return {
        label: None if end[1] < 0 else _grown(end[::2], end[1::2] + 1, shape, margin)
        for label, end in zip(labels, ends, strict=True)
    }


def data_box(array: NDArray[Any]) -> Box | None:
    """Return the box left after trimming constant planes (padding) from all six faces.

    Returns
    -------
    three slices, or None where the whole array is constant.
    """
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        varies = np.flatnonzero(array.max(axis=others) > array.min(axis=others))
        if len(varies) == 0:
            return None
        box.append(slice(int(varies[0]), int(varies[-1]) + 1))
    return (box[0], box[1], box[2])


def box_mask(box: Box | None, shape: tuple[int, ...]) -> Mask:
    """Return the bool array that is true inside the box."""
    mask = np.zeros(shape, dtype=bool)
    if box is not None:
        mask[box] = True
    return mask


def _grown(starts: Sequence[int], stops: Sequence[int], shape: tuple[int, ...], margin: int) -> Box:
    first, second, third = (
        slice(max(int(start) - margin, 0), min(int(stop) + margin, size))
        for start, stop, size in zip(starts, stops, shape, strict=True)
    )
    return first, second, third
