"""Generated pairs on which the SynthRAD challenges' public code was run; see test_synthrad.py.

Seeded numpy alone, whole HU, arrays indexed x, y, z: so anybody can make them anew and run that
code on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHAPES = (
    (64, 64, 61),
    (63, 58, 40),
    (97, 101, 99),
    (110, 98, 97),
    (33, 110, 20),
    (45, 46, 47),
    (112, 60, 31),
)
MASKS = ("inside", "one border", "ends", "corner", "all borders", "small corner")
CHANGES = ("noise", "shifted", "blurred", "empty slices")


class RawPair(NamedTuple):
    """Both images in whole HU (int16) and the mask (uint8), of one shape."""

    reference: NDArray[np.int16]
    synthetic: NDArray[np.int16]
    mask: NDArray[np.uint8]


def numbers() -> range:
    """Of all pairs: every shape with every change, the masks in turn."""
    return range(len(SHAPES) * len(CHANGES))


def describe(number: int) -> str:
    shape = SHAPES[number % len(SHAPES)]
    return f"{shape}, mask {MASKS[number % len(MASKS)]}, {CHANGES[number % len(CHANGES)]}"


def make_pair(number: int) -> RawPair:
    rng = np.random.default_rng([2025, number])
    shape = SHAPES[number % len(SHAPES)]
    reference = _tissue(rng, shape)
    synthetic = _changed(rng, reference, CHANGES[number % len(CHANGES)])
    mask = _mask(shape, MASKS[number % len(MASKS)])
    if CHANGES[number % len(CHANGES)] == "empty slices":
        reference[:, :, :2] = -1000
        synthetic[:, :, :2] = -1000
        synthetic[:, :, -3] = -1000
    return RawPair(reference.astype(np.int16), synthetic.astype(np.int16), mask.astype(np.uint8))


def _tissue(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Blocks of soft tissue with bone, gas and metal in it, and noise."""
    array = np.zeros(shape, dtype=np.int64)
    for edge, low, high in ((11, -120, 90), (5, -60, 60)):
        coarse = rng.integers(low, high, [n // edge + 1 for n in shape])
        for axis in range(3):
            coarse = np.repeat(coarse, edge, axis=axis)
        array += coarse[tuple(slice(0, n) for n in shape)]
    for value, many in ((900, 6), (-950, 3), (3400, 1), (-1200, 1)):
        for _ in range(many):
            start = [int(rng.integers(0, n - 6)) for n in shape]
            size = rng.integers(3, 9, 3)
            array[tuple(slice(a, a + int(n)) for a, n in zip(start, size, strict=True))] = value
    return array + rng.integers(-20, 21, shape)


def _changed(
    rng: np.random.Generator, reference: NDArray[np.int64], change: str
) -> NDArray[np.int64]:
    if change == "shifted":
        return np.roll(reference, (2, -1, 1), axis=(0, 1, 2)) + rng.integers(
            -10, 11, reference.shape
        )
    if change == "blurred":
        result = reference
        for axis in range(3):
            result = (np.roll(result, 1, axis) + result + np.roll(result, -1, axis)) // 3
        return result + 15
    return reference + 25 + rng.integers(-90, 91, reference.shape)


def _mask(shape: tuple[int, ...], kind: str) -> NDArray[np.bool_]:
    x, y, z = (
        np.linspace(-1, 1, n).reshape([-1 if axis == a else 1 for a in range(3)])
        for axis, n in enumerate(shape)
    )
    if kind == "inside":
        return (x / 0.7) ** 2 + (y / 0.6) ** 2 + (z / 0.8) ** 2 < 1
    if kind == "one border":
        return (x / 0.8) ** 2 + (y / 0.6) ** 2 + ((z + 0.8) / 1.1) ** 2 < 1
    if kind == "ends":
        return (x / 0.9) ** 2 + (y / 0.55) ** 2 + 0 * z < 1
    if kind.endswith("corner"):
        return (x + 1) ** 2 + (y - 1) ** 2 + (z - 1) ** 2 < (4.5 if kind == "corner" else 2.5)
    return np.ones(shape, dtype=bool)


LABELS = {
    "AB": (2, 3, 5, 6, 11, 29, 51, 79, 95, 116),
    "HN": (15, 16, 17, 45, 79, 90, 91),
    "TH": (5, 10, 14, 33, 51, 79, 100, 116),
}
"""TotalSegmentator's numbers of some of the challenge's classes, by its region of the body."""

OUTSIDE = 18
"""A class of TotalSegmentator's that the challenge does not score: the small bowel."""

FATES = (
    "alike",
    "moved",
    "smaller",
    "missed",
    "invented",
    "one voxel",
    "at the border",
    "all missed",
    "none",
)


class RawLabels(NamedTuple):
    """Label maps of both images by TotalSegmentator's numbers (int16), and the spacing in mm."""

    reference: NDArray[np.int16]
    synthetic: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    region: str


def make_labels(number: int) -> RawLabels:
    """Ellipsoids of some classes, changed in one of the ways of ``FATES``."""
    rng = np.random.default_rng([2026, number])
    region, fate = tuple(LABELS)[number % 3], FATES[number % len(FATES)]
    shape = tuple(int(n) for n in rng.integers(24, 41, 3))
    one, two = (np.zeros(shape, dtype=np.int16) for _ in range(2))
    if fate != "none":
        for label in LABELS[region]:
            centre, radii = rng.uniform(0.2, 0.8, 3) * shape, rng.uniform(3, 7, 3)
            shift = rng.integers(-2, 3, 3) if fate != "alike" else np.zeros(3)
            if fate == "at the border":
                centre[int(rng.integers(3))] = 0
            one[_ellipsoid(shape, centre, radii)] = label
            two[_ellipsoid(shape, centre + shift, radii * (0.7 if fate == "smaller" else 1))] = (
                label
            )
    last = LABELS[region][-1]
    if fate in ("missed", "all missed"):
        two[(two == last) | (fate == "all missed")] = 0
    if fate == "invented":
        one[one == last] = 0
    if fate == "one voxel":
        one[one == last], two[two == last] = 0, 0
        one[3, 4, 5], two[6, 2, 5] = last, last
    one[_ellipsoid(shape, np.array([12.0, 12, 12]), np.full(3, 3.0))] = OUTSIDE
    spacing = tuple(float(h) for h in np.round(rng.uniform(0.8, 3.5, 3), 3))
    return RawLabels(one, two, (spacing[0], spacing[1], spacing[2]), region)


def _ellipsoid(
    shape: tuple[int, ...], centre: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.bool_]:
    place = np.indices(shape).reshape(3, -1).T
    inside = (((place - centre) / radii) ** 2).sum(axis=1) < 1
    return np.asarray(inside.reshape(shape))
