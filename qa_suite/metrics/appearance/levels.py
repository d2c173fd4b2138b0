"""Where the tissues of one image lie, in HU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.imaging.robust import otsu
from qa_suite.metrics.appearance.facts import (
    AIR_BELOW_HU,
    BONE_HU,
    BONE_PERCENTILE,
    FEWEST,
    LEVEL_HALFWIDTH_HU,
    LEVEL_WINDOW_HU,
)
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.reference_free.levels import peak

Answer = float | NoValue


def air_level(outside: NDArray[np.floating]) -> Answer:
    """Return the median of the values outside the patient that can be air."""
    air = outside[outside < AIR_BELOW_HU]
    if air.size < FEWEST:
        return NoValue(why=f"only {air.size} voxels outside the mask lie below {AIR_BELOW_HU:g} HU")
    return float(np.median(air))


def soft_levels(inside: NDArray[np.floating]) -> dict[str, Answer]:
    """Return where fat and muscle lie among the values inside, in HU."""
    low, high = LEVEL_WINDOW_HU
    values = inside[(inside >= low) & (inside <= high)]
    if values.size < FEWEST:
        few = NoValue(why=f"only {values.size} voxels lie between {low:g} and {high:g} HU")
        return {"fat": few, "muscle": few}
    parting = otsu(values)
    sides = {"fat": values[values <= parting], "muscle": values[values > parting]}
    return {name: peak(side, LEVEL_HALFWIDTH_HU) for name, side in sides.items()}


def bone_level(inside: NDArray[np.floating]) -> Answer:
    """Return how dense bone is: the 90th percentile of all that counts as bone."""
    bone = inside[inside >= BONE_HU]
    if bone.size < FEWEST:
        return NoValue(why=f"only {bone.size} voxels inside lie at {BONE_HU:g} HU or above")
    return float(np.percentile(bone, BONE_PERCENTILE))
