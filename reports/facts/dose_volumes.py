"""Doses beside the images they were computed on, cut into the same slices.

A dose lies on a grid of its own, often coarser than the images'. For drawing it is read where
the picture needs it, linear between its voxels; gamma is shown voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.resampling import covered_by
from qa_suite.core.volume import Quantity, Volume
from qa_suite.io.images import read_image
from reports.facts.slices import AXIS_OF, CaseImages, Plane, crop_to, load_images

PITCH_MM: Final = 2.0
"""Distance of the points at which a dose is read for a picture."""


@dataclass(frozen=True, kw_only=True)
class DoseImages:
    """One case's images along the patient's axes, and its doses on their own grid.

    Parameters
    ----------
    images
        Reference, synthetic image and mask, cut to the mask inside the dose grid.
    reference, synthetic
        The doses in Gy of the whole course.
    gamma
        Map of gamma, negative where it was not judged; None where it was not kept.
    target
        1 in the target; None where it was not kept.
    """

    images: CaseImages
    reference: Volume
    synthetic: Volume
    gamma: Volume | None
    target: Volume | None


def load_dose_images(files: Mapping[str, Path]) -> DoseImages:
    """Read a case's images and doses.

    Parameters
    ----------
    files
        ``reference``, ``synthetic``, ``dose_reference``, ``dose_synthetic`` and, where kept,
        ``mask``, ``gamma`` and ``target``.

    Raises
    ------
    InputError
        If a volume is missing or unreadable.
    GeometryError
        If the images do not lie on one grid.
    """
    absent = [role for role in ("dose_reference", "dose_synthetic") if role not in files]
    if absent:
        raise InputError(
            "The doses of the case were not kept; "
            "'qa-suite evaluate COHORT MODEL --keep-volumes all' keeps them."
        )
    images = load_images({k: v for k, v in files.items() if k != "source"}, unit="HU")
    kinds: dict[str, Quantity] = {
        "dose_reference": "Gy",
        "dose_synthetic": "Gy",
        "gamma": "arbitrary",
        "target": "arbitrary",
    }
    doses = {role: read_image(files[role], kind) for role, kind in kinds.items() if role in files}
    near = covered_by(doses["dose_reference"].grid, images.grid)
    images = crop_to(images, images.mask & near if (images.mask & near).any() else images.mask)
    return DoseImages(
        images=images,
        reference=doses["dose_reference"],
        synthetic=doses["dose_synthetic"],
        gamma=doses.get("gamma"),
        target=doses.get("target"),
    )


def target_centre(dose: DoseImages) -> FloatArray:
    """Return the LPS position of the target's centre, or of the dose's maximum without one."""
    target = dose.target
    if target is not None and (target.array > 0.5).any():
        return target.grid.to_world(np.argwhere(target.array > 0.5).mean(axis=0))
    top = np.unravel_index(int(dose.reference.array.argmax()), dose.reference.array.shape)
    return dose.reference.grid.to_world(top)


def centre_slice(dose: DoseImages, plane: Plane) -> int:
    """Return the images' slice through the target's centre."""
    axis = AXIS_OF[plane]
    index = round(float(dose.images.grid.to_index(target_centre(dose))[axis]))
    return min(max(index, 0), dose.images.mask.shape[axis] - 1)


@dataclass(frozen=True, kw_only=True)
class SectionPoints:
    """Points of a slice as it is hung: LPS positions [row, column, 3] and their distance in mm."""

    places_mm: FloatArray
    row_mm: float
    column_mm: float

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the slice."""
        rows, columns, _ = self.places_mm.shape
        return columns * self.column_mm, rows * self.row_mm


def section_points(images: CaseImages, plane: Plane, index: int) -> SectionPoints:
    """Return the points of one slice, as :func:`reports.facts.slices.cut` hangs it."""
    axis = AXIS_OF[plane]
    across, down = (a for a in range(3) if a != axis)
    steps, at = {}, {}
    for name in (across, down):
        length = images.mask.shape[name] * images.spacing_mm[name]
        n = max(round(length / PITCH_MM), 1)
        steps[name] = length / n
        at[name] = (np.arange(n) + 0.5) * length / n / images.spacing_mm[name] - 0.5
    if plane != "axial":
        at[down] = at[down][::-1]  # the head on top
    rows, columns = np.meshgrid(at[down], at[across], indexing="ij")
    places = np.empty((*rows.shape, 3))
    places[..., axis], places[..., down], places[..., across] = index, rows, columns
    return SectionPoints(
        places_mm=images.grid.to_world(places), row_mm=steps[down], column_mm=steps[across]
    )


def read_at(volume: Volume, points: SectionPoints, *, nearest: bool = False) -> FloatArray:
    """Read a volume at the points of a slice; NaN outside its voxels.

    Returns
    -------
    ndarray of float, shape (rows, columns)
    """
    from scipy.ndimage import map_coordinates

    places = volume.grid.to_index(points.places_mm)
    ends = np.asarray(volume.grid.shape) - 1
    inside = np.all((places >= -0.5) & (places <= ends + 0.5), axis=-1)
    where = np.clip(places, 0, ends)
    found = map_coordinates(
        volume.array.astype(np.float64), np.moveaxis(where, -1, 0), order=0 if nearest else 1
    )
    return np.where(inside, found, np.nan)


def read_range_map(path: Path) -> Volume:
    """Read the range map of a beam: NaN where no ray meets the target, in mm.

    Raises
    ------
    InputError
        If it is missing, unreadable or holds no ray.
    """
    volume = read_image(path, "arbitrary")
    array = volume.array.astype(np.float32)
    array[array <= NO_RAY + 1] = np.nan
    if not np.isfinite(array).any():
        raise InputError(f"The range map {path.name} holds no ray that meets the target.")
    return replace(volume, array=array)


NO_RAY: Final = -9999.0
"""Value of a range map where no ray meets the target."""
