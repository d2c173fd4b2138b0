"""Gamma of two doses: one call for any number of criteria."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume, canonical
from qa_suite.dose.gamma.prepare import (
    Bases,
    bases_of,
    covered,
    cutoff_gy_of,
    index_matrix,
    require_comparable,
    require_local_cutoff,
    require_overlap,
)
from qa_suite.dose.gamma.result import GammaResult, assemble
from qa_suite.dose.gamma.settings import GammaCriterion, GammaSettings, require_criteria

_PART = 4096  # voxels that a thread takes at a time


def gamma(
    reference: Volume,
    evaluated: Volume,
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings | None = None,
    *,
    prescription_gy: float | None = None,
    threads: int = 1,
) -> list[GammaResult]:
    """Compare two doses by the gamma index, for several criteria at once.

    For a reference voxel at ``r`` with dose ``D`` gamma is the minimum over all positions ``x``
    of the evaluated grid of ``sqrt((E(x) - D)² / dose² + |x - r|² / distance²)``, where ``E`` is
    the evaluated dose between its voxels, as the mode has it (Low et al. 1998, Med. Phys. 25(5),
    656-661).

    Parameters
    ----------
    reference, evaluated
        Doses in Gy, in one frame of reference; their grids may differ. How they are stored does
        not matter: both are computed with in the canonical orientation, and the result lies on
        the reference's own grid again.
    criteria
        One result each; criteria of one ratio of dose to distance cost as much as one.
    settings
        Search, normalisation and cut-off.
    prescription_gy
        Needed where a percentage is one of the prescription.
    threads
        Threads; the result does not depend on it.

    Returns
    -------
    list of GammaResult
        In the order of ``criteria``.

    Raises
    ------
    InputError
        If a dose or a setting cannot be used.
    GeometryError
        If the frames of reference differ or the grids do not overlap.
    """
    settings = settings or GammaSettings()
    require_criteria(criteria)
    if threads < 1:
        raise InputError(f"Gamma needs at least one thread, got {threads}.")
    results = _canonical_gamma(
        canonical(reference), canonical(evaluated), criteria, settings, prescription_gy, threads
    )
    return [result.stored_on(reference.grid, evaluated.grid) for result in results]


def _canonical_gamma(
    reference: Volume,
    evaluated: Volume,
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings,
    prescription_gy: float | None,
    threads: int,
) -> list[GammaResult]:
    """Compute gamma of doses in canonical orientation: what every mode is handed."""
    require_comparable(reference, evaluated, settings)
    bases = bases_of(reference, settings, prescription_gy)
    for criterion in criteria:
        require_local_cutoff(criterion, cutoff_gy_of(criterion, settings, bases))
    if settings.mode == "pymedphys":
        from qa_suite.dose.gamma.shells import gamma_by_shells, require_an_end

        if settings.max_gamma is None:
            cutoff_pct = settings.cutoff_pct_for(criteria[0])
            exact = settings.model_copy(update={"mode": "trilinear", "cutoff_pct": cutoff_pct})
            least = _by_search(reference, evaluated, criteria, exact, bases, threads)
            require_an_end(reference, evaluated, least, settings)
        return gamma_by_shells(reference, evaluated, criteria, settings, bases, threads)
    if settings.mode == "matrad":
        from qa_suite.dose.gamma.lattice import gamma_by_lattice

        return gamma_by_lattice(reference, evaluated, criteria, settings, bases)
    return _by_search(reference, evaluated, criteria, settings, bases, threads)


def _by_search(
    reference: Volume,
    evaluated: Volume,
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings,
    bases: Bases,
    threads: int,
) -> list[GammaResult]:
    matrix = index_matrix(reference.grid, evaluated.grid)
    inside = covered(matrix, reference.grid, evaluated.grid)
    require_overlap(inside, reference.grid, evaluated.grid)
    # Modes that search share one cut-off among all criteria.
    above = reference.array >= cutoff_gy_of(criteria[0], settings, bases)
    judged = inside & above
    groups = _searches(criteria)
    distance_mm = _distances_mm(
        reference,
        evaluated,
        matrix,
        judged,
        [criteria[g[0]] for g in groups],
        settings,
        bases,
        [_largest_cap(criteria, g, settings) for g in groups],
        threads,
    )
    results: dict[int, GammaResult] = {}
    limit = 1 + settings.tolerance
    for row, group in enumerate(groups):
        first = criteria[group[0]]
        for number in group:
            criterion = criteria[number]
            # Searches of equal ratio share their nearest points; only the unit changes.
            found = distance_mm[row] / (first.distance_mm * criterion.dose_pct / first.dose_pct)
            if settings.max_gamma is not None:
                found = np.minimum(found, settings.max_gamma)
            results[number] = assemble(
                found,
                found <= limit,
                criterion=criterion,
                settings=settings,
                judged=judged,
                above_cutoff=above,
                grid=reference.grid,
                evaluated_grid=evaluated.grid,
                pass_rule=f"gamma <= {limit:g}",
                bases=bases,
            )
    return [results[number] for number in range(len(criteria))]


def _searches(criteria: Sequence[GammaCriterion]) -> list[list[int]]:
    """Return the numbers of the criteria that share a search: one kind, one ratio.

    Searches stand in the order of their ratios, since each starts where the one before ended.
    """
    groups: dict[tuple[bool, float], list[int]] = {}
    for number, criterion in enumerate(criteria):
        ratio = round(criterion.dose_pct / criterion.distance_mm, 12)
        groups.setdefault((criterion.local, ratio), []).append(number)
    return [groups[key] for key in sorted(groups)]


def _largest_cap(
    criteria: Sequence[GammaCriterion], group: Sequence[int], settings: GammaSettings
) -> float:
    """How far, in mm, the search of a group must go."""
    if settings.max_gamma is None:
        return float("inf")
    return settings.max_gamma * max(criteria[number].distance_mm for number in group)


def _distances_mm(
    reference: Volume,
    evaluated: Volume,
    matrix: NDArray[np.float64],
    judged: NDArray[np.bool_],
    criteria: Sequence[GammaCriterion],
    settings: GammaSettings,
    bases: Bases,
    cap_mm: Sequence[float],
    threads: int,
) -> NDArray[np.float32]:
    """Generalised distance of every judged voxel, one row a criterion, in its mm."""
    from qa_suite.dose.gamma.ring_search import ranges_of_cells
    from qa_suite.dose.gamma.search import search

    dose = _at_least_two(np.ascontiguousarray(evaluated.array, dtype=np.float32))
    given = np.ascontiguousarray(reference.array, dtype=np.float32)
    cells, blocks = ranges_of_cells(dose)
    extremes = np.array([dose.min(), dose.max()], dtype=np.float64)
    share = np.array([c.dose_pct / 100 for c in criteria])
    local = np.array([c.local for c in criteria])
    dta = np.array([c.distance_mm for c in criteria])
    rho = (dta / np.where(local, share, share * bases.normalisation_gy)) ** 2
    where = np.flatnonzero(judged)
    found = np.empty((len(criteria), where.size), dtype=np.float32)
    step = np.asarray(evaluated.grid.spacing_mm)

    def work(start: int) -> None:
        part = slice(start, start + _PART)
        search(
            where[part],
            given,
            matrix,
            dose,
            cells,
            blocks,
            extremes,
            step,
            rho,
            local,
            dta,
            np.asarray(cap_mm),
            settings.mode == "simplex",
            found[:, part],
        )

    starts = range(0, where.size, _PART)
    if threads == 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    return found


def _at_least_two(dose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat the only slice of a flat grid, so that it has cells; nothing changes along it."""
    for axis, size in enumerate(dose.shape):
        if size == 1:
            dose = np.repeat(dose, 2, axis=axis)
    return dose
