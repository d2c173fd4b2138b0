"""Grids and volumes: where every voxel lies, and what its number means.

Inside the suite everything is LPS (x to the patient's left, y to posterior, z to the head)
and in millimetres; conversion happens only at the edge, in :mod:`qa_suite.io`.
Arrays are indexed ``[i, j, k]``: index ``i`` runs along the first axis of the grid, so that
``world = origin + direction @ (spacing * (i, j, k))``. For an axial scan without rotation
``i, j, k`` are x, y, z.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.orientation import Turn, nearest_turn

Quantity = Literal["HU", "Gy", "SUVbw", "label", "arbitrary"]
Triple = tuple[float, float, float]
SAME_GRID_TOLERANCE_MM = 0.05
"""Two grids are the same when no corner voxel moves by more than this between them."""
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_PLACE_DIGITS = 6  # of a mm


def _rounded(place_mm: Any) -> Triple:
    x, y, z = (round(float(value), _PLACE_DIGITS) + 0.0 for value in place_mm)
    return (x, y, z)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A regular grid of voxels in the patient.

    Parameters
    ----------
    shape
        Number of voxels along i, j, k.
    spacing_mm
        Distance of neighbouring voxel centres along i, j, k, in mm.
    origin_mm
        LPS position of the centre of voxel (0, 0, 0), in mm.
    direction
        Row-major 3×3 matrix whose *columns* are the unit vectors of i, j, k in LPS.
    frame_of_reference
        Identifier of the coordinate system, or None where the file carries none.

    Raises
    ------
    GeometryError
        If a number is not finite, a spacing not positive, or the axes not orthonormal.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY
    frame_of_reference: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        for name in ("spacing_mm", "origin_mm", "direction"):
            values = np.asarray(getattr(self, name), dtype=float).ravel()
            object.__setattr__(self, name, tuple(float(v) for v in values))
            if not np.isfinite(values).all():
                raise GeometryError(f"The grid's {name} is not finite: {tuple(values)}.")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"A grid needs three positive sizes, got {self.shape}.")
        if len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0:
            raise GeometryError(f"A grid needs three positive spacings, got {self.spacing_mm} mm.")
        axes = self.axes
        if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
            raise GeometryError(f"The grid's axes are not orthonormal: {self.direction}.")

    @property
    def axes(self) -> NDArray[np.float64]:
        """3×3 matrix; its columns are the unit vectors of i, j, k in LPS."""
        return np.asarray(self.direction, dtype=float).reshape(3, 3)

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """4×4 matrix from (i, j, k, 1) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    @property
    def voxel_volume_cc(self) -> float:
        """Volume of one voxel, in cm³."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def centre_mm(self) -> Triple:
        """LPS position of the middle of the grid, in mm."""
        middle = (np.asarray(self.shape) - 1) / 2
        x, y, z = self.to_world(middle)
        return (float(x), float(y), float(z))

    def to_world(self, index: Any) -> NDArray[np.float64]:
        """Map voxel indices, shape (..., 3), to LPS positions in mm, same shape."""
        index = np.asarray(index, dtype=float)
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, world_mm: Any) -> NDArray[np.float64]:
        """Map LPS positions in mm, shape (..., 3), to fractional voxel indices, same shape."""
        world = np.asarray(world_mm, dtype=float) - self.affine[:3, 3]
        return np.asarray(world @ np.linalg.inv(self.affine[:3, :3]).T)

    def corners_mm(self) -> NDArray[np.float64]:
        """LPS positions of the eight corner voxel centres, shape (8, 3), in mm."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_world(list(itertools.product(*ends)))

    def same_frame_as(self, other: Grid) -> bool:
        """Whether the frames of reference are compatible (equal, or one of them unknown)."""
        mine, theirs = self.frame_of_reference, other.frame_of_reference
        return mine is None or theirs is None or mine == theirs

    def distance_mm(self, other: Grid) -> float:
        """Largest displacement of a corner voxel between two grids of one shape, in mm."""
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners_mm() - other.corners_mm(), axis=1).max())

    def same_as(self, other: Grid, *, tolerance_mm: float = SAME_GRID_TOLERANCE_MM) -> bool:
        """Whether two grids place every voxel alike, within ``tolerance_mm``, in one frame."""
        return self.same_frame_as(other) and self.distance_mm(other) <= tolerance_mm

    @cached_property
    def turn(self) -> Turn:
        """What brings an array on this grid to the canonical orientation."""
        return nearest_turn(self.axes)

    @property
    def long_axis(self) -> int:
        """Axis of the array that runs nearest to the patient's long axis (z)."""
        return self.turn.order[2]

    def turned(self, turn: Turn) -> Grid:
        """Return the grid of an array that was turned; no voxel moves in the patient.

        The corner's position is rounded to a nanometre, so that every storage of one image comes
        to the very same grid: a search that starts an ulp away may end a micrometre away.
        """
        if turn.changes_nothing and self.origin_mm == _rounded(self.origin_mm):
            return self
        corner = np.zeros(3)
        for axis, flipped in zip(turn.order, turn.flipped, strict=True):
            corner[axis] = self.shape[axis] - 1 if flipped else 0
        signs = np.where(turn.flipped, -1.0, 1.0)
        axes = self.axes[:, list(turn.order)] * signs + 0.0  # no -0, which text would show
        return replace(
            self,
            shape=turn.of_axes(self.shape),
            spacing_mm=turn.of_axes(self.spacing_mm),
            origin_mm=_rounded(self.to_world(corner)),
            direction=tuple(axes.ravel()),
        )

    def describe(self) -> str:
        """Write the grid as people do: ``174×158×59 at 0.98×0.98×3.27 mm``."""
        shape = "×".join(str(n) for n in self.shape)
        spacing = "×".join(f"{s:.3g}" for s in self.spacing_mm)
        return f"{shape} at {spacing} mm"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Numbers on a grid, and what they mean.

    Parameters
    ----------
    array
        Voxel values, indexed ``[i, j, k]``, of the grid's shape.
    grid
        Where the voxels lie.
    quantity
        What the values are: ``HU``, ``Gy``, ``SUVbw``, ``label`` (integers; 0 is outside) or
        ``arbitrary`` (MR signal).
    history
        The named steps that made this volume, oldest first.

    Raises
    ------
    GeometryError
        If the array's shape is not the grid's.
    InputError
        If the quantity is unknown.
    """

    array: NDArray[Any]
    grid: Grid
    quantity: Quantity
    history: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise GeometryError(
                f"The array has shape {self.array.shape} and its grid {self.grid.shape}."
            )
        if self.quantity not in get_args(Quantity):
            known = ", ".join(get_args(Quantity))
            raise InputError(f"Unknown quantity {self.quantity!r}; known: {known}.")

    def turned(self, turn: Turn) -> Volume:
        """Return the same image with its array turned; C-contiguous, and no voxel moves."""
        grid = self.grid.turned(turn)
        if grid is self.grid and self.array.flags.c_contiguous:
            return self
        return replace(self, array=turn.apply(self.array), grid=grid)

    def with_array(self, array: NDArray[Any], *, step: str | None = None) -> Volume:
        """Return the same volume with other values, and ``step`` added to its history."""
        history = self.history if step is None else (*self.history, step)
        return replace(self, array=array, history=history)


def canonical(volume: Volume) -> Volume:
    """Return a volume in the canonical orientation: i, j, k nearest to +x, +y, +z of LPS.

    Axes are permuted and flipped only, so every value is kept, and an oblique grid keeps its
    angles. All 48 ways of storing one image give the same array; hence a number that is
    measured afterwards cannot depend on the storage. It is no step of processing, and none is
    added to the history.
    """
    return volume.turned(volume.grid.turn)


def stored_like(volume: Volume, grid: Grid) -> Volume:
    """Return a volume stored as ``grid`` is, which may differ in its axes' order and direction.

    Raises
    ------
    GeometryError
        If the two differ in more than that.
    """
    turned = canonical(volume)
    if not turned.grid.same_as(grid.turned(grid.turn)):
        raise GeometryError(
            f"The image ({volume.grid.describe()}) does not lie on the grid that it is to be "
            f"stored like ({grid.describe()}); resample it first."
        )
    return replace(turned, array=grid.turn.undo(turned.array), grid=grid)


def require_same_grid(volumes: dict[str, Volume]) -> Grid:
    """Return the grid that all ``volumes`` share.

    Raises
    ------
    GeometryError
        If one of them lies elsewhere; the message names both and their grids.
    """
    (first_name, first), *others = volumes.items()
    for name, volume in others:
        if not first.grid.same_as(volume.grid):
            raise GeometryError(
                f"{name} ({volume.grid.describe()}) does not lie on the grid of {first_name} "
                f"({first.grid.describe()}); resample it first."
            )
    return first.grid
