"""Which shifts and rotations the images can decide at all.

A cylinder says nothing about a shift along its axis or a turn about it, and an estimate of
them is noise. Each component is displaced from the optimum to either side while the others
follow as best they can (a profile of the score); where the blocks of the body do not clearly
prefer the optimum, the component is undetermined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.preflight.consensus import support
from qa_suite.preflight.rigid import Level, climb

Array = NDArray[np.float64]

_STEP_MM = 10.0  # of a shift, and of the rms displacement by a rotation


def profile_support(coarse: Level, fine: Level, motion: Array) -> Array:
    """How clearly the optimum is preferred to 10 mm from it along each component, shape (6,).

    The other five components follow, at the coarse level; the blocks of the fine level are
    asked. The smaller preference of both sides counts.
    """
    found = np.zeros(6)
    for component in range(6):
        others = [n for n in range(6) if n != component]
        sides = []
        for step in (-_STEP_MM, _STEP_MM):
            start = motion.copy()
            start[component] += step
            sides.append(support(fine, climb(coarse, start, others).motion, motion))
        found[component] = min(sides)
    return found


def components_without_structure(
    coarse: Level, fine: Level, motion: Array, *, least: float
) -> frozenset[int]:
    """Name the components (0-2 shift, 3-5 rotation about x, y, z) that are undetermined."""
    found = profile_support(coarse, fine, motion)
    return frozenset(int(n) for n in np.flatnonzero(found < least))
