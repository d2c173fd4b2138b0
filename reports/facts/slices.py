"""Cutting a case's volumes into slices as radiologists hang them, with their size in mm.

Volumes are turned to the nearest LPS axes (x to the patient's left, y to posterior, z to the
head) by swapping and flipping axes only; no value is interpolated. Axial slices then show the
patient's right on the left of the image, coronal ones too, sagittal ones anterior on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Quantity, canonical, require_same_grid
from qa_suite.io.images import read_image

Plane = Literal["axial", "coronal", "sagittal"]
AXIS_OF: Final[dict[str, int]] = {"axial": 2, "coronal": 1, "sagittal": 0}
EDGE_LETTERS: Final[dict[str, tuple[str, str, str, str]]] = {  # left, right, top, bottom
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "H", "F"),
    "sagittal": ("A", "P", "H", "F"),
}
CROP_MARGIN_MM: Final = 20.0
ALONG_LPS: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE_DEG: Final = 3.0
"""From this angle to the patient's axes on, the caption says that a slice is oblique."""


@dataclass(frozen=True, kw_only=True)
class CaseImages:
    """The volumes of one case along the patient's axes, indexed [x, y, z].

    Parameters
    ----------
    reference, synthetic, source
        Voxel values; ``source`` is None where it was not kept.
    mask
        Where it was measured; everywhere, where no mask was kept.
    masked
        Whether a mask was kept.
    spacing_mm, origin_mm
        Of the turned grid.
    oblique_deg
        Largest angle between a grid axis and the patient's axis it is shown along.
    unit, source_unit
        Of reference and synthetic, and of the source.
    direction
        Of the turned grid, as in :class:`qa_suite.core.volume.Grid`.
    """

    reference: NDArray[Any]
    synthetic: NDArray[Any]
    source: NDArray[Any] | None
    mask: NDArray[np.bool_]
    masked: bool
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    oblique_deg: float
    unit: str
    source_unit: str = "a.u."
    direction: tuple[float, ...] = ALONG_LPS

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid(
            shape=self.mask.shape,
            spacing_mm=self.spacing_mm,
            origin_mm=self.origin_mm,
            direction=self.direction,
        )

    @property
    def difference(self) -> NDArray[Any]:
        """Synthetic minus reference."""
        return self.synthetic - self.reference


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One slice: values by [row, column], size of a pixel in mm, letters at the edges."""

    values: NDArray[Any]
    row_mm: float
    column_mm: float
    letters: tuple[str, str, str, str]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the slice."""
        rows, columns = self.values.shape
        return columns * self.column_mm, rows * self.row_mm


def load_images(
    files: Mapping[str, Path],
    *,
    unit: str,
    source_unit: str = "a.u.",
    hundred: tuple[float, float] | None = None,
) -> CaseImages:
    """Read the kept volumes of a case and turn them to the patient's axes.

    Parameters
    ----------
    files
        'reference' and 'synthetic', and where kept 'source' and 'mask'.
    unit
        Of the reference, as the measurements give it (``HU``, ``SUVbw`` ...).
    source_unit
        Of the source.
    hundred
        Values of reference and synthetic image that are shown as 100, where their arbitrary
        scale was removed before they were measured.

    Raises
    ------
    InputError
        If a volume is missing or unreadable.
    GeometryError
        If the volumes do not lie on one grid.
    """
    absent = [role for role in ("reference", "synthetic") if role not in files]
    if absent:
        raise InputError(f"The {' and '.join(absent)} volume of the case was not kept.")
    value: Quantity = "HU" if unit == "HU" else "arbitrary"
    kinds: dict[str, Quantity] = {
        "source": "arbitrary",
        "reference": value,
        "synthetic": value,
        "mask": "label",
    }
    volumes = {
        role: canonical(read_image(files[role], kind))
        for role, kind in kinds.items()
        if role in files
    }
    grid = require_same_grid(volumes)
    mask = volumes["mask"].array > 0 if "mask" in volumes else np.ones(grid.shape, dtype=bool)
    scales = (1.0, 1.0) if hundred is None else (100 / hundred[0], 100 / hundred[1])
    return CaseImages(
        reference=volumes["reference"].array * scales[0],
        synthetic=volumes["synthetic"].array * scales[1],
        source=volumes["source"].array if "source" in volumes else None,
        mask=mask,
        masked="mask" in volumes,
        spacing_mm=grid.spacing_mm,
        origin_mm=grid.origin_mm,
        oblique_deg=_obliqueness_deg(grid),
        unit=unit,
        source_unit=source_unit,
        direction=grid.direction,
    )


def _obliqueness_deg(grid: Grid) -> float:
    cosines = np.clip(np.abs(np.diag(grid.axes)), 0, 1)
    return float(np.degrees(np.arccos(cosines)).max())


def worst_slice(images: CaseImages, plane: Plane) -> int:
    """Return the slice with the largest mean |difference| in the mask.

    Only slices that hold at least half as much mask as the fullest one are asked, so that a
    sliver at the end of the body is not taken for the worst.
    """
    axis = AXIS_OF[plane]
    others = tuple(a for a in range(3) if a != axis)
    area = images.mask.sum(axis=others)
    total = np.where(images.mask, np.abs(images.difference), 0).sum(axis=others)
    asked = (area > 0) & (2 * area >= area.max())
    mean = np.where(asked, total / np.maximum(area, 1), -1)
    return int(np.argmax(mean))


def crop_to_mask(images: CaseImages) -> CaseImages:
    """Cut away what lies more than a margin outside the mask, so that pictures fill the page."""
    return crop_to(images, images.mask)


def crop_to(images: CaseImages, wanted: NDArray[np.bool_]) -> CaseImages:
    """Cut away what lies more than a margin outside some voxels; all is kept where there are none.

    Parameters
    ----------
    images
        The case.
    wanted
        Voxels that must stay, of the shape of its mask.
    """
    if not wanted.any():
        return images
    window = []
    for axis, spacing in enumerate(images.spacing_mm):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(wanted.any(axis=others))
        margin = round(CROP_MARGIN_MM / spacing)
        last = wanted.shape[axis] - 1
        window.append(slice(max(inside[0] - margin, 0), min(inside[-1] + margin, last) + 1))
    box = tuple(window)
    x, y, z = images.grid.to_world([part.start for part in window])
    return replace(
        images,
        reference=images.reference[box],
        synthetic=images.synthetic[box],
        source=None if images.source is None else images.source[box],
        mask=images.mask[box],
        origin_mm=(float(x), float(y), float(z)),
    )


def cut(volume: NDArray[Any], images: CaseImages, plane: Plane, index: int) -> Cut:
    """Take one slice of an array that lies on the grid of ``images``, as it is hung.

    Raises
    ------
    InputError
        If there is no such slice.
    """
    axis = AXIS_OF[plane]
    if not 0 <= index < volume.shape[axis]:
        raise InputError(f"There is no {plane} slice {index}; there are {volume.shape[axis]}.")
    flat = np.take(volume, index, axis=axis).T  # rows y or z, columns x or y
    if plane != "axial":
        flat = flat[::-1]  # the head on top
    column, row = [images.spacing_mm[a] for a in range(3) if a != axis]
    return Cut(values=flat, row_mm=row, column_mm=column, letters=EDGE_LETTERS[plane])


def slice_label(images: CaseImages, plane: Plane, index: int) -> str:
    """Say where a slice lies in the patient."""
    axis = AXIS_OF[plane]
    position = images.origin_mm[axis] + index * images.spacing_mm[axis]
    letter = "xyz"[axis]
    where = f"{plane}, {letter} = {position:.0f} mm (LPS)".replace("-", "−")
    if images.oblique_deg > OBLIQUE_DEG:
        where += f", oblique by {images.oblique_deg:.0f}°"
    return where
