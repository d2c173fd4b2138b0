"""The door through which every translator's answer comes: where it lies and what it holds.

A shape is not a grid: the same number of voxels may be stored in another order, cut out of
another place, or carry a header that is wrong. So an answer is taken by its own geometry, and
what does not lie where it was asked for is refused, unless somebody allowed it to be resampled.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume, resample, stored_like

OtherGrid = Literal["refuse", "resample"]
"""What becomes of an answer on another grid of the same frame of reference."""


def checked(
    answer: Volume,
    grid: Grid,
    *,
    who: str,
    other_grid: OtherGrid = "refuse",
    outside: float | None = None,
) -> Volume:
    """Return a translator's answer on the grid that was asked for, or refuse it.

    Parameters
    ----------
    answer
        With the geometry that it came with.
    grid
        Of the source image.
    who
        Answered: the file or program, for the message.
    other_grid, outside
        See :func:`on_grid`.

    Raises
    ------
    InputError
        If a voxel is NaN or inf.
    GeometryError
        If it lies elsewhere.
    """
    require_finite(answer.array, who)
    return on_grid(answer, grid, who=who, other_grid=other_grid, outside=outside)


def require_finite(values: NDArray[np.generic], who: str) -> None:
    """Refuse an answer that holds NaN or inf.

    Raises
    ------
    InputError
        With the number of such voxels.
    """
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"{who} answered with {bad} of {values.size} voxels that are NaN or inf; an answer "
            f"needs a number in every voxel."
        )


def on_grid(
    answer: Volume,
    grid: Grid,
    *,
    who: str,
    other_grid: OtherGrid = "refuse",
    outside: float | None = None,
) -> Volume:
    """Return an answer on the grid that was asked for.

    The same voxels in another storage order are put in order without loss.

    Parameters
    ----------
    other_grid
        ``resample``: an answer of another size or spacing is resampled linearly, and its
        history says so. One of the same size that lies elsewhere is refused all the same: its
        header is wrong, or it is of another scan.
    outside
        Value of the voxels that a resampled answer does not cover.

    Raises
    ------
    GeometryError
        If it lies elsewhere; the message names both grids.
    """
    with suppress(GeometryError):
        return stored_like(answer, grid)
    both = f"{who} answered on another grid ({place(answer.grid)}) than the source's "
    both += f"({place(grid)})"
    if not answer.grid.same_frame_as(grid):
        raise GeometryError(f"{both}: the frames of reference differ.")
    if _only_moved(answer.grid, grid):
        raise GeometryError(
            f"{both}: as many voxels, moved by {_moved_mm(answer.grid, grid):.3g} mm; its header "
            f"is wrong, or it is of another scan."
        )
    if other_grid == "refuse" or outside is None:
        raise GeometryError(f"{both}; it must answer voxel by voxel.")
    return resample(answer, grid, interpolation="linear", outside=outside)


def place(grid: Grid) -> str:
    """Write where a grid lies: ``40×32×12 at 8×8×8 mm from (-160, -128, 0) mm``, and its axes."""
    origin = ", ".join(f"{x:.6g}" for x in grid.origin_mm)
    axes = ""
    if not np.allclose(grid.axes, np.eye(3), atol=1e-3):
        axes = ", axes " + " ".join(
            "(" + ", ".join(f"{c + 0.0:.3g}" for c in column) + ")" for column in grid.axes.T
        )
    frame = f", frame {grid.frame_of_reference}" if grid.frame_of_reference else ""
    return f"{grid.describe()} from ({origin}) mm{axes}{frame}"


def _only_moved(answer: Grid, grid: Grid) -> bool:
    """Whether the grids are of one size, and differ in nothing but where they lie."""
    return sorted(answer.shape) == sorted(grid.shape) and np.allclose(
        sorted(answer.spacing_mm), sorted(grid.spacing_mm), rtol=1e-3
    )


def _moved_mm(answer: Grid, grid: Grid) -> float:
    return float(np.linalg.norm(np.subtract(answer.centre_mm, grid.centre_mm)))
