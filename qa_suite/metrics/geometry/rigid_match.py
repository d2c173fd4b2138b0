"""Rigid registration of two images of one modality: robust Gauss–Newton steps.

Minimised is a robust sum of ``target(p) − gain · moving(T p) − field(p)`` over points p, where
the gain and a field of second order (calibration, cupping) are fitted along: the similarity
is the correlation of the images, not their difference. Points that do not fit (a missing bone,
metal) lose their weight: Huber's function while far, Tukey's biweight at the end (Holland and
Welsch 1977, Commun Stat Theory Methods 6:813). Steps: Lucas and Kanade 1981 (Proc IJCAI: 674).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.imaging.robust import HUBER, MAD_TO_SD
from qa_suite.metrics.geometry.images import Image

_MAX_STEPS = 25
_SETTLED_MM = 0.01
_NEARLY_MM = 0.1  # a last step below it counts as settled too
_PRIOR_MM = 25.0  # of one step; keeps components without structure where they are
_MIN_OVERLAP = 0.5
_MIN_POINTS = 50
_TUKEY = 4.685
_CONSTANT = 1e-3
_FLOOR_HU = 5.0


@dataclass(frozen=True, kw_only=True)
class Points:
    """Where the target was sampled at one resolution, and the moving image there.

    Parameters
    ----------
    offsets_mm
        Positions from the centre of rotation, LPS, shape (n, 3).
    target
        The target there, shape (n,).
    moving
        The image that is moved onto it.
    centre_mm
        The centre of rotation, LPS.
    spread
        By how much the residuals of neighbouring points repeat each other (≥ 1).
    """

    offsets_mm: FloatArray
    target: FloatArray
    moving: Image
    centre_mm: FloatArray
    spread: float = 1.0


Sampler = Callable[[RigidMotion], tuple[FloatArray, FloatArray, Mask]]


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a registration found.

    Parameters
    ----------
    motion
        From the target to the moving image: what lies at p there lies at T p here.
    sd_mm
        Standard error of shift (3) and rotation (3, as displacement at ``radius_mm``).
    correlation
        Of the two images at the motion, the additive field removed from both.
    radius_mm
        Rms distance of the points from the centre.
    slopes
        Derivative of the moved image by each component, shape (points, 6); 0 where it has none.
    why
        Why there is no match, or empty.
    """

    motion: RigidMotion = field(default_factory=RigidMotion)
    sd_mm: FloatArray = field(default_factory=lambda: np.full(6, np.inf))
    correlation: float = 0.0
    radius_mm: float = 1.0
    slopes: FloatArray = field(default_factory=lambda: np.zeros((0, 6)))
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The solution of one set of normal equations."""

    step: FloatArray
    gain: float
    field: FloatArray
    sd: FloatArray


def register(levels: Sequence[Points], start: RigidMotion | None = None) -> Match:
    """Register over one resolution after the other, coarse to fine.

    Parameters
    ----------
    levels
        Coarsest first.
    start
        Where to begin; None is no motion.

    Returns
    -------
    Match
        With ``why`` where the images hold nothing to match.
    """
    match = Match(motion=start or RigidMotion())
    for number, points in enumerate(levels):
        last = number == len(levels) - 1
        match = _from_points(points, match.motion, tukey=last)
        if match.why:
            return match
    return match


def _from_points(points: Points, motion: RigidMotion, *, tukey: bool) -> Match:
    count = len(points.offsets_mm)
    if count < _MIN_POINTS:
        return Match(why=f"only {count} points lie in the field of view")
    radius = float(np.sqrt((points.offsets_mm**2).sum(axis=1).mean()))
    return descend(
        lambda there: sampled_points(points, there),
        points.target,
        field_basis(points.offsets_mm, radius),
        motion,
        radius_mm=radius,
        floor=_FLOOR_HU,
        spread=points.spread,
        tukey=tukey,
    )


def descend(
    sample: Sampler,
    target: FloatArray,
    basis: FloatArray,
    motion: RigidMotion,
    *,
    radius_mm: float,
    floor: float,
    spread: float,
    tukey: bool,
) -> Match:
    """Step to the nearest motion at which ``sample`` looks like the target.

    Parameters
    ----------
    sample
        From a motion to values, shape (n,), their derivatives by shift and rotation vector (mm,
        rad), shape (n, 6), and which of them exist.
    target
        Shape (n,).
    basis
        Terms of the additive field, shape (n, terms).
    motion
        Where to begin.
    radius_mm
        The length that turns a rotation into a displacement.
    floor
        Smallest scale of the residuals, in the target's unit.
    spread
        By how much neighbouring residuals repeat each other.
    tukey
        The last, narrow search; else a coarse one, which need not settle.
    """
    from qa_suite.imaging.registration.motion_kernels import residuals

    gain, terms = np.nan, np.zeros(basis.shape[1])
    residual = np.empty(len(target))
    damping, before = 1.0, np.zeros(6)
    for _ in range(_MAX_STEPS):
        value, rows, used = sample(motion)
        if used.mean() < _MIN_OVERLAP:
            return Match(why="the registration left the field of view")
        rows[:, 3:] /= radius_mm
        if np.isnan(gain):
            gain, terms = _first_fit(value, basis, target, used)
            if np.isnan(gain):
                return Match(why="the image is constant where it should be matched")
        residuals(target, value, gain, basis, terms, residual)
        weight, variance = _weights(residual, used, tukey=tukey, floor=floor)
        fit = _solve(rows, gain, value, basis, target, weight, variance * spread)
        gain, terms = fit.gain, fit.field
        size = float(np.linalg.norm(fit.step))
        swings = float(fit.step @ before) < 0  # to and fro over the best place
        damping = damping / 2 if swings else min(1.0, 1.5 * damping)
        motion = motion.stepped(damping * fit.step[:3], damping * fit.step[3:] / radius_mm)
        if size < (_SETTLED_MM if tukey else _NEARLY_MM):
            break
        before = fit.step
    if tukey and size > _NEARLY_MM:
        return Match(why=f"the registration did not settle: its last step was {size:.2g} mm")
    if gain <= 0:
        return Match(why="the images match with inverted contrast only")
    return Match(
        motion=motion,
        sd_mm=fit.sd,
        correlation=_partial_correlation(value, target, basis, used),
        radius_mm=radius_mm,
        slopes=rows,
    )


def sampled_points(points: Points, motion: RigidMotion) -> tuple[FloatArray, FloatArray, Mask]:
    """Values and derivatives at the moved points, and which of them lie in the image."""
    from qa_suite.imaging.registration.motion_kernels import rigid_rows

    grid = points.moving.grid
    value, rows = np.empty(len(points.target)), np.empty((len(points.target), 6))
    rigid_rows(
        points.offsets_mm,
        motion.turn,
        motion.shift,
        points.moving.values,
        np.linalg.inv(grid.affine[:3, :3]),
        grid.to_index(points.centre_mm),
        value,
        rows,
    )
    used = np.isfinite(value)
    value[~used] = 0.0
    return value, rows, used


def field_basis(offsets_mm: FloatArray, radius_mm: float) -> FloatArray:
    """Constant, linear and square terms of the position: shape (n, 7)."""
    scaled = offsets_mm / radius_mm
    return np.concatenate([np.ones((len(scaled), 1)), scaled, scaled**2], axis=1)


def _first_fit(
    value: FloatArray, basis: FloatArray, target: FloatArray, used: Mask
) -> tuple[float, FloatArray]:
    """Gain and field without a motion; a gain of NaN where the value is constant."""
    from qa_suite.imaging.registration.motion_kernels import gram

    if np.ptp(value[used]) < _CONSTANT:
        return np.nan, np.zeros(basis.shape[1])
    products = gram(basis, value, target, used)
    found, *_ = np.linalg.lstsq(products[:-1, :-1], products[:-1, -1], rcond=None)
    return float(found[-1]), found[:-1]


def _weights(
    residual: FloatArray, used: Mask, *, tukey: bool, floor: float
) -> tuple[FloatArray, float]:
    size = np.abs(residual)
    scale = max(MAD_TO_SD * float(np.median(size[used])), floor)
    scaled = size / scale
    if tukey:
        weight = np.maximum(1 - (scaled / _TUKEY) ** 2, 0) ** 2
    else:
        weight = np.minimum(1.0, HUBER / np.maximum(scaled, 1e-9))
    weight[~used] = 0.0
    return weight, scale**2


def _solve(
    rows: FloatArray,
    gain: float,
    value: FloatArray,
    basis: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    variance: float,
) -> _Fit:
    from qa_suite.imaging.registration.motion_kernels import normal_equations

    left, right = normal_equations(rows, gain, value, basis, target, weight)
    left[np.arange(6), np.arange(6)] += variance / _PRIOR_MM**2
    size = np.sqrt(np.maximum(np.diag(left), 1e-12))
    scaled = left / np.outer(size, size)
    scaled[np.diag_indices_from(scaled)] += 1e-10
    inverse = np.linalg.inv(scaled) / np.outer(size, size)
    found = inverse @ right
    sd = np.sqrt(np.maximum(np.diag(inverse)[:6] * variance, 0))
    return _Fit(step=found[:6], gain=float(found[6]), field=found[7:], sd=sd)


def _partial_correlation(
    value: FloatArray, target: FloatArray, basis: FloatArray, used: Mask
) -> float:
    """Correlation of what the field does not explain of the two images."""
    from qa_suite.imaging.registration.motion_kernels import gram

    products = gram(basis, value, target, used)
    terms = basis.shape[1]
    metric, mixed = products[:terms, :terms], products[:terms, terms:]
    metric[np.diag_indices_from(metric)] *= 1 + 1e-9
    rest = products[terms:, terms:] - mixed.T @ np.linalg.solve(metric, mixed)
    scale = float(np.sqrt(max(rest[0, 0], 0.0) * max(rest[1, 1], 0.0)))
    return float(rest[0, 1]) / scale if scale > 0 else 0.0
