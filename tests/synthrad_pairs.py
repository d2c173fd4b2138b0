"""Generated pairs on which the SynthRAD challenges' public code was run; see test_synthrad.py.

Seeded numpy alone, whole HU, arrays indexed x, y, z: so anybody can make them anew and run that
code on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHAPES = (
    (64, 64, 61), (63, 58, 40), (97, 101, 99), (110, 98, 97),
    (33, 110, 20), (45, 46, 47), (112, 60, 31),
)  # fmt: skip
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
