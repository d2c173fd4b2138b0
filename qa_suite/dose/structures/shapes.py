"""Structures given by a function to fractional voxel weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.structures.structures import (
    CELLS,
    ShapeStructure,
    StructureSamples,
    empty_samples,
    pitch_mm,
)


def samples_of_shape(structure: ShapeStructure, dose_grid: Grid) -> StructureSamples:
    """Turn a function of the position into cells with the share of each that lies inside.

    Every cell is asked at 2³ points, and where they disagree at 6³.

    Raises
    ------
    InputError
        If its box is empty.
    """
    low, high = np.array(structure.low_mm), np.array(structure.high_mm)
    if not (high > low).all():
        raise InputError(f"The box of {structure.name} is empty: {tuple(low)} to {tuple(high)} mm.")
    finest = min(dose_grid.spacing_mm)
    width = min(pitch_mm(float(np.prod(high - low)), CELLS), finest)
    shape = np.maximum(np.ceil((high - low) / width).astype(int), 1)
    spacing = (high - low) / shape
    grid = Grid(
        shape=tuple(shape),
        spacing_mm=tuple(spacing),
        origin_mm=tuple(low + spacing / 2),
        frame_of_reference=dose_grid.frame_of_reference,
    )
    weights = _shares(structure, grid, parts=2)
    edge = (weights > 0) & (weights < 1)
    if edge.any():
        weights[edge] = _shares_at(structure, grid, np.argwhere(edge), parts=6)
    if not weights.any():
        return empty_samples(structure.name, grid)
    return StructureSamples(name=structure.name, grid=grid, weights=weights)


def _shares(structure: ShapeStructure, grid: Grid, *, parts: int) -> NDArray[np.float32]:
    cells = np.argwhere(np.ones(grid.shape, dtype=bool))
    return _shares_at(structure, grid, cells, parts=parts).reshape(grid.shape)


def _shares_at(
    structure: ShapeStructure, grid: Grid, cells: NDArray[Any], *, parts: int
) -> NDArray[np.float32]:
    """Return the share of each cell inside, from parts³ points in it."""
    offsets = (np.arange(parts) + 0.5) / parts - 0.5
    found = np.zeros(len(cells), dtype=np.float32)
    for u in offsets:
        for v in offsets:
            for w in offsets:
                found += structure.inside(grid.to_world(cells + np.array([u, v, w])))
    return found / np.float32(parts**3)
