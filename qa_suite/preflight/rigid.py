"""The normalised mutual information of two images under a rigid motion, and its maximum.

Full sampling on a fixed, jittered set of points, one thread, no global state: the same two
images give the same answer on every machine.

References
----------
Viola & Wells (1997), Int J Comput Vis 24:137 (mutual information);
Studholme, Hill & Hawkes (1999), Pattern Recognit 32:71 (normalised, overlap-invariant form).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 32
_MIN_OVERLAP = 0.6  # of the sampled points; below it a motion has left the field of view


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
        The reference image in histogram bins, 0 .. BINS-1.
    to_index, offset
        ``index = to_index @ position_mm + offset`` into ``moving``.
    radius_mm
        Root-mean-square distance of the points from the centre.
    rotation_sd_deg
        Standard deviation of the rotations that are expected.
    """

    points_mm: Array
    bins: Array
    moving: NDArray[np.float32]
    to_index: Array
    offset: Array
    radius_mm: float
    rotation_sd_deg: float


def rotation_matrix(vector_rad: Any) -> Array:
    """Rotation about the direction of ``vector_rad`` by its length (Rodrigues' formula)."""
    x, y, z = (float(v) for v in vector_rad)
    angle = float(np.sqrt(x * x + y * y + z * z))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-9:
        return np.eye(3) + cross
    first = np.sin(angle) / angle
    second = (1 - np.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + first * cross + second * cross @ cross)


@numba.njit(cache=True)
def _joint_histogram(points, bins, moving, matrix, offset, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Joint histogram with linear (partial) filling along both axes, and the points inside."""
    ni, nj, nk = moving.shape
    joint = np.zeros((count, count))
    inside = 0
    for n in range(points.shape[0]):
        p0, p1, p2 = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * p0 + matrix[0, 1] * p1 + matrix[0, 2] * p2 + offset[0]
        y = matrix[1, 0] * p0 + matrix[1, 1] * p1 + matrix[1, 2] * p2 + offset[1]
        z = matrix[2, 0] * p0 + matrix[2, 1] * p1 + matrix[2, 2] * p2 + offset[2]
        if x < 0 or y < 0 or z < 0 or x > ni - 1 or y > nj - 1 or z > nk - 1:
            continue
        i, j, k = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
        u, v, w = x - i, y - j, z - k
        low = (1 - u) * ((1 - v) * moving[i, j, k] + v * moving[i, j + 1, k]) + u * (
            (1 - v) * moving[i + 1, j, k] + v * moving[i + 1, j + 1, k]
        )
        high = (1 - u) * ((1 - v) * moving[i, j, k + 1] + v * moving[i, j + 1, k + 1]) + u * (
            (1 - v) * moving[i + 1, j, k + 1] + v * moving[i + 1, j + 1, k + 1]
        )
        value = (1 - w) * low + w * high
        a, b = min(int(bins[n]), count - 2), min(int(value), count - 2)
        f, g = bins[n] - a, value - b
        joint[a, b] += (1 - f) * (1 - g)
        joint[a, b + 1] += (1 - f) * g
        joint[a + 1, b] += f * (1 - g)
        joint[a + 1, b + 1] += f * g
        inside += 1
    return joint, inside


def _entropy(counts: Array) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


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
    turn = rotation_matrix(motion[3:] / level.radius_mm)
    matrix = level.to_index @ turn
    offset = level.to_index @ motion[:3] + level.offset
    joint, inside = _joint_histogram(
        level.points_mm, level.bins, level.moving, matrix, offset, BINS
    )
    overlap = inside / len(level.points_mm)
    if overlap < _MIN_OVERLAP:
        return 1.0, overlap
    together = _entropy(joint)
    if together <= 1e-9:
        return 1.0, overlap
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together, overlap


def score(level: Level, motion: Any) -> float:
    """Similarity above chance times the expectation of so large a rotation.

    A limb that lies differently in two scans deforms, and a free rotation buys a little
    similarity by following the deformation, at the price of a wrong shift. The expectation
    (normal, ``rotation_sd_deg``) asks a rotation for evidence; where the anatomy is rigid the
    similarity falls off much faster and is followed.
    """
    value, _ = similarity(level, motion)
    angle_deg = float(np.degrees(np.linalg.norm(motion[3:]) / level.radius_mm))
    expected = float(np.exp(-0.5 * (angle_deg / level.rotation_sd_deg) ** 2))
    return (value - 1.0) * expected


def maximise(
    level: Level,
    start: Any,
    free: Sequence[int],
    *,
    step_mm: float,
    tolerance_mm: float,
    rounds: int = 12,
) -> tuple[Array, float]:
    """Climb to the nearest maximum of the score in the ``free`` components of the motion.

    Powell's method (Powell 1964, Comput J 7:155): derivative-free, deterministic.

    Returns
    -------
    motion : ndarray, shape (6,)
    score : float
    """
    from scipy.optimize import minimize

    start = np.asarray(start, dtype=float)
    free = list(free)
    if not free:
        return start, score(level, start)

    def cost(values: Array) -> float:
        motion = start.copy()
        motion[free] = values
        return -score(level, motion)

    found = minimize(
        cost,
        start[free],
        method="Powell",
        options={
            "direc": np.eye(len(free)) * step_mm,
            "xtol": tolerance_mm,
            "ftol": 1e-7,
            "maxiter": rounds,
        },
    )
    motion = start.copy()
    motion[free] = np.atleast_1d(found.x)
    return motion, float(-found.fun)


def search_shifts(level: Level, *, reach_mm: float, step_mm: float, keep: int) -> list[Array]:
    """Try all shifts on a cube and return the best separated ones, no shift always first."""
    ticks = np.arange(-reach_mm, reach_mm + step_mm / 2, step_mm)
    shifts = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.linalg.norm(shifts, axis=1) <= reach_mm + 1e-6]
    motions = np.concatenate([shifts, np.zeros_like(shifts)], axis=1)
    values = np.array([score(level, motion) for motion in motions])
    chosen = [np.zeros(6)]
    for n in np.argsort(-values, kind="stable"):
        if len(chosen) > keep:
            break
        if all(np.linalg.norm(motions[n] - other) > 1.5 * step_mm for other in chosen):
            chosen.append(motions[n])
    return chosen
