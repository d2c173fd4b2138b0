"""A synthetic image that was not made but copied: from the reference, the source, another case.

A path that was mixed up gives a perfect score. Copies are known by runs of voxels with equal,
changing values, wherever they lie: the order of storage, a crop, whole voxels of shift and
another number type do not hide them. What was changed in every voxel is left to the measures
``shared_noise`` and ``error_to_noise``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Case
from qa_suite.core.errors import LeakageError
from qa_suite.core.volume import Volume
from qa_suite.io.identity import (
    FINGERPRINT_BITS,
    SAME_SCAN_BITS,
    fingerprint,
    fingerprint_bits,
    voxel_hash,
)
from qa_suite.metrics.base import Pair

Values = NDArray[np.int32]

_LENGTH = 6  # voxels of a run
_CHANGES = 4  # of its five steps at least: a run of one value tells nothing
_EQUAL = 0.5  # share of the examined runs
_SOME = 0.2  # the same for runs that are looked for all over the image: what a crop leaves
_FEWEST = 200  # runs, below which nothing is said
_MOST = 4_000
_LEVELS = 4096  # steps of an image without HU between its 0.1st and 99.9th percentile


def refuse_copies(pair: Pair) -> None:
    """Refuse a synthetic image that has the voxels of the reference or of the source.

    Images of one quantity may be compared with their own source: an uncorrected cone-beam CT is
    an honest baseline.

    Raises
    ------
    LeakageError
        With what it is a copy of.
    """
    own = "the reference itself, or was given to the translator"
    if (share := copied_share(pair.reference, pair.synthetic, pair.mask)) > 0:
        raise LeakageError(
            f"the synthetic image has the voxels of the reference ({share:.0%} of the runs of "
            f"voxels looked at are equal): check that its path is not that of {own}"
        )
    source = pair.source
    if source is None or source.quantity == pair.reference.quantity:
        return
    alike = source.with_array(source.array)
    if copied_share(alike, pair.synthetic, pair.mask) > 0:
        raise LeakageError(
            "the synthetic image has the voxels of the source: nothing was translated; check that "
            "its path is not that of the source itself"
        )


class Scans:
    """Every scan of a cohort, known by its hash and its fingerprint; made once for all cases.

    Parameters
    ----------
    cases
        Of the cohort.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        self._patients = {case.case: case.patient for case in cases}
        self._by_hash: dict[str, list[tuple[str, str]]] = {}
        for one in cases:
            for role, digest in one.voxel_hashes.items():
                self._by_hash.setdefault(digest, []).append((one.case, role))
        prints = [(c.case, role, text) for c in cases for role, text in c.fingerprints.items()]
        self._keys = [(case, role) for case, role, _ in prints]
        self._of_patient: dict[str, list[int]] = {}
        for place, (case, _) in enumerate(self._keys):
            self._of_patient.setdefault(self._patients[case], []).append(place)
        self._bits = np.array(
            [fingerprint_bits(text) for *_, text in prints], dtype=np.uint8
        ).reshape(len(prints), FINGERPRINT_BITS // 8)

    def of_hash(self, digest: str) -> list[tuple[str, str]]:
        """Return case and role of the scans with these very voxels."""
        return self._by_hash.get(digest, [])

    def resembling(self, image: Volume, case: str) -> list[tuple[str, str]]:
        """Return scans of other patients that are nearer than half of what one scan may differ.

        A good translation resembles its own reference as much as that, and so it does not count
        where its own case is as near.
        """
        if not self._keys:
            return []
        distance = np.bitwise_count(self._bits ^ fingerprint_bits(fingerprint(image))).sum(axis=1)
        patient, near = self._patients[case], SAME_SCAN_BITS // 2
        mine = self._of_patient.get(patient, [])
        own = int(distance[mine].min()) if mine else 0
        found = np.flatnonzero((distance <= near) & (distance < own))
        alike = [(int(distance[n]), self._keys[n]) for n in found]
        return [key for _, key in sorted(alike) if self._patients[key[0]] != patient]


def refuse_others(synthetic: Volume, case: str, scans: Scans) -> None:
    """Refuse a synthetic image that is a scan of another case of the cohort.

    Parameters
    ----------
    synthetic
        The image.
    case
        Whose it should be.
    scans
        Of the cohort.

    Raises
    ------
    LeakageError
        With the case and the role that it is a copy of.
    """
    same = scans.of_hash(voxel_hash(synthetic)) or scans.resembling(synthetic, case)
    for other, role in same:
        if other != case:
            raise LeakageError(
                f"the synthetic image has the voxels of the {role} of {other}: check that the "
                f"files of the two cases are not mixed up"
            )


def copied_share(original: Volume, image: Volume, mask: NDArray[np.bool_]) -> float:
    """Return the share of an original's runs of voxels that an image holds; 0: no copy.

    Parameters
    ----------
    original, image
        Of any shapes; whole HU are compared, or steps of the original's own range.
    mask
        Where the original is looked at, of its shape.
    """
    known = original.array[mask]
    known = known[np.isfinite(known)]
    if known.size == 0:
        return 0.0
    step = 1.0
    if original.quantity != "HU":
        low, high = np.percentile(known, [0.1, 99.9])
        step = float(high - low) / _LEVELS
    if step <= 0:
        return 0.0
    shares = [0.0]
    for rounded in (np.rint, np.trunc):  # stored as integers, values are rounded or cut off
        first, second = (_whole(v.array, step, rounded) for v in (original, image))
        places = _changing_runs(first, mask)
        if len(places) >= _FEWEST:
            shares += [_share_turned(first, second, places), _share_moved(first, second, mask)]
    return max(shares)


def _whole(array: NDArray, step: float, rounded: np.ufunc) -> Values:
    values = np.nan_to_num(np.asarray(array, dtype=np.float64) / step, posinf=1e9, neginf=-1e9)
    return np.asarray(rounded(np.clip(values, -1e9, 1e9)), dtype=np.int32)


def _changing_runs(values: Values, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return first voxels of runs along the first axis that change, shape (runs, 3)."""
    places = np.argwhere(_changing(values) & mask[: values.shape[0] - _LENGTH + 1])
    return places[:: max(1, len(places) // _MOST)]


def _changing(values: Values) -> NDArray[np.bool_]:
    count = values.shape[0] - _LENGTH + 1
    if count <= 0:
        return np.zeros((0, *values.shape[1:]), dtype=bool)
    changes = (np.diff(values, axis=0) != 0).astype(np.int8)
    total = sum(changes[n : n + count] for n in range(_LENGTH - 1))
    return np.asarray(total >= _CHANGES)


def _share_turned(original: Values, image: Values, places: NDArray[np.int64]) -> float:
    """Share of runs that lie at the same place, in any of the orders an array can be stored in."""
    best = 0.0
    for order in itertools.permutations(range(3)):
        if tuple(image.shape[axis] for axis in order) != original.shape:
            continue
        for flips in itertools.product((False, True), repeat=3):
            turned = np.flip(
                image.transpose(order), tuple(a for a, flip in enumerate(flips) if flip)
            )
            i, j, k = places.T
            equal = np.ones(len(places), dtype=bool)
            for n in range(_LENGTH):
                equal &= turned[i + n, j, k] == original[i + n, j, k]
            best = max(best, float(equal.mean()))
    return best if best >= _EQUAL else 0.0


def _share_moved(original: Values, image: Values, mask: NDArray[np.bool_]) -> float:
    """Share of runs that an image holds elsewhere, all moved alike by whole voxels."""
    first, second = _hashes(original), _hashes(image)
    if first.size == 0 or second.size == 0:
        return 0.0
    there = _changing(image)
    here = _changing(original) & mask[: first.shape[0]]
    kept = int(max(1, here.sum() // _MOST))
    here &= first % np.uint64(kept) == 0  # both images keep the same runs: chosen by content
    there &= second % np.uint64(kept) == 0
    values, index = np.unique(second[there], return_index=True)
    wanted = first[here]
    if values.size == 0 or wanted.size < _FEWEST:
        return 0.0
    at = np.minimum(np.searchsorted(values, wanted), values.size - 1)
    found = values[at] == wanted
    if not found.any():
        return 0.0
    moved = np.argwhere(there)[index[at[found]]] - np.argwhere(here)[found]
    votes = np.unique(moved, axis=0, return_counts=True)[1]
    share = float(votes.max() / wanted.size)
    return share if share >= _SOME else 0.0


def _hashes(values: Values) -> NDArray[np.uint64]:
    """Hash every run along the first axis."""
    count = values.shape[0] - _LENGTH + 1
    if count <= 0:
        return np.zeros((0, *values.shape[1:]), dtype=np.uint64)
    numbers = values.astype(np.int64).view(np.uint64)
    total = np.zeros((count, *values.shape[1:]), dtype=np.uint64)
    for n in range(_LENGTH):
        total = total * np.uint64(6364136223846793005) + numbers[n : n + count]
        total ^= total >> np.uint64(29)
    return total
