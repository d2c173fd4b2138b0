"""A quick estimate of the rigid motion between two images of any kind.

The same similarity on the same points as :func:`qa_suite.preflight.estimate_alignment`
(normalised mutual information, 6 mm), but climbed along its gradient from no motion only: no
search over distant shifts, no finer level, and a plainer test for missing structure.
"""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.volume import Triple, Volume
from qa_suite.imaging.registration.alignment import Alignment, sampled_level
from qa_suite.imaging.registration.rigid import BINS, Level, rotation_matrix, similarity
from qa_suite.imaging.registration.settings import AlignmentSettings

RESOLUTION_MM = 6.0
_DISPLACED_MM = 10.0
_MIN_OVERLAP = 0.6
_MAX_STEPS = 40
_FIRST_MM = 2.0
_LONGEST_MM = 5.0
_HALVINGS = 5
_SETTLED_MM = 0.01
_SETTLED = 1e-7  # of a similarity of 1.1 to 1.3


def quick_alignment(
    source: Volume, image: Volume, region: Mask, centre_mm: FloatArray, settings: AlignmentSettings
) -> Alignment:
    """Estimate the motion between a source and an image that lies nearly in place.

    Parameters
    ----------
    source, image
        On one grid, finite.
    region
        The body below the skin.
    centre_mm
        Its centroid, LPS.
    settings
        The evidence that a component needs.

    Returns
    -------
    Alignment
    """
    level = sampled_level(source, image, region, RESOLUTION_MM, settings)
    if level is None:
        return Alignment(why="the images have too little data in common")
    motion = _climb(level)
    lost = _without_structure(level, motion, settings.min_structure_drop)
    turn = np.degrees(motion[3:] / level.radius_mm)
    return Alignment(
        shift_mm=_three(motion[:3]),
        rotation_deg=_three(turn),
        shift_determined=(not lost[0], not lost[1], not lost[2]),
        rotation_determined=(not lost[3], not lost[4], not lost[5]),
        centre_mm=_three(centre_mm),
        similarity_before=similarity(level, np.zeros(6))[0],
        similarity_after=similarity(level, motion)[0],
    )


def _climb(level: Level) -> FloatArray:
    """Climb from no motion: quasi-Newton steps (BFGS) with backtracking.

    The similarity has a kink wherever a point crosses a voxel or a bin, so that a search for a
    vanishing gradient never ends; steps that no longer gain are the end here.
    """
    motion = np.zeros(6)
    cost, slope = _cost(level, motion)
    inverse = np.eye(6) * (_FIRST_MM / max(float(np.linalg.norm(slope)), 1e-12))
    for _ in range(_MAX_STEPS):
        step = -inverse @ slope
        step *= min(1.0, _LONGEST_MM / max(float(np.linalg.norm(step)), 1e-12))
        for _ in range(_HALVINGS):
            there, slope_there = _cost(level, motion + step)
            if there < cost:
                break
            step = step / 2
        else:
            break
        change = slope_there - slope
        along = float(step @ change)
        if along > 0:
            left = np.eye(6) - np.outer(step, change) / along
            inverse = left @ inverse @ left.T + np.outer(step, step) / along
        gained, motion, cost, slope = cost - there, motion + step, there, slope_there
        if np.linalg.norm(step) < _SETTLED_MM or gained < _SETTLED:
            break
    return motion


def _cost(level: Level, motion: FloatArray) -> tuple[float, FloatArray]:
    """Minus the similarity, and its gradient by shift and rotation (mm at the radius)."""
    from qa_suite.imaging.registration.information_kernels import information
    from qa_suite.imaging.registration.motion_kernels import rigid_rows

    turn = rotation_matrix(motion[3:] / level.radius_mm)
    count = len(level.points_mm)
    value, rows = np.empty(count), np.empty((count, 6))
    rigid_rows(
        level.points_mm, turn, motion[:3], level.moving, level.to_index, level.offset, value, rows
    )
    rows[:, 3:] /= level.radius_mm
    found, gradient, inside = information(level.bins, value, rows, BINS)
    if inside < _MIN_OVERLAP * count:
        return 0.0, np.zeros(6)
    return -found, -gradient


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


def _three(values: FloatArray) -> Triple:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
