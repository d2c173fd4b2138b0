"""What precedes the search: doses that may be compared, the doses of reference, the region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma.settings import GammaCriterion, GammaSettings
from qa_suite.io.rt.dose.scale import require_same_unit

SAME_PLANE_MM = 0.1
"""Two planes of dose no further apart are one plane: rounding in a header."""

EDGE_TOLERANCE_VOXEL = 1e-3
"""By so much a position may lie outside the evaluated grid: rounding in a header."""


@dataclass(frozen=True, kw_only=True)
class Bases:
    """The doses, in Gy, that percentages are percentages of.

    Parameters
    ----------
    normalisation_gy
        Of the global dose criterion.
    cutoff_base_gy
        Of the cut-off.
    normalisation_rule, cutoff_rule
        Where they come from, as people read it.
    """

    normalisation_gy: float
    cutoff_base_gy: float
    normalisation_rule: str
    cutoff_rule: str


def require_comparable(reference: Volume, evaluated: Volume, settings: GammaSettings) -> None:
    """Refuse doses that cannot be compared.

    Raises
    ------
    InputError
        If one of them is not in Gy, holds a value that is not finite or no dose at all, or if
        their maxima look like Gy against cGy.
    GeometryError
        If their frames of reference differ.
    """
    for name, volume in (("The reference", reference), ("The evaluated", evaluated)):
        if volume.quantity != "Gy":
            raise InputError(f"{name} volume holds {volume.quantity}; gamma compares doses in Gy.")
        unknown = volume.array.size - int(np.count_nonzero(np.isfinite(volume.array)))
        if unknown:
            raise InputError(
                f"{name} dose has {unknown} voxels that are NaN or infinite; set what was not "
                f"calculated to zero or cut the grid, since such a voxel can never pass."
            )
    if not reference.grid.same_frame_as(evaluated.grid):
        raise GeometryError(
            f"The doses are in different frames of reference "
            f"({reference.grid.frame_of_reference} and {evaluated.grid.frame_of_reference}); "
            f"register them first."
        )
    if float(reference.array.max()) <= 0:
        raise InputError(
            f"The reference dose has no voxel above 0 Gy (its maximum is "
            f"{float(reference.array.max()):g} Gy); there is nothing to compare with."
        )
    if not settings.any_scale:
        require_same_unit(reference, evaluated, ("The reference", "the evaluated dose"))


def bases_of(reference: Volume, settings: GammaSettings, prescription_gy: float | None) -> Bases:
    """Return the doses that percentages refer to.

    Raises
    ------
    InputError
        If a prescription is needed and missing, or not above 0 Gy.
    """
    if prescription_gy is not None and not (np.isfinite(prescription_gy) and prescription_gy > 0):
        raise InputError(f"A prescription of {prescription_gy:g} Gy is none; it must be above 0.")
    if settings.needs_prescription and prescription_gy is None:
        raise InputError(
            "A percentage of the prescription was asked for and no prescription is given; "
            "say it in Gy (--prescription-gy 60)."
        )
    maximum = float(reference.array.max())
    known = {
        "max": (maximum, "maximum of the reference dose"),
        "prescription": (float(prescription_gy or 0.0), "prescription"),
    }
    if isinstance(settings.normalisation, str):
        normalisation, rule = known[settings.normalisation]
    else:
        normalisation, rule = float(settings.normalisation), "given dose"
    base, base_rule = known[settings.cutoff_of]
    if settings.mode == "pymedphys":  # its cut-off follows its normalisation
        base, base_rule = normalisation, rule
    return Bases(
        normalisation_gy=normalisation,
        cutoff_base_gy=base,
        normalisation_rule=rule,
        cutoff_rule=base_rule,
    )


def cutoff_gy_of(criterion: GammaCriterion, settings: GammaSettings, bases: Bases) -> float:
    """Return the cut-off of a criterion, in Gy."""
    return settings.cutoff_pct_for(criterion) / 100 * bases.cutoff_base_gy


def require_local_cutoff(criterion: GammaCriterion, cutoff_gy: float) -> None:
    """Refuse a local criterion without a cut-off, at 0 Gy of which it would be 0 Gy.

    Raises
    ------
    InputError
        In one sentence.
    """
    if criterion.local and cutoff_gy <= 0:
        raise InputError(
            f"A local criterion ({criterion.title}) needs a cut-off above 0 %: in a voxel without "
            f"dose it allows no difference at all."
        )


def index_matrix(reference: Grid, evaluated: Grid) -> NDArray[np.float64]:
    """3×4 matrix from voxel indices of the reference to those of the evaluated dose."""
    matrix = np.linalg.inv(evaluated.affine) @ reference.affine
    rounded = np.round(matrix)
    # Equal grids must give equal indices, whatever the last digits of their inverse are.
    return np.where(np.abs(matrix - rounded) < 1e-9, rounded, matrix)[:3]


def covered(matrix: NDArray[np.float64], reference: Grid, evaluated: Grid) -> Any:
    """Say which voxels of the reference lie within the evaluated grid, or in its one plane."""
    shape = reference.shape
    if shape == evaluated.shape and np.array_equal(matrix, np.eye(3, 4)):
        return np.ones(shape, dtype=bool)
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    inside = np.ones(shape, dtype=bool)
    for row, count, step in zip(matrix, evaluated.shape, evaluated.spacing_mm, strict=True):
        position = row[0] * grid[0] + row[1] * grid[1] + row[2] * grid[2] + row[3]
        beyond = EDGE_TOLERANCE_VOXEL if count > 1 else SAME_PLANE_MM / step
        inside &= position >= -beyond
        inside &= position <= count - 1 + beyond
    return inside


def is_plane(grid: Grid) -> bool:
    """Whether a grid is a single plane, in which alone gamma is then searched."""
    return min(grid.shape) == 1


def require_overlap(inside: NDArray[np.bool_], reference: Grid, evaluated: Grid) -> None:
    """Refuse grids that have nothing in common.

    Raises
    ------
    GeometryError
        If no reference voxel lies within the evaluated grid.
    """
    if not inside.any():
        raise GeometryError(
            f"The dose grids do not overlap: the reference ({reference.describe()}) is centred at "
            f"{_place(reference)} mm and the evaluated dose ({evaluated.describe()}) at "
            f"{_place(evaluated)} mm"
            + (
                f"; a single plane is compared with what lies within {SAME_PLANE_MM:g} mm of it."
                if is_plane(evaluated)
                else "."
            )
        )


def _place(grid: Grid) -> str:
    return "(" + ", ".join(f"{x:.1f}" for x in grid.centre_mm) + ")"
