"""Which way the axes of an array run in the patient, and how to turn them without loss.

A file may store a patient with its axes in any order and either direction: 48 ways in all, of
one and the same image. The suite measures in one of them, the canonical orientation: i, j, k
run nearest to +x, +y, +z of LPS.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

_TIE = 1e-4  # cosines nearer than this are equal: headers round them to about 1e-7


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A permutation of an array's axes, followed by flips.

    Parameters
    ----------
    order
        Axis of the array that becomes i, j and k.
    flipped
        Whether i, j and k then run the other way.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @property
    def changes_nothing(self) -> bool:
        """Whether the array stays as it is."""
        return self.order == (0, 1, 2) and not any(self.flipped)

    def apply(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Turn an array of three axes; C-contiguous, and the same object where nothing changes."""
        return np.ascontiguousarray(self._flip(array.transpose(self.order)))

    def undo(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Turn an array back to how it was before :meth:`apply`; C-contiguous."""
        return np.ascontiguousarray(self._flip(array).transpose(np.argsort(self.order)))

    def of_axes(self, values: Any) -> tuple[Any, Any, Any]:
        """Put three values, one an axis of the array (such as its shape), in the new order."""
        i, j, k = self.order
        return values[i], values[j], values[k]

    def _flip(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        return array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]


def nearest_turn(axes: NDArray[np.float64]) -> Turn:
    """Return the turn that brings an array's axes nearest to +x, +y, +z.

    Parameters
    ----------
    axes
        3×3 matrix; its columns are the unit vectors of the array's axes in LPS.

    Returns
    -------
    Turn
        Of the permutations of the axes the one whose cosines with x, y, z have the largest sum.
        Equal ones (an axis half way between two) are told apart by the directions themselves,
        never by the order in which the array holds them, so that every one of the 48 storages
        of one image comes to the same result. The three cosines are at least 0.45, and the
        turned axes are right-handed: the nearest rotation of the cube is always a proper one.
    """
    found = [_upright(axes, order) for order in itertools.permutations(range(3))]
    sums = [float(np.trace(turned)) for _, turned in found]
    found = [one for one, total in zip(found, sums, strict=True) if total > max(sums) - _TIE]
    for row, column in np.ndindex(3, 3):
        most = max(turned[row, column] for _, turned in found)
        found = [one for one in found if one[1][row, column] > most - _TIE]
    return found[0][0]


def _upright(axes: NDArray[np.float64], order: tuple[int, ...]) -> tuple[Turn, NDArray[np.float64]]:
    """Flip permuted axes to their positive sides; return the turn and the turned axes."""
    i, j, k = order
    turned = axes[:, list(order)]
    x, y, z = (bool(cosine < 0) for cosine in np.diag(turned))
    return Turn(order=(i, j, k), flipped=(x, y, z)), turned * np.where((x, y, z), -1.0, 1.0)
