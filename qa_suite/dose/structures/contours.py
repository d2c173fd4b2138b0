"""Planar contours to fractional voxel weights: interpolated between planes, capped at the ends.

Every plane is turned into a level function that is zero on its contours and grows like a square
of the distance (see :func:`.contour_kernels.level_function`). Between planes it is
interpolated along the normal with the curvature that both sides agree on, and past the last plane
it is extrapolated: spheres, ellipsoids, cylinders and cones come out whole. ``docs/dose/dvh.md``
gives the rules, and how exact they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.core.wording import count as count_of
from qa_suite.dose.structures.contour_loops import ContourPlane, Points, places_mm_of, planes_of
from qa_suite.dose.structures.contour_stack import Stack
from qa_suite.dose.structures.samples import CELLS, StructureSamples, empty_samples, pitch_mm
from qa_suite.io.rt.structures import Structure

LARGEST_GAP = 2.5
"""Planes further apart than this many times the usual distance are not joined."""

_MARGIN = 2  # pixels around the outermost contours
_MOST_CELLS = 2e8


def slice_distance_mm(structures: Sequence[Structure]) -> float | None:
    """Return the median distance of neighbouring planes over all structures; None without any."""
    steps: list[float] = []
    for structure in structures:
        steps += list(np.diff(places_mm_of(structure)))
    return float(np.median(steps)) if steps else None


def samples_of_contours(
    structure: Structure, dose_grid: Grid, *, slice_mm: float | None = None
) -> StructureSamples:
    """Turn the contours of a structure into cells with the share of each that lies inside.

    Parameters
    ----------
    structure
        From :func:`qa_suite.io.rt.structures.read_structure_set`.
    dose_grid
        The cells are no wider than its smallest voxel side, and take over its frame of reference.
    slice_mm
        Distance of planes in the whole set; needed for a structure on a single plane.

    Raises
    ------
    InputError
        If the contours are not flat or parallel, span an impossible volume, or lie on one plane
        and ``slice_mm`` is not known.
    """
    notes = structure.notes
    planes, axes = planes_of(structure) if structure.contours else ((), np.eye(3))
    if not planes:
        return empty_samples(structure.name, dose_grid, (*notes, "no closed contour"))
    step = _step_mm(structure.name, planes, slice_mm)
    layers = _Layers(structure.name, planes, step, min(dose_grid.spacing_mm))
    weights = np.zeros(layers.shape, dtype=np.float32)
    for depth in range(max(max(plane.depths) for plane in planes) + 1):
        stack = Stack(
            places_mm=[plane.place_mm for plane in planes],
            loops=[layers.pixels_of(plane, depth) for plane in planes],
            shape=layers.shape[1:],
            pixel_mm=layers.pixel_mm,
            step_mm=step,
            largest_gap_mm=LARGEST_GAP * step,
        )
        part = stack.fill(layers.places_mm, layers.thickness_mm)
        weights += part if depth % 2 == 0 else -part
    np.clip(weights, 0, 1, out=weights)
    grid = layers.grid(axes, dose_grid.frame_of_reference)
    weights = np.ascontiguousarray(weights.transpose(1, 2, 0))
    return StructureSamples(
        name=structure.name, grid=grid, weights=weights, notes=(*notes, *_gap_notes(planes, step))
    )


def _step_mm(name: str, planes: Sequence[ContourPlane], slice_mm: float | None) -> float:
    steps = np.diff([plane.place_mm for plane in planes])
    if len(steps) == 0:
        if slice_mm is None:
            raise InputError(
                f"{name} has contours on one plane only; say how thick a slice is (slice_mm)."
            )
        return slice_mm
    own = float(np.median(steps))
    far = len(steps) == 1 and slice_mm is not None and own > LARGEST_GAP * slice_mm
    return slice_mm if far and slice_mm is not None else own


def _gap_notes(planes: Sequence[ContourPlane], step: float) -> tuple[str, ...]:
    steps = np.diff([plane.place_mm for plane in planes]) / step
    bridged = int(((steps > 1.5) & (steps <= LARGEST_GAP)).sum())
    left = int((steps > LARGEST_GAP).sum())
    notes = []
    if bridged:
        notes.append(f"{count_of(bridged, 'gap')} between its planes interpolated")
    if left:
        notes.append(f"{count_of(left, 'gap')} between its planes too wide, left empty")
    return tuple(notes)


class _Layers:
    """The cells that a structure is filled into: pixels of one width on thin layers."""

    def __init__(
        self, name: str, planes: Sequence[ContourPlane], step_mm: float, widest_mm: float
    ) -> None:
        points = np.concatenate([loop for plane in planes for loop in plane.loops])
        low, high = points.min(axis=0), points.max(axis=0)
        first, last = planes[0].place_mm, planes[-1].place_mm
        volume = sum(_area(plane) for plane in planes) * step_mm
        self.pixel_mm = min(pitch_mm(volume, CELLS), widest_mm)
        thin = int(step_mm / self.pixel_mm + 0.25)  # layers a step
        self.thickness_mm = step_mm / max(thin, 1)
        size = np.ceil((high - low) / self.pixel_mm) + 1 + 2 * _MARGIN
        count = np.ceil((last - first + 2 * step_mm) / self.thickness_mm - 1e-6)
        if float(np.prod(size)) * count > _MOST_CELLS:
            raise InputError(
                f"The contours of {name} span {high[0] - low[0]:.0f} × {high[1] - low[1]:.0f} × "
                f"{last - first:.0f} mm, too much for cells of {self.pixel_mm:.2g} mm; check them."
            )
        self.low_mm = low - _MARGIN * self.pixel_mm
        self.shape = (int(count), int(size[0]), int(size[1]))
        start = first - step_mm + self.thickness_mm / 2
        steps = np.arange(self.shape[0], dtype=float)
        self.places_mm = np.asarray(start + self.thickness_mm * steps, dtype=float)

    def pixels_of(self, plane: ContourPlane, depth: int) -> list[Points]:
        """Return the loops of one depth, in indices of the pixels."""
        pairs = zip(plane.loops, plane.depths, strict=True)
        return [(loop - self.low_mm) / self.pixel_mm for loop, d in pairs if d == depth]

    def grid(self, axes: NDArray[np.float64], frame: str | None) -> Grid:
        """Return the cells as a grid, its third axis across the planes."""
        corner = axes @ np.array([*self.low_mm, self.places_mm[0]])
        layers, width, height = self.shape
        return Grid(
            shape=(width, height, layers),
            spacing_mm=(self.pixel_mm, self.pixel_mm, self.thickness_mm),
            origin_mm=tuple(corner),
            direction=tuple(axes.ravel()),
            frame_of_reference=frame,
        )


def _area(plane: ContourPlane) -> float:
    """Return the area inside the contours of a plane, in mm²."""
    total = 0.0
    for loop, depth in zip(plane.loops, plane.depths, strict=True):
        x, y = (loop - loop[0]).T
        area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
        total += area if depth % 2 == 0 else -area
    return max(total, 0.0)
