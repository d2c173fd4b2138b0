"""Checks of place and identity: this patient, this way round.

The mutual information of source and synthetic image needs no common scale. A mirrored image
fits the source worse than its own mirror image does: the difference of the two is the
evidence, positive where the image lies right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.metrics.base import NoValue
from qa_suite.metrics.reference_free.checks import Answer, Need, check
from qa_suite.metrics.reference_free.patient import Mask, Scene

_NEEDS: tuple[Need, ...] = ("finite", "outlined", "body", "source", "bodies")
_NMI = "Studholme, Hill and Hawkes 1999, Pattern Recognit 32:71"
_FEWEST = 200  # voxels for a joint histogram
_MOST_VOXELS = 250_000  # of the grid; of a finer one every other voxel is looked at, and so on
_FLAT = "undefined where an image is flat or too little of it remains"
_IDENTITY = (0, 1, 2)
_SWAPS = ((1, 0, 2), (2, 1, 0), (0, 2, 1))


@check(
    "source_mutual_information",
    title="Normalised mutual information of source and synthetic image",
    unit="1",
    direction="higher",
    value_range="[1, 2]",
    kind="bounded",
    formula=(
        "(H(A) + H(B)) / H(A, B) over the union of the two bodies; 32 steps each between the 0.5th "
        "and 99.5th percentile of its body"
    ),
    needs=_NEEDS,
    reference=_NMI,
    empty=_FLAT,
)
def source_mutual_information(scene: Scene, region: str) -> Answer:
    """How much the two images tell of each other."""
    plain, _ = _counts(scene, scene.body | scene.source_body, _IDENTITY, (1, 1, 1), (0, 0, 0))
    return normalised(plain)


@check(
    "mirror_evidence",
    title="Evidence that left is left",
    unit="1",
    direction="higher",
    value_range="[-1, 1]",
    kind="bounded",
    formula=(
        "normalised mutual information of source and synthetic image minus that of the source and "
        "the synthetic image mirrored left to right, its body's middle within 8 mm of the "
        "source's: the best of these; in the source's body"
    ),
    needs=_NEEDS,
    reference=_NMI,
    empty=_FLAT,
)
def mirror_evidence(scene: Scene, region: str) -> Answer:
    """Positive where the image fits better than its mirror image."""
    return _flip_evidence(scene, axis=0)


@check(
    "reversal_evidence",
    title="Evidence that head is head",
    unit="1",
    direction="higher",
    value_range="[-1, 1]",
    kind="bounded",
    formula="as mirror_evidence, the synthetic image reversed from head to foot",
    needs=_NEEDS,
    reference=_NMI,
    empty=_FLAT,
)
def reversal_evidence(scene: Scene, region: str) -> Answer:
    """Positive where the image fits better than with its slices in reverse."""
    return _flip_evidence(scene, axis=2)


@check(
    "swap_evidence",
    title="Evidence that the axes are in order",
    unit="1",
    direction="higher",
    value_range="[-1, 1]",
    kind="bounded",
    formula=(
        "as mirror_evidence, for the best of the three swaps of two axes, over the voxels that "
        "both orders can fill"
    ),
    needs=_NEEDS,
    reference=_NMI,
    empty=_FLAT,
)
def swap_evidence(scene: Scene, region: str) -> Answer:
    """Positive where the image fits better than with two axes swapped."""
    found = []
    for perm in _SWAPS:
        middles = np.asarray(_middle(scene.source_body)), np.asarray(_middle(scene.body))
        offset = np.round(middles[1] - middles[0][list(perm)]).astype(int)
        gain = _gain(_counts(scene, scene.source_body, perm, (1, 1, 1), tuple(offset)))
        if not isinstance(gain, NoValue):
            found.append(gain)
    return min(found) if found else NoValue(why="too little remains when axes are swapped")


def _flip_evidence(scene: Scene, axis: int) -> Answer:
    """Gain over the best of the mirror images whose middle lies near that of the source's body.

    The middle of a body's extent is known to a voxel or so, and a mirror image one voxel off
    fits no more than a wrong one where voxels are large.
    """
    sign = [1, 1, 1]
    sign[axis] = -1
    total = _middle(scene.source_body)[axis] + _middle(scene.body)[axis]
    reach = max(1, round(scene.settings.mirror_reach_mm / scene.grid.spacing_mm[axis]))
    near = range(int(np.floor(total)) - reach, int(np.ceil(total)) + reach + 1)
    found = []
    for place in sorted({*near, scene.grid.shape[axis] - 1}):
        offset = [0, 0, 0]
        offset[axis] = place
        gain = _gain(_counts(scene, scene.source_body, _IDENTITY, tuple(sign), tuple(offset)))
        if not isinstance(gain, NoValue):
            found.append(gain)
    if found:
        return min(found)
    return NoValue(why="too little of it meets its mirror image, or it is flat")


def _gain(counts: tuple[NDArray[np.int64], NDArray[np.int64]]) -> float | NoValue:
    plain, moved = (normalised(part) for part in counts)
    if isinstance(plain, NoValue):
        return plain
    if isinstance(moved, NoValue):
        return moved
    return plain - moved


def _counts(
    scene: Scene, mask: Mask, perm: tuple[int, ...], sign: tuple[int, ...], offset: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from qa_suite.metrics.reference_free.kernels import joint_counts

    bins = scene.settings.bins
    source, synthetic = scene.codes(bins)
    arrays = (np.asarray(part, dtype=np.int64) for part in (perm, sign, offset))
    step = max(1, round((mask.size / _MOST_VOXELS) ** (1 / 3)))
    return joint_counts(source, synthetic, mask, *arrays, bins, step)


def _middle(body: Mask) -> tuple[float, float, float]:
    """Middle of the extent of a body along each axis, in voxels."""
    middles = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        (hits,) = np.nonzero(body.any(axis=others))
        middles.append((int(hits[0]) + int(hits[-1])) / 2)
    return middles[0], middles[1], middles[2]


def normalised(counts: NDArray[np.int64]) -> float | NoValue:
    """Normalised mutual information (H(A) + H(B)) / H(A, B) of a joint histogram."""
    total = int(counts.sum())
    if total < _FEWEST:
        return NoValue(why=f"only {total} voxels of the body meet one of the other image")
    both = _entropy(counts)
    if both == 0:
        return NoValue(why="both images are flat in the body")
    return (_entropy(counts.sum(axis=0)) + _entropy(counts.sum(axis=1))) / both


def _entropy(counts: NDArray[np.int64]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
