"""Gamma by the convention of pymedphys: trilinear samples on shells of growing radius.

As documented for ``pymedphys.gamma`` 0.41: radii in steps of ``distance / interp_fraction``, the
distance criterion itself among them; points of a shell no further apart than the step; the search
of a voxel ends when the radius alone would give a higher gamma. Axes in the order z, y, x, as
its DICOM reader returns them; of a single plane the two within it, and circles instead of shells.
Every criterion is computed as if it were asked for alone. Without ``max_gamma`` pymedphys has no
other end (its default is infinity): how many samples that takes is known beforehand, since no
gamma of samples is below the exact one, and too many are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma.prepare import (
    SAME_PLANE_MM,
    Bases,
    covered,
    cutoff_gy_of,
    index_matrix,
    require_overlap,
)
from qa_suite.dose.gamma.result import GammaResult, assemble
from qa_suite.dose.gamma.settings import GammaCriterion, GammaSettings

MOST_SAMPLES = 2e10
"""Samples that a search without ``max_gamma`` may take: some minutes."""

_PART = 16384  # voxels that a thread takes at a time


def gamma_by_shells(
    reference: Volume,
    evaluated: Volume,
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings,
    bases: Bases,
    threads: int,
) -> list[GammaResult]:
    """Compute gamma as pymedphys does; voxels that no sample reaches are not judged.

    Raises
    ------
    GeometryError
        If the grids are turned against each other or do not overlap.
    """
    if not np.allclose(reference.grid.axes, evaluated.grid.axes, atol=1e-5):
        raise GeometryError(
            "The convention of pymedphys needs dose grids with parallel axes; resample one of "
            "them, or use the mode trilinear."
        )
    matrix = index_matrix(reference.grid, evaluated.grid)
    inside = covered(matrix, reference.grid, evaluated.grid)
    require_overlap(inside, reference.grid, evaluated.grid)
    results = []
    for criterion in criteria:
        above = reference.array >= cutoff_gy_of(criterion, settings, bases)
        found = _search(reference, evaluated, matrix, above, criterion, settings, bases, threads)
        judged = above.copy()
        judged[above] = np.isfinite(found)
        found = found[np.isfinite(found)]
        results.append(
            assemble(
                found,
                found <= 1,
                criterion=criterion,
                settings=settings,
                judged=judged,
                above_cutoff=above,
                grid=reference.grid,
                evaluated_grid=evaluated.grid,
                pass_rule="gamma <= 1",
                bases=bases,
            )
        )
    return results


def require_an_end(
    reference: Volume, evaluated: Volume, exact: Sequence[GammaResult], settings: GammaSettings
) -> None:
    """Refuse a search without ``max_gamma`` that would take more than ``MOST_SAMPLES``.

    Parameters
    ----------
    exact
        Of the same criteria and cut-off, by the exact search; a bound below every gamma of
        samples, so that the samples counted are the fewest that it can take.

    Raises
    ------
    InputError
        With the number of samples and the way out.
    """
    furthest = _furthest_mm(reference.grid, evaluated.grid)
    flat = _flat_axis(evaluated.grid)
    beyond = _beyond_mm(reference.grid, evaluated.grid)
    samples = 0.0
    for result in exact:
        criterion = result.criterion
        radii = np.array(
            [
                r
                for r, _ in radii_mm(
                    criterion.distance_mm, settings.interp_fraction, np.inf, furthest
                )
            ]
        )
        step = criterion.distance_mm / settings.interp_fraction
        around = 2 * np.pi * radii / step if flat is not None else 4 * np.pi * (radii / step) ** 2
        taken = np.cumsum(around + 1)
        reached = np.where(result.judged, result.values * criterion.distance_mm, beyond)
        searched = result.judged if flat is not None else result.above_cutoff
        last = np.searchsorted(radii, reached[searched])
        samples += float(taken[np.minimum(last, len(taken) - 1)].sum())
    if samples > MOST_SAMPLES:
        raise InputError(
            f"Without a largest gamma the mode pymedphys searches as pymedphys does, without end: "
            f"here that takes at least {samples:.2g} samples, and up to {MOST_SAMPLES:.0e} are "
            f"taken; 'qa-suite gamma REFERENCE EVALUATED --mode pymedphys --max-gamma 2' finds the "
            f"same pass rates, and the mode trilinear is exact."
        )


def radii_mm(
    distance_mm: float, interp_fraction: int, max_gamma: float, furthest_mm: float
) -> Iterator[tuple[float, float]]:
    """Radii of the shells and the step that each is sampled with, in mm."""
    step = distance_mm / interp_fraction
    radius, forced = 0.0, False
    while radius <= min(max_gamma * distance_mm, furthest_mm):
        yield radius, step
        step = max(radius / interp_fraction / max_gamma, distance_mm / interp_fraction)
        radius += step
        if not forced and radius >= distance_mm:
            radius, forced = distance_mm, True


def shell_mm(radius_mm: float, step_mm: float, flat: int | None = None) -> NDArray[np.float64]:
    """Offsets x, y, z, shape (points, 3), on a sphere: circles of latitude about the x axis.

    With a ``flat`` axis they lie on one circle about it.
    """
    if flat is not None:
        count = int(np.ceil(2 * np.pi * radius_mm / step_mm)) + 1
        turn = np.linspace(0, 2 * np.pi, count + 1)[:-1]
        offsets = np.zeros((count, 3))
        second, first = (axis for axis in range(3) if axis != flat)
        offsets[:, first], offsets[:, second] = radius_mm * np.cos(turn), radius_mm * np.sin(turn)
        return offsets
    rows = int(np.ceil(np.pi * radius_mm / step_mm)) + 1
    points = []
    for latitude in np.linspace(0, np.pi, rows):
        ring = radius_mm * np.sin(latitude)
        count = int(np.ceil(2 * np.pi * ring / step_mm)) + 1
        turn = np.linspace(0, 2 * np.pi, count + 1)[:-1]
        along = np.full(count, radius_mm * np.cos(latitude))
        points.append(np.stack([along, ring * np.sin(turn), ring * np.cos(turn)], axis=1))
    return np.concatenate(points)


def _search(
    reference: Volume,
    evaluated: Volume,
    matrix: NDArray[np.float64],
    above: NDArray[np.bool_],
    criterion: GammaCriterion,
    settings: GammaSettings,
    bases: Bases,
    threads: int,
) -> NDArray[np.float64]:
    from qa_suite.dose.gamma.samples import smallest_difference

    index = np.argwhere(above)
    position = index @ matrix[:, :3].T + matrix[:, 3]
    dose = reference.array[above].astype(np.float64)
    allowed = criterion.dose_pct / 100 * (dose if criterion.local else bases.normalisation_gy)
    allowed = np.broadcast_to(allowed, dose.shape)
    field = np.ascontiguousarray(evaluated.array)
    spacing = np.asarray(evaluated.grid.spacing_mm)
    limit = np.inf if settings.max_gamma is None else settings.max_gamma
    best = np.full(dose.shape, np.inf)
    open_ = np.arange(dose.size)
    furthest = _furthest_mm(reference.grid, evaluated.grid)
    flat = _flat_axis(evaluated.grid)
    if flat is not None:  # what lies in the plane but for rounding lies in it, and nothing else
        within = np.abs(position[:, flat]) * spacing[flat] <= SAME_PLANE_MM
        position[within, flat] = 0.0
        open_ = open_[within]
    with ThreadPoolExecutor(threads) as pool:
        for radius, step in radii_mm(
            criterion.distance_mm, settings.interp_fraction, limit, furthest
        ):
            offsets = shell_mm(radius, step, flat) / spacing
            parts = np.array_split(open_, max(threads, -(-open_.size // _PART)))
            least = np.concatenate(
                list(
                    pool.map(
                        lambda part, offsets=offsets: smallest_difference(
                            position[part], dose[part], field, offsets
                        ),
                        parts,
                    )
                )
            )
            far = radius / criterion.distance_mm
            best[open_] = np.minimum(best[open_], np.sqrt((least / allowed[open_]) ** 2 + far**2))
            open_ = open_[best[open_] > far]
            if not open_.size:
                break
    return np.where(np.isfinite(best), np.minimum(best, limit), best)


def _flat_axis(evaluated: Grid) -> int | None:
    """Return the axis across a single plane of dose; None for a volume.

    Raises
    ------
    InputError
        If the dose is a line or a point.
    """
    flat = [axis for axis, size in enumerate(evaluated.shape) if size == 1]
    if len(flat) > 1:
        raise InputError("The mode pymedphys compares volumes and planes; use trilinear.")
    return flat[0] if flat else None


def _beyond_mm(reference: Grid, evaluated: Grid) -> NDArray[np.float64]:
    """Distance of every reference voxel from the box of the evaluated voxels' centres."""
    matrix = index_matrix(reference, evaluated)
    index = np.moveaxis(np.indices(reference.shape, dtype=np.float32), 0, -1)
    squared = np.zeros(reference.shape)
    for row, count, step in zip(matrix, evaluated.shape, evaluated.spacing_mm, strict=True):
        place = index @ row[:3] + row[3]
        squared += (step * (place - np.clip(place, 0, count - 1))) ** 2
    return np.asarray(np.sqrt(squared))


def _furthest_mm(reference: Grid, evaluated: Grid) -> float:
    """Return a radius within which every reference voxel sees all of the evaluated grid."""
    corners = np.concatenate([reference.corners_mm(), evaluated.corners_mm()])
    return float(np.linalg.norm(np.ptp(corners, axis=0))) + 1.0
