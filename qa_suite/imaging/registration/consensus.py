"""Whether the parts of the body agree that they were moved, or only some of them.

A leg that lies differently in two scans has a best rigid motion too, and it can be large
while bone and tumour have not moved at all. So the region is cut into blocks, and each says
whether it is better explained at the estimate or as found: a shift is agreed on by almost
all of them, a deformation is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.registration.rigid import BINS, Level, rotation_matrix

_BLOCK_MM = 30.0
_SMALL_BLOCK_MM = 20.0  # about as far as the tissues of neighbouring blocks are of one piece
_MIN_DENSITY = 50 / 30.0**3  # points a mm³, below which a block is too empty to speak
_BLUR_BINS = 0.7


def evidence(level: Level, one: Any, other: Any, *, block_mm: float = _BLOCK_MM) -> FloatArray:
    """Evidence of every block of the region for one motion over another.

    The evidence of a block is the sum over its points of the pointwise mutual information
    log p(a, b) / (p(a) p(b)) at ``other`` minus that at ``one``, under one joint histogram of
    both, over the points that both see: neither is favoured, and neither gains by leaving the
    field of view.

    Returns
    -------
    ndarray, shape (blocks,)
        Positive where a block is better explained by ``other``.
    """
    before, seen_before = _values(level, np.asarray(one, dtype=float))
    after, seen_after = _values(level, np.asarray(other, dtype=float))
    both = seen_before & seen_after
    source = _bin(level.bins[both])
    before_bin, after_bin = _bin(before[both]), _bin(after[both])
    information = _information(source, before_bin, after_bin)
    block = _blocks(level, block_mm)[both]
    found = np.bincount(block, information[source, after_bin] - information[source, before_bin])
    return np.asarray(found[np.bincount(block) >= _MIN_DENSITY * block_mm**3])


def consensus(level: Level, motion: Any) -> float | None:
    """Share of the evidence of all blocks that speaks for the motion, against no motion.

    Returns
    -------
    float or None
        1 where every block agrees, about 0.5 where they are of two minds; None where no block
        speaks for or against the motion.
    """
    found = evidence(level, np.zeros(6), motion)
    total = float(np.abs(found).sum())
    return None if total == 0 else float(found[found > 0].sum()) / total


def support(level: Level, one: Any, other: Any) -> float:
    """How clearly the blocks prefer one motion to another: their sum over its standard error.

    Returns
    -------
    float
        Positive for ``other``, about −2 to 2 where the images do not decide; 0 where no block
        speaks.
    """
    found = evidence(level, one, other, block_mm=_SMALL_BLOCK_MM)
    spread = float(np.sqrt((found**2).sum()))
    return 0.0 if spread == 0 else float(found.sum()) / spread


def reference_bins(level: Level, motion: Any) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
    """Return the reference's bin at every point under a motion, and whether it is seen there."""
    values, seen = _values(level, np.asarray(motion, dtype=float))
    return _bin(values), seen


def _blocks(level: Level, block_mm: float) -> NDArray[np.int_]:
    """Return the number of the block that each point lies in."""
    index = np.floor(level.points_mm / block_mm).astype(int)
    index -= index.min(axis=0)
    counts = index.max(axis=0) + 1
    return np.asarray((index[:, 0] * counts[1] + index[:, 1]) * counts[2] + index[:, 2])


def _values(level: Level, motion: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    from scipy import ndimage

    matrix = level.to_index @ rotation_matrix(motion[3:] / level.radius_mm)
    index = level.points_mm @ matrix.T + level.to_index @ motion[:3] + level.offset
    last = np.array(level.moving.shape) - 1
    inside = ((index >= 0) & (index <= last)).all(axis=1)
    values = ndimage.map_coordinates(level.moving, index.T, order=1, mode="nearest")
    return np.nan_to_num(values), np.asarray(inside & np.isfinite(values))


def _bin(values: FloatArray) -> NDArray[np.int_]:
    return np.clip(np.round(values), 0, BINS - 1).astype(int)


def _information(
    source: NDArray[np.int_], before: NDArray[np.int_], after: NDArray[np.int_]
) -> FloatArray:
    """Return the pointwise mutual information of every pair of bins."""
    from scipy import ndimage

    counts = np.zeros((BINS, BINS))
    for reference in (before, after):
        counts += np.bincount(source * BINS + reference, minlength=BINS**2).reshape(BINS, BINS)
    joint = ndimage.gaussian_filter(counts, _BLUR_BINS) + 0.5
    joint /= joint.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return np.asarray(np.log(joint / apart))
