"""Gamma by the convention of matRad: samples on a lattice of halved voxels.

As documented for ``matRad_gammaIndex``: the evaluated dose is interpolated to 2^n - 1 points
between its voxels and taken at every point of a box of 1.5 times the distance criterion. A voxel
counts where either dose lies above the cut-off, each of its own maximum, and passes below 1.
Outside the box of the reference's dose the evaluated dose counts as 0 and gamma is 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError
from qa_suite.core.volume import Volume
from qa_suite.dose.gamma.prepare import Bases, cutoff_gy_of, is_plane
from qa_suite.dose.gamma.result import GammaResult, assemble
from qa_suite.dose.gamma.settings import GammaCriterion, GammaSettings

BOX = 1.5
"""Half the side of the searched box, in distance criteria."""


def gamma_by_lattice(
    reference: Volume,
    evaluated: Volume,
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings,
    bases: Bases,
) -> list[GammaResult]:
    """Compute gamma as matRad does.

    Raises
    ------
    GeometryError
        If the doses do not lie on one grid, or are single planes.
    """
    if not reference.grid.same_as(evaluated.grid):
        raise GeometryError(
            f"The convention of matRad needs both doses on one grid, and they lie on "
            f"{reference.grid.describe()} and {evaluated.grid.describe()}; resample one of them, "
            f"or use the mode trilinear."
        )
    if is_plane(evaluated.grid):
        raise GeometryError(
            "The convention of matRad compares volumes, and a dose is a single plane; use the mode "
            "trilinear."
        )
    highest = float(evaluated.array.max())
    results = []
    for criterion in criteria:
        cutoff_pct = settings.cutoff_pct_for(criterion)
        above = reference.array > cutoff_gy_of(criterion, settings, bases)
        above |= evaluated.array > cutoff_pct / 100 * highest
        found = _squared(reference, evaluated, criterion, settings, bases.normalisation_gy)
        found = np.sqrt(found)
        if settings.max_gamma is not None:
            found = np.minimum(found, settings.max_gamma)
        found = found[above]
        results.append(
            assemble(
                found,
                found < 1,
                criterion=criterion,
                settings=settings,
                judged=above,
                above_cutoff=above,
                grid=reference.grid,
                evaluated_grid=evaluated.grid,
                pass_rule="gamma < 1",
                bases=replace(bases, cutoff_rule="maximum of each dose, and either dose counts"),
            )
        )
    return results


def _squared(
    reference: Volume,
    evaluated: Volume,
    criterion: GammaCriterion,
    settings: GammaSettings,
    normalisation_gy: float,
) -> NDArray[np.float64]:
    """Squared gamma on the whole grid; 0 outside the box of the reference's dose."""
    from qa_suite.dose.gamma.samples import lower_by_offsets

    halves = 2**settings.matrad_n
    spacing = np.asarray(reference.grid.spacing_mm)
    # As many whole voxels of padding as there are halved ones to be searched.
    reach = np.ceil(BOX * criterion.distance_mm / (spacing / halves)).astype(np.int64)
    box = np.ix_(*_box(reference.array))
    dose = reference.array[box].astype(np.float64)
    padded = np.pad(evaluated.array[box].astype(np.float64), [(n + 2, n + 2) for n in reach])
    allowed = np.full(dose.shape, criterion.dose_pct / 100 * normalisation_gy)
    if criterion.local:
        allowed = criterion.dose_pct / 100 * dose
    best = np.full(dose.shape, np.inf)
    for phase in itertools.product(range(halves), repeat=3):
        steps = [
            np.array([n for n in range(-r, r + 1) if n % halves == p])
            for r, p in zip(reach, phase, strict=True)
        ]
        if any(axis.size == 0 for axis in steps):
            continue
        fine = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        distance = (((fine * spacing / halves) / criterion.distance_mm) ** 2).sum(axis=1)
        order = np.argsort(distance, kind="stable")
        between = _between(padded, [p / halves for p in phase], settings.matrad_interpolation)
        lower_by_offsets(
            best, dose, between, reach + 2, (fine // halves)[order], distance[order], allowed
        )
    whole = np.zeros(reference.grid.shape)
    whole[box] = best
    return whole


def _box(array: NDArray[np.floating]) -> list[NDArray[np.int64]]:
    """Rows, columns and slices that matRad keeps: all between the first and last with dose.

    Slices without dose in between are left out, also as matRad does.
    """
    kept = []
    for axis in range(3):
        some = np.flatnonzero(array.any(axis=tuple(a for a in range(3) if a != axis)))
        kept.append(some if axis == 2 else np.arange(some[0], some[-1] + 1))
    return kept


def _between(
    dose: NDArray[np.float64], shift: Sequence[float], interpolation: str
) -> NDArray[np.float64]:
    """Dose at every voxel moved by ``shift`` (0 to 1 voxel an axis), of the same shape."""
    for axis, part in enumerate(shift):
        if part == 0:
            continue
        taps = (-1, 0, 1, 2) if interpolation == "cubic" else (0, 1)
        moved = np.zeros_like(dose)
        for tap in taps:
            weight = _keys(tap - part) if interpolation == "cubic" else 1 - abs(tap - part)
            moved += weight * np.roll(dose, -tap, axis=axis)
        dose = moved
    return np.ascontiguousarray(dose)


def _keys(x: float) -> float:
    """Cubic convolution with a = -1/2 (Keys 1981, IEEE Trans. ASSP 29(6), 1153-1160)."""
    x = abs(x)
    if x <= 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0
