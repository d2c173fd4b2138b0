"""Structures as fractional weights on cells, fine enough for their size.

A structure comes as a mask on a grid of its own, as contours, or as a function of the position.
All become :class:`StructureSamples`: cells with the share of each that belongs to the
structure, each cell cut into as many sub-voxels as a DVH of this structure needs. They are made
once and serve any number of doses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Volume, canonical
from qa_suite.dose.structures.samples import (
    MaskStructure,
    ShapeStructure,
    StructureSamples,
    _laid_out,
    _slices,
    empty_samples,
    samples_of_mask,
    samples_of_shape,
)
from qa_suite.io.rt.structures import Structure

AnyStructure = StructureSamples | MaskStructure | ShapeStructure | Structure


def sample_structure(
    structure: AnyStructure, dose_grid: Grid, *, slice_mm: float | None = None
) -> StructureSamples:
    """Lay a structure out for doses on ``dose_grid``, or any other of about its resolution.

    The sub-voxels are no wider than the dose's voxels along any axis, and so small that there
    are :data:`SAMPLES` of a mask and :data:`CELLS` of contours and shapes at least, down to 0.1 mm.

    Parameters
    ----------
    structure
        Mask, shape or contours; samples are returned as they are.
    dose_grid
        The grid that the doses lie on.
    slice_mm
        For contours on a single plane: the thickness that it stands for.

    Raises
    ------
    InputError
        If contours cannot be laid out (a single plane without ``slice_mm``, not flat).
    GeometryError
        If a mask's shape is not its grid's.
    """
    if isinstance(structure, StructureSamples):
        return structure
    dose_grid = dose_grid.turned(dose_grid.turn)
    if isinstance(structure, MaskStructure):
        return samples_of_mask(structure, dose_grid)
    if isinstance(structure, ShapeStructure):
        return samples_of_shape(structure, dose_grid)
    from qa_suite.dose.structures.contours import samples_of_contours

    return samples_of_contours(structure, dose_grid, slice_mm=slice_mm)


def sample_structures(
    structures: Iterable[AnyStructure], dose_grid: Grid
) -> dict[str, StructureSamples]:
    """Lay several structures out, by name; see :func:`sample_structure`.

    Contours on a single plane get the median distance of planes in the whole set. One that
    cannot be laid out comes back with its ``problem``, so that it stops no other.

    Raises
    ------
    InputError
        If two structures have one name.
    GeometryError
        If a mask's shape is not its grid's.
    """
    wanted = list(structures)
    slice_mm = _slice_mm([s for s in wanted if isinstance(s, Structure)])
    made: dict[str, StructureSamples] = {}
    for structure in wanted:
        if structure.name in made:
            raise InputError(f"Two structures are called {structure.name}.")
        try:
            made[structure.name] = sample_structure(structure, dose_grid, slice_mm=slice_mm)
        except InputError as error:
            nothing = empty_samples(structure.name, dose_grid)
            made[structure.name] = replace(nothing, problem=str(error).rstrip("."))
    return made


def _slice_mm(structures: list[Structure]) -> float | None:
    if not structures:
        return None
    from qa_suite.dose.structures.contours import slice_distance_mm

    return slice_distance_mm(structures)


def masks_as_structures(masks: Mapping[str, NDArray[Any]], grid: Grid) -> tuple[MaskStructure, ...]:
    """Give masks on one grid their names: a shorthand for several :class:`MaskStructure`."""
    return tuple(MaskStructure(name=name, mask=mask, grid=grid) for name, mask in masks.items())


def sample_labels(
    labels: Volume, names: Mapping[int, str], dose_grid: Grid
) -> dict[str, StructureSamples]:
    """Lay out every structure of a label image in one pass over it.

    Parameters
    ----------
    labels
        Of quantity ``label``.
    names
        Label to name; labels that the image does not hold give empty structures.
    dose_grid
        See :func:`sample_structure`.
    """
    from qa_suite.dose.dvh.kernels import boxes_of_labels

    if labels.quantity != "label":
        raise InputError(f"An image of labels is needed, and this one holds {labels.quantity}.")
    labels = canonical(labels)
    array = np.ascontiguousarray(labels.array, dtype=np.int32)
    boxes = np.empty((max(names, default=0) + 1, 3, 2), dtype=np.int64)
    boxes_of_labels(array, boxes)
    made = {}
    for value, name in names.items():
        place = _slices(boxes[value])
        crop = None if place is None else (array[place] == value).view(np.uint8)
        made[name] = _laid_out(name, crop, place, labels.grid, dose_grid)
    return made
