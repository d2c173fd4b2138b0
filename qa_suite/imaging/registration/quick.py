"""The engine of :mod:`.alignment` in one climb, for two images that lie nearly in place.

The same points, similarity and climb, from no motion only and at 6 mm: no search over distant
places, no finer level, no shading, nothing expected of the rotation, and a plainer test for
missing structure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.volume import Volume
from qa_suite.imaging.masks import centroid
from qa_suite.imaging.registration.alignment import UNBOUND_DEG, Alignment, three
from qa_suite.imaging.registration.alignment_settings import AlignmentSettings
from qa_suite.imaging.registration.rigid import Level, climb, similarity
from qa_suite.imaging.registration.sampling import COARSE_MM, sampled_level

_DISPLACED_MM = 10.0
_TOLERANCE_MM = 0.01


def quick_alignment(
    source: Volume, image: Volume, region: Mask, settings: AlignmentSettings
) -> Alignment:
    """Estimate the motion between a source and an image that lies nearly in place.

    Parameters
    ----------
    source, image
        On one grid, finite.
    region
        The body below the skin; see :func:`.alignment.interior`.
    settings
        The evidence that a component needs.

    Returns
    -------
    Alignment
        Without consensus, support and rivals, which are not looked for.
    """
    level = sampled_level(source, image, region, COARSE_MM, settings)
    if level is None:
        return Alignment(why="the images have too little data in common")
    level = replace(level, by_overlap=False, rotation_sd_deg=UNBOUND_DEG)
    motion = climb(level, np.zeros(6), tolerance_mm=_TOLERANCE_MM).motion
    lost = _without_structure(level, motion, settings.min_structure_drop)
    return Alignment(
        shift_mm=three(motion[:3]),
        rotation_deg=three(np.degrees(motion[3:] / level.radius_mm)),
        shift_determined=(not lost[0], not lost[1], not lost[2]),
        rotation_determined=(not lost[3], not lost[4], not lost[5]),
        centre_mm=three(source.grid.to_world(centroid(region))),
        similarity_before=similarity(level, np.zeros(6))[0],
        similarity_after=similarity(level, motion)[0],
    )


def _without_structure(level: Level, motion: FloatArray, least_drop: float) -> list[bool]:
    """Whether a displacement of 10 mm along a component loses hardly any similarity."""
    best = similarity(level, motion)[0] - 1
    lost = []
    for component in range(6):
        losses = []
        for step in (-_DISPLACED_MM, _DISPLACED_MM):
            there = motion.copy()
            there[component] += step
            losses.append(1 - (similarity(level, there)[0] - 1) / best if best > 0 else 0.0)
        lost.append(min(losses) < least_drop)
    return lost
