"""The normalised mutual information of two images under a rigid motion, and its maxima.

Full sampling on a fixed, jittered set of points, one thread, no global state: the same two
images give the same answer on every machine.

References
----------
Viola & Wells (1997), Int J Comput Vis 24:137 (mutual information);
Studholme, Hill & Hawkes (1999), Pattern Recognit 32:71 (normalised, overlap-invariant form).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.registration.kernels import count_seen, information, information_and_slope

BINS = 32
_MIN_OVERLAP = 0.5  # of the sampled points; below it a motion has left the field of view
_MAX_STEPS = 60
_FIRST_MM = 2.0
_LONGEST_MM = 6.0
_HALVINGS = 6
_SETTLED = 1e-7  # of a similarity above chance of 0.02 to 0.3
_OVERLAP_STEP_MM = 2.0
_OVERLAP_POINTS = 1_000
_SEARCH_POINTS = 2_500
_SEARCH_STEP_MM = 9.0
_SEARCH_TURN_DEG = 10.0


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution of the search.

    Parameters
    ----------
    points_mm
        Sampled positions relative to the centre of rotation, LPS, shape (n, 3).
    bins
        The source image at these points, in histogram bins, 0 .. BINS-1, shape (n,).
    moving
        The reference image in histogram bins, 0 .. BINS-1; NaN where it shows nothing.
    to_index, offset
        ``index = to_index @ position_mm + offset`` into ``moving``.
    radius_mm
        Root-mean-square distance of the points from the centre.
    rotation_sd_deg
        Standard deviation of the rotations that are expected.
    by_overlap
        Whether the score counts the share of the points that fall into the reference. Without
        it a motion may gain by leaving the field of view; with it the maximum of a weak
        component is drawn a little to where more is seen.
    """

    points_mm: FloatArray
    bins: FloatArray
    moving: NDArray[np.float32]
    to_index: FloatArray
    offset: FloatArray
    radius_mm: float
    rotation_sd_deg: float
    by_overlap: bool = True


@dataclass(frozen=True, kw_only=True)
class Place:
    """A motion and how well it does.

    Parameters
    ----------
    motion
        Shift (x, y, z) in mm and rotation vector times ``radius_mm`` (also mm), shape (6,).
    score
        Information about the reference, and the expectation of so large a rotation; see
        :func:`score`.
    """

    motion: FloatArray
    score: float


def rotation_matrix(vector_rad: Any) -> FloatArray:
    """Rotation about the direction of ``vector_rad`` by its length (Rodrigues' formula)."""
    x, y, z = (float(v) for v in vector_rad)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-9:
        return np.array([[1.0, -z, y], [z, 1.0, -x], [-y, x, 1.0]])
    along, across = math.cos(angle), math.sin(angle) / angle
    plane = (1 - along) / angle**2
    return np.array(
        [
            [along + plane * x * x, plane * x * y - across * z, plane * x * z + across * y],
            [plane * x * y + across * z, along + plane * y * y, plane * y * z - across * x],
            [plane * x * z - across * y, plane * y * z + across * x, along + plane * z * z],
        ]
    )


def _turning(vector_rad: FloatArray) -> FloatArray:
    """How a change of the rotation vector turns further: the left Jacobian of SO(3)."""
    x, y, z = (float(v) for v in vector_rad)
    angle = float(np.sqrt(x * x + y * y + z * z))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-6:
        return np.asarray(np.eye(3) + cross / 2)
    first = (1 - np.cos(angle)) / angle**2
    second = (angle - np.sin(angle)) / angle**3
    return np.asarray(np.eye(3) + first * cross + second * cross @ cross)


def similarity(level: Level, motion: Any) -> tuple[float, float]:
    """Normalised mutual information, (H(A) + H(B)) / H(A, B), of one rigid motion.

    Parameters
    ----------
    level
        The images.
    motion
        Shift (x, y, z) in mm and rotation vector times ``radius_mm`` (also mm), shape (6,).

    Returns
    -------
    similarity : float
        Between 1 (independent) and 2; 1 where too few points fall into the reference.
    overlap : float
        Share of the points that fall into the reference.
    """
    motion = np.asarray(motion, dtype=float)
    matrix = level.to_index @ rotation_matrix(motion[3:] / level.radius_mm)
    offset = level.to_index @ motion[:3] + level.offset
    value, seen = information(level.points_mm, level.bins, level.moving, matrix, offset, BINS)
    overlap = seen / len(level.points_mm)
    return (float(value) if overlap >= _MIN_OVERLAP else 1.0), overlap


def displacement_95_mm(level: Level, motion: Any, other: Any = None) -> float:
    """95th percentile of the displacement over the points by a motion, against another or none."""
    ends = []
    for one in (motion, np.zeros(6) if other is None else other):
        one = np.asarray(one, dtype=float)
        ends.append(level.points_mm @ rotation_matrix(one[3:] / level.radius_mm).T + one[:3])
    return float(np.percentile(np.linalg.norm(ends[0] - ends[1], axis=1), 95))


def score(level: Level, motion: Any) -> float:
    """Similarity above chance, times what is seen, times the expectation of so large a rotation.

    A limb that lies differently in two scans deforms, and a free rotation buys a little
    similarity by following the deformation, at the price of a wrong shift. The expectation
    (normal, ``rotation_sd_deg``) asks a rotation for evidence; where the anatomy is rigid the
    similarity falls off much faster and is followed.
    """
    motion = np.asarray(motion, dtype=float)
    value, overlap = similarity(level, motion)
    return (value - 1.0) * (overlap if level.by_overlap else 1.0) * _expected(level, motion)


def _expected(level: Level, motion: FloatArray) -> float:
    spread = np.radians(level.rotation_sd_deg) * level.radius_mm
    return float(np.exp(-0.5 * float(motion[3:] @ motion[3:]) / spread**2))


def score_and_slope(level: Level, motion: FloatArray) -> tuple[float, FloatArray]:
    """Return :func:`score` and its slope by the six components, per mm."""
    vector = motion[3:] / level.radius_mm
    value, slope, seen = information_and_slope(
        level.points_mm,
        level.bins,
        level.moving,
        rotation_matrix(vector),
        motion[:3],
        level.to_index,
        level.offset,
        BINS,
    )
    overlap = seen / len(level.points_mm)
    if overlap < _MIN_OVERLAP:
        return 0.0, np.zeros(6)
    slope[3:] = _turning(vector).T @ slope[3:] / level.radius_mm
    found = value - 1.0
    if level.by_overlap:
        slope = slope * overlap
        if overlap < 1:
            slope += found * _overlap_slope(level, motion)
        found *= overlap
    expected = _expected(level, motion)
    spread = np.radians(level.rotation_sd_deg) * level.radius_mm
    slope *= expected
    slope[3:] -= found * expected * motion[3:] / spread**2
    return found * expected, slope


def _overlap_slope(level: Level, motion: FloatArray) -> FloatArray:
    """Slope of the overlap by differences: it is a count, and has no other."""
    counts = np.empty((6, 2))
    points = level.points_mm[:: max(1, len(level.points_mm) // _OVERLAP_POINTS)]
    as_it_is = level.to_index @ rotation_matrix(motion[3:] / level.radius_mm)
    for component in range(6):
        for end, step in enumerate((-_OVERLAP_STEP_MM, _OVERLAP_STEP_MM)):
            there = motion.copy()
            there[component] += step
            matrix = as_it_is
            if component >= 3:
                matrix = level.to_index @ rotation_matrix(there[3:] / level.radius_mm)
            offset = level.to_index @ there[:3] + level.offset
            counts[component, end] = count_seen(points, level.moving, matrix, offset)
    return np.asarray((counts[:, 1] - counts[:, 0]) / (2 * _OVERLAP_STEP_MM * len(points)))


def climb(
    level: Level, start: Any, free: Sequence[int] = range(6), *, tolerance_mm: float = 0.05
) -> Place:
    """Climb to the nearest maximum of the score in the ``free`` components of the motion.

    Quasi-Newton steps (BFGS; Nocedal & Wright 2006, Numerical Optimization, ch. 6) with
    backtracking. The similarity has a kink wherever a point crosses a voxel or a bin, so that a
    search for a vanishing slope never ends; steps that no longer gain are the end here.
    """
    motion = np.array(start, dtype=float)
    kept = np.isin(np.arange(6), list(free))
    value, slope = score_and_slope(level, motion)
    slope = np.where(kept, slope, 0.0)
    inverse, fresh = _steepest(slope), True
    for _ in range(_MAX_STEPS):
        step = inverse @ slope
        step *= min(1.0, _LONGEST_MM / max(float(np.linalg.norm(step)), 1e-12))
        for _ in range(_HALVINGS):
            there, slope_there = score_and_slope(level, motion + step)
            if there > value:
                break
            step = step / 2
        settled = there <= value
        if not settled:
            slope_there = np.where(kept, slope_there, 0.0)
            change = slope - slope_there
            along = float(step @ change)
            if along > 0:
                left = np.eye(6) - np.outer(step, change) / along
                inverse = left @ inverse @ left.T + np.outer(step, step) / along
            settled = bool(np.linalg.norm(step) < tolerance_mm or there - value < _SETTLED)
            motion, value, slope = motion + step, there, slope_there
        if settled and fresh:
            break
        fresh = settled
        if settled:  # a kink may have spoilt what was learnt of the curvature: once more without
            inverse = _steepest(slope)
    return Place(motion=motion, score=value)


def _steepest(slope: FloatArray) -> FloatArray:
    return np.eye(6) * (_FIRST_MM / max(float(np.linalg.norm(slope)), 1e-12))


def thinned(level: Level, most: int = _SEARCH_POINTS) -> Level:
    """Keep at most so many points, evenly picked."""
    if len(level.points_mm) <= most:
        return level
    chosen = np.linspace(0, len(level.points_mm) - 1, most).astype(int)
    return replace(level, points_mm=level.points_mm[chosen], bins=level.bins[chosen])


def search(level: Level, *, reach_mm: float, keep: int) -> list[FloatArray]:
    """Try shifts within reach, alone and with turns, and return the best separated motions.

    Returns
    -------
    list of motions, each of shape (6,)
        No motion first, then for every turn the ``keep`` shifts of highest similarity that
        lie apart.
    """
    # of one turn all have the same expectation
    quick = replace(thinned(level), rotation_sd_deg=1e6)
    shifts = _lattice(reach_mm)
    starts = [np.zeros(6)]
    for turn in _turns(level):
        motions = np.concatenate([shifts, np.tile(turn, (len(shifts), 1))], axis=1)
        values = np.array([score(quick, motion) for motion in motions])
        kept: list[FloatArray] = []
        for n in np.argsort(-values, kind="stable"):
            if len(kept) == keep or values[n] <= 0.0:
                break
            if all(np.linalg.norm(motions[n] - m) > 1.5 * _SEARCH_STEP_MM for m in kept):
                kept.append(motions[n])
        starts += kept
    return starts


def _lattice(reach_mm: float) -> FloatArray:
    count = int(reach_mm / _SEARCH_STEP_MM)
    ticks = np.arange(-count, count + 1) * _SEARCH_STEP_MM
    shifts = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(shifts[np.linalg.norm(shifts, axis=1) <= reach_mm + 1e-6])


def _turns(level: Level) -> FloatArray:
    """No turn, one about every axis either way, and one about every diagonal; in mm."""
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    axes = np.concatenate([np.eye(3), -np.eye(3), corners / np.sqrt(3)])
    length = np.radians(_SEARCH_TURN_DEG) * level.radius_mm
    return np.concatenate([np.zeros((1, 3)), length * axes])
