"""Which shifts and rotations the images can decide at all.

A cylinder says nothing about a shift along its axis or a turn about it, and an estimate of
them is noise. Each component is displaced from the optimum to either side while the others
follow as best they can (a profile of the score); where the blocks of the body do not clearly
prefer the optimum, the component is undetermined.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.registration.consensus import support
from qa_suite.imaging.registration.rigid import Level, climb, score, thinned

_POINTS = 8_000
_STEP_MM = 10.0  # of a shift, and of the rms displacement by a rotation


def displaced(coarse: Level, fine: Level, motion: FloatArray) -> FloatArray:
    """Displace each component 10 mm to either side, and let the other five follow.

    They follow at full resolution too: an edge that is missed by half a millimetre would speak
    against a displacement along which there is no edge at all.

    Returns
    -------
    ndarray, shape (6, 2, 6)
        By component and side, the motion that was climbed to.
    """
    near = replace(thinned(fine, _POINTS), by_overlap=False)
    places = np.empty((6, 2, 6))
    for component in range(6):
        others = [n for n in range(6) if n != component]
        for side, step in enumerate((-_STEP_MM, _STEP_MM)):
            start = motion.copy()
            start[component] += step
            there = climb(coarse, start, others).motion
            places[component, side] = climb(near, there, others).motion
    return places


def components_without_structure(
    coarse: Level, fine: Level, motion: FloatArray, *, least: float
) -> tuple[frozenset[int], FloatArray | None]:
    """Name the components (0-2 shift, 3-5 rotation about x, y, z) that are undetermined.

    Returns
    -------
    lost : frozenset of int
        Those whose displacement to one side or the other the blocks do not clearly oppose.
    better : ndarray or None
        A displaced place that scores higher and that the blocks clearly prefer: then
        ``motion`` was no optimum.
    """
    places = displaced(coarse, fine, motion)
    found = np.array([[support(fine, place, motion) for place in sides] for sides in places])
    lost = frozenset(int(n) for n in np.flatnonzero(found.min(axis=1) < least))
    component, side = np.unravel_index(int(found.argmin()), found.shape)
    other = places[component, side]
    wrong = found.min() < -least and score(fine, other) > score(fine, motion)
    return lost, other if wrong else None
