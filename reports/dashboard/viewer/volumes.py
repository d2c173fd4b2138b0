"""The volumes of one case as the viewer takes them: 16-bit numbers along the patient's axes."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.record_checks import is_what_it_was
from qa_suite.core.record_names import STRUCTURE
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Quantity, Volume, canonical
from qa_suite.io.images import read_image
from reports.facts.slices import CaseImages, load_images

NO_NUMBER: Final = -32768
"""Stands for NaN and infinity; the viewer paints it in a colour of its own."""
_MOST: Final = 32767
_SAME_AXES: Final = 1e-3
_KEPT_CASES: Final = 4
_DOSES: Final[dict[str, Quantity]] = {
    "dose_reference": "Gy",
    "dose_synthetic": "Gy",
    "gamma": "arbitrary",
    "target": "arbitrary",
}


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Which files are shown, and in which units; equal ones are read once.

    Parameters
    ----------
    files
        Role and path: ``reference`` and ``synthetic``, and where kept ``source``, ``mask``,
        ``dose_reference``, ``dose_synthetic``, ``gamma``, ``target`` and structures. A file is
        named by its content.
    unit, source_unit, hundred
        As in :func:`reports.facts.slices.load_images`.
    """

    files: tuple[tuple[str, Path], ...]
    unit: str
    source_unit: str
    hundred: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class StoredVolume:
    """One volume: ``value = slope * stored + intercept``.

    ``content`` holds the numbers, little-endian, x running fastest. ``start`` and ``step`` are the
    place of the images' first voxel in this grid and the way to the next one, in voxels by axis;
    None where the grid is that of the images.
    """

    content: bytes
    slope: float
    intercept: float
    digits: int
    shape: tuple[int, int, int]
    start: tuple[float, ...] | None = None
    step: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class StoredCase:
    """All volumes of one case, and where the images lie in the patient."""

    grid: Grid
    images: CaseImages
    volumes: Mapping[str, StoredVolume]
    highest_gy: float = 0.0


def stored(values: NDArray[Any], unit: str = "") -> StoredVolume:
    """Write values as 16-bit numbers: HU as they are, anything else as fine as 65,534 steps are.

    Parameters
    ----------
    values
        Indexed [x, y, z].
    unit
        ``HU`` is rounded to whole numbers where they fit.
    """
    finite = np.isfinite(values)
    known = values[finite]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    slope, intercept, digits = 1.0, 0.0, 0
    if unit != "HU" or low < -_MOST or high > _MOST:
        intercept = (low + high) / 2
        slope = max((high - low) / (2 * _MOST), 1e-12)
        digits = min(max(2 - math.floor(math.log10(max(high - low, 1e-9))), 0), 4)
    numbers = np.full(values.shape, NO_NUMBER, dtype="<i2")
    numbers[finite] = np.clip(np.rint((known - intercept) / slope), -_MOST, _MOST)
    return StoredVolume(
        content=numbers.tobytes(order="F"),
        slope=slope,
        intercept=intercept,
        digits=digits,
        shape=tuple(int(n) for n in values.shape),  # type: ignore[arg-type]
    )


_reading = threading.Lock()


def stored_case(files: CaseFiles) -> StoredCase:
    """Read the volumes of a case, or take them from the few that were shown last.

    Raises
    ------
    InputError, GeometryError
        As :func:`reports.facts.slices.load_images`, and if a file is not what it was.
    """
    with _reading:  # two pages that open one case read it once
        return _stored_case(files)


@lru_cache(maxsize=_KEPT_CASES)
def _stored_case(files: CaseFiles) -> StoredCase:
    paths = dict(files.files)
    for path in paths.values():
        if not path.is_file():
            raise InputError(
                f"{path.name} was kept with this evaluation and is gone; "
                f"'qa-suite verify' on its folder says what else is."
            )
        if not is_what_it_was(path):
            raise InputError(f"{path} is not what it was: its content does not give its name.")
    images = load_images(
        paths, unit=files.unit, source_unit=files.source_unit, hundred=files.hundred
    )
    volumes = {
        "reference": stored(images.reference, files.unit),
        "synthetic": stored(images.synthetic, files.unit),
    }
    if images.source is not None:
        volumes["source"] = stored(images.source, files.source_unit)
    if images.masked:
        volumes["mask"] = stored(images.mask.astype(np.float32), "HU")
    for role, path in paths.items():
        if role.startswith(STRUCTURE):
            inside = canonical(read_image(path, "label"))
            volumes[role] = stored((inside.array > 0).astype(np.float32), "HU")
    highest = 0.0
    for role, quantity in _DOSES.items():
        if role in paths:
            dose = canonical(read_image(paths[role], quantity))
            if quantity == "Gy":
                highest = max(highest, float(dose.array.max()))
            volumes[role] = _on_own_grid(dose, images.grid)
    return StoredCase(grid=images.grid, images=images, volumes=volumes, highest_gy=highest)


def _on_own_grid(volume: Volume, images: Grid) -> StoredVolume:
    """Keep a grid along the images' axes as it is; carry any other onto the images'."""
    to_voxels = np.linalg.inv(volume.grid.affine) @ images.affine
    step = np.diag(to_voxels[:3, :3])
    if np.abs(to_voxels[:3, :3] - np.diag(step)).max() > _SAME_AXES:
        carried = resample(volume, images, interpolation="linear", outside=float("nan"))
        return stored(carried.array)
    found = stored(volume.array)
    return StoredVolume(
        content=found.content,
        slope=found.slope,
        intercept=found.intercept,
        digits=found.digits,
        shape=found.shape,
        start=tuple(float(v) for v in to_voxels[:3, 3]),
        step=tuple(float(v) for v in step),
    )
