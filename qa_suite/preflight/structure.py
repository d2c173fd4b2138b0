"""Which shifts and rotations the images can decide at all.

A cylinder says nothing about a shift along its axis or a turn about it, and an estimate of
them is noise. Each component is displaced from the optimum to either side while the others
follow as best they can (a profile of the similarity); where it hardly falls, the component is
undetermined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.preflight.rigid import Level, climb, similarity

Array = NDArray[np.float64]

_STEP_MM = 10.0  # of a shift, and of the rms displacement by a rotation


def profile_drops(level: Level, motion: Array) -> Array:
    """Share of the similarity lost 10 mm from the optimum along each component, shape (6,).

    The smaller loss of both sides counts, with the other five components free.
    """
    drops = np.zeros(6)
    at_best = similarity(level, motion)[0] - 1
    if at_best <= 0:
        return drops
    for component in range(6):
        others = [n for n in range(6) if n != component]
        losses = []
        for step in (-_STEP_MM, _STEP_MM):
            start = motion.copy()
            start[component] += step
            place = climb(level, start, others, tolerance_mm=0.2)
            losses.append(1 - (similarity(level, place.motion)[0] - 1) / at_best)
        drops[component] = min(losses)
    return drops


def components_without_structure(
    level: Level, motion: Array, *, least_drop: float
) -> frozenset[int]:
    """Name the components (0-2 shift, 3-5 rotation about x, y, z) that are undetermined."""
    drops = profile_drops(level, motion)
    return frozenset(int(n) for n in np.flatnonzero(drops < least_drop))
