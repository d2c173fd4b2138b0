"""From the sub-voxels of a structure to the doses that they get."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.structures.samples import StructureSamples

BINS = 32_768
"""Bins between the lowest and the highest dose around a structure: 2 mGy wide at 70 Gy."""


@dataclass(frozen=True, kw_only=True)
class DoseHistogram:
    """Doses of a structure, ascending, in Gy, and the cells that get each.

    ``inside`` and ``outside`` count the cells in and outside of the dose grid; the extremes are
    None where none lies inside.
    """

    doses_gy: FloatArray
    cells: FloatArray
    inside: float
    outside: float
    lowest_gy: float | None
    highest_gy: float | None


def dose_histogram(
    array: NDArray[np.float32], grid: Grid, structure: StructureSamples
) -> DoseHistogram:
    """Gather the dose of every sub-voxel in fine bins; each keeps its own mean dose.

    Parameters
    ----------
    array
        Dose in Gy, C-contiguous, on ``grid``.
    structure
        Cells and weights.

    Raises
    ------
    InputError
        If the dose is not finite in the structure.
    GeometryError
        If the structure lies in another frame of reference.
    """
    from qa_suite.dose.dvh.kernels import histogram

    if not structure.grid.same_frame_as(grid):
        raise GeometryError(
            f"{structure.name} lies in another frame of reference than the dose; register the "
            f"images first."
        )
    matrix = np.linalg.inv(grid.affine) @ structure.grid.affine
    low, high = _range_around(array, structure.grid, grid)
    per_gy = BINS / (high - low) if high > low else 0.0
    held, summed, rates, facts = (np.zeros(n) for n in (BINS, BINS, BINS + 2, 5))
    histogram(
        structure.weights,
        np.array(structure.parts, dtype=np.int64),
        np.ascontiguousarray(matrix[:3, :3]),
        np.ascontiguousarray(matrix[:3, 3]),
        array,
        low,
        per_gy,
        held,
        summed,
        rates,
        facts,
    )
    inside, outside, broken, least, most = (float(fact) for fact in facts)
    if broken > 0:
        share = 100 * broken / (inside + outside + broken)
        raise InputError(
            f"The dose is not finite in {share:.2g} % of {structure.name}; calculate it there, or "
            f"leave the structure out."
        )
    if per_gy > 0:
        spread = np.maximum(np.cumsum(rates)[:BINS], 0.0)
        held += spread
        summed += spread * (low + (np.arange(BINS) + 0.5) / per_gy)
    found = held > 1e-12 * inside  # less is rounding
    least, most = max(least, low), min(most, high)
    return DoseHistogram(
        doses_gy=np.clip(summed[found] / held[found], least, most),
        cells=held[found],
        inside=inside,
        outside=outside,
        lowest_gy=least if inside > 0 else None,
        highest_gy=most if inside > 0 else None,
    )


def _range_around(array: NDArray[np.float32], cells: Grid, grid: Grid) -> tuple[float, float]:
    """Return lowest and highest finite dose of the voxels around a structure's box."""
    ends = [(-0.5, n - 0.5) for n in cells.shape]
    index = grid.to_index(cells.to_world(list(itertools.product(*ends))))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(array.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int), 0, np.array(array.shape) - 1)
    box = array[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1]
    least, most = float(box.min()), float(box.max())
    if not np.isfinite([least, most]).all():
        finite = box[np.isfinite(box)]
        if finite.size == 0:
            return 0.0, 0.0
        least, most = float(finite.min()), float(finite.max())
    return least, most
