"""A structure laid out: cells with their weights, from masks and from functions of the position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Triple

SAMPLES = 10_000
"""Sub-voxels that a mask gets at least, unless they would be finer than ``FINEST_MM``."""
CELLS = 60_000
"""Cells of partial weight that contours and shapes get at least."""
FINEST_MM = 0.1
_MOST_PARTS = 15  # sub-voxels of one cell along one axis
WeightArray = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class StructureSamples:
    """A structure, ready to be laid over doses.

    Parameters
    ----------
    name
        Its name.
    grid
        The cells of its bounding box.
    weights
        Share of each cell inside the structure: uint8 (0 or 1) or float32 (0 to 1), of the
        grid's shape.
    parts
        Into how many sub-voxels each cell is cut along its axes; odd, so that its centre is one.
    notes
        What a user should know of it.
    problem
        Why it could not be laid out; such a structure has no volume and no metric.
    """

    name: str
    grid: Grid
    weights: WeightArray
    parts: tuple[int, int, int] = (1, 1, 1)
    notes: tuple[str, ...] = ()
    problem: str = ""

    def __post_init__(self) -> None:
        if self.weights.shape != self.grid.shape:
            raise GeometryError(
                f"The weights of {self.name} have shape {self.weights.shape} and their grid "
                f"{self.grid.shape}."
            )

    @property
    def volume_cc(self) -> float:
        """Volume of the whole structure, inside and outside of any dose grid, in cm³."""
        return float(self.weights.sum(dtype=np.float64)) * self.grid.voxel_volume_cc

    @property
    def samples(self) -> int:
        """Number of sub-voxels that carry weight."""
        return int(np.count_nonzero(self.weights)) * int(np.prod(self.parts))


@dataclass(frozen=True, kw_only=True)
class MaskStructure:
    """A structure as a bool mask: the union of its voxels, each whole.

    ``grid`` may be finer or coarser than the dose's and oblique to it.
    """

    name: str
    mask: NDArray[Any]
    grid: Grid


@dataclass(frozen=True, kw_only=True)
class ShapeStructure:
    """A structure given by a function.

    Parameters
    ----------
    name
        Its name.
    inside
        Takes LPS positions in mm, shape (n, 3), and says which lie inside, bool, shape (n,).
    low_mm, high_mm
        Corners of a box that holds all of it, LPS.
    """

    name: str
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
    low_mm: Triple
    high_mm: Triple


def cropped_grid(grid: Grid, place: tuple[slice, slice, slice]) -> Grid:
    """Return the grid of a box of voxels."""
    start = [part.start for part in place]
    return replace(
        grid,
        shape=tuple(part.stop - part.start for part in place),
        origin_mm=tuple(grid.to_world(start)),
    )


def samples_of_mask(structure: MaskStructure, dose_grid: Grid) -> StructureSamples:
    """Lay out a mask on the cells of its own grid."""
    from qa_suite.dose.dvh.kernels import box_of

    mask = np.asarray(structure.mask)
    if mask.shape != structure.grid.shape:
        raise GeometryError(
            f"The mask of {structure.name} has shape {mask.shape} and its grid "
            f"{structure.grid.shape}."
        )
    turn = structure.grid.turn
    mask = turn.apply(mask if mask.dtype == np.bool_ else mask != 0)
    box = np.empty((3, 2), dtype=np.int64)
    box_of(mask.view(np.uint8), box)
    place = _slices(box)
    crop = None if place is None else np.ascontiguousarray(mask[place]).view(np.uint8)
    return _laid_out(structure.name, crop, place, structure.grid.turned(turn), dose_grid)


def _slices(box: NDArray[np.int64]) -> tuple[slice, slice, slice] | None:
    if box[0, 0] > box[0, 1]:
        return None
    i, j, k = (slice(int(low), int(high) + 1) for low, high in box)
    return i, j, k


def _laid_out(
    name: str,
    crop: WeightArray | None,
    place: tuple[slice, slice, slice] | None,
    grid: Grid,
    dose_grid: Grid,
) -> StructureSamples:
    if crop is None or place is None:
        return empty_samples(name, grid)
    small = cropped_grid(grid, place)
    cells = float(np.count_nonzero(crop))
    parts = parts_for(small, cells, dose_grid)
    return StructureSamples(name=name, grid=small, weights=crop, parts=parts)


def empty_samples(name: str, grid: Grid, notes: tuple[str, ...] = ()) -> StructureSamples:
    """Return a structure without volume."""
    nothing = np.zeros((1, 1, 1), dtype=np.uint8)
    return StructureSamples(
        name=name, grid=replace(grid, shape=(1, 1, 1)), weights=nothing, notes=notes
    )


def parts_for(grid: Grid, cells: float, dose_grid: Grid) -> tuple[int, int, int]:
    """Say into how many sub-voxels to cut each cell of a structure of ``cells`` cells.

    Odd numbers, so that the centre of a cell is a sub-voxel: on the dose's own grid the highest
    sub-voxel is then the highest voxel.
    """
    width_mm = pitch_mm(cells * float(np.prod(grid.spacing_mm)), SAMPLES)
    steps = np.linalg.inv(dose_grid.affine[:3, :3]) @ grid.affine[:3, :3]
    widest = np.abs(steps).max(axis=0)  # of one cell, in voxels of the dose
    parts = []
    for axis, spacing in enumerate(grid.spacing_mm):
        wanted = max(widest[axis] - 1e-3, spacing / width_mm - 0.5)
        odd = 2 * int(np.ceil((wanted - 1) / 2)) + 1
        parts.append(int(np.clip(odd, 1, _MOST_PARTS)))
    return parts[0], parts[1], parts[2]


def pitch_mm(volume_mm3: float, count: int) -> float:
    """Return the width of cubes that gives a volume ``count`` of them, 0.1 mm or more."""
    return max((volume_mm3 / count) ** (1 / 3), FINEST_MM)


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
