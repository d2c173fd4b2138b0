"""Images in single files: read into a :class:`Volume` and write it back.

Readers are the suite's own (:mod:`qa_suite.io.nifti`, :mod:`qa_suite.io.metaimage`,
:mod:`qa_suite.io.nrrd`): no foreign file is given to SimpleITK, which a damaged header can end, and
which fills what is missing with zeros. It writes; its arrays are ``[k, j, i]``, and are turned
here and nowhere else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.plain_files import require_file
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.core.wording import count
from qa_suite.io.metaimage import read_metaimage
from qa_suite.io.nifti import read_nifti
from qa_suite.io.nrrd import read_nrrd

_READERS: dict[str, Callable[[Path], tuple[NDArray[Any], Grid]]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
}
IMAGE_SUFFIXES = tuple(_READERS)
_LONGEST_FIRST = sorted(IMAGE_SUFFIXES, key=len, reverse=True)

sitk.ProcessObject.SetGlobalWarningDisplay(False)


def is_image_file(path: Path) -> bool:
    """Whether the file's name ends as one of the single-file image formats."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def ending_of(path: Path) -> str:
    """Return which of the known endings an image file has."""
    return next(ending for ending in _LONGEST_FIRST if path.name.lower().endswith(ending))


def images_by_case(folder: Path) -> dict[str, Path]:
    """List the images of a folder by the name of their case, which is that of the file.

    Raises
    ------
    Problems
        With one sentence for every case that has more than one image.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if is_image_file(path) and not path.name.startswith("."):
            found.setdefault(path.name[: -len(ending_of(path))], []).append(path)
    raise_problems(
        f"The folder {folder}",
        (
            f"case {case} has {count(len(paths), 'image')} "
            f"({', '.join(p.name for p in paths)}); keep one"
            for case, paths in found.items()
            if len(paths) > 1
        ),
    )
    return {case: paths[0] for case, paths in found.items()}


def read_image(path: Path, quantity: Quantity) -> Volume:
    """Read a single-file image.

    Parameters
    ----------
    path
        One of :data:`IMAGE_SUFFIXES`; a header may name a file beside it that holds its voxels.
    quantity
        What its values are; the file does not say, so the caller must.

    Returns
    -------
    Volume
        ``float32``, or ``int32`` for labels. NaN and inf are kept: preflight judges them.

    Raises
    ------
    InputError
        If the file is missing, cut off, damaged or unreadable, or is not one 3-D image with
        one value a voxel.
    GeometryError
        If its header holds an impossible geometry.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no image at {path}.")
    require_file(path)
    if not is_image_file(path):
        raise InputError(f"{path} is no image file; known endings: {', '.join(IMAGE_SUFFIXES)}.")
    array, grid = _READERS[ending_of(path)](path)
    if quantity == "label":
        _require_labels(path, array)
    dtype = np.int32 if quantity == "label" else np.float32
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, dtype=dtype)
    return Volume(array=values, grid=grid, quantity=quantity)


def _require_labels(path: Path, array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
        raise InputError(f"{path} should hold labels and has values that are no integers.")
    most = np.iinfo(np.int32)
    if array.dtype.kind != "b" and not (most.min <= array.min() and array.max() <= most.max):
        raise InputError(f"{path} should hold labels and has values beyond {most.max}.")


def write_image(volume: Volume, path: Path) -> None:
    """Write a volume (all at once or not at all); the ending says the format.

    ``float32`` for quantities; the smallest integers that hold them for labels. The same volume
    gives the same bytes. Of ``.mhd`` and ``.nhdr`` the voxels are written before the header, into
    a file beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = next((s for s in _LONGEST_FIRST if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"{path} is no image file; known endings: {', '.join(IMAGE_SUFFIXES)}.")
    array = volume.array
    if volume.quantity == "label" or array.dtype == np.bool_:
        array = array.astype(_smallest_type(array))
    else:
        array = array.astype(np.float32)
    if suffix in (".mhd", ".nhdr"):
        _write_in_two(array, volume.grid, path)
        return
    temporary = path.with_name(f".{path.name.removesuffix(suffix)}.tmp{suffix}")
    _write(array, volume.grid, temporary)
    temporary.replace(path)


def _write(array: NDArray[Any], grid: Grid, path: Path) -> None:
    image = to_sitk(array, grid)
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=3)


def _write_in_two(array: NDArray[Any], grid: Grid, path: Path) -> None:
    """Write under the names that they will have, since the header holds that of the voxels."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        header = Path(folder) / path.name
        _write(array, grid, header)
        for voxels in (one for one in Path(folder).iterdir() if one != header):
            voxels.replace(path.parent / voxels.name)
        header.replace(path)


def _smallest_type(labels: NDArray[Any]) -> type[np.integer[Any]]:
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -(2**15) and high < 2**15 else np.int32


def to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Return a SimpleITK image of an ``[i, j, k]`` array on a grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image
