"""Images in single files: read into a :class:`Volume` and write it back.

Readers are the suite's own (:mod:`qa_suite.io.nifti`, :mod:`qa_suite.io.metaimage`,
:mod:`qa_suite.io.nrrd`): no foreign file is given to SimpleITK, which a damaged header can end, and
which fills what is missing with zeros. It writes; its arrays are ``[k, j, i]``, and are turned
here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError, MissingFile, raise_problems
from qa_suite.core.plain_files import require_file
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.core.whole_files import replacing
from qa_suite.core.wording import count
from qa_suite.io.metaimage import read_metaimage
from qa_suite.io.nifti import read_nifti
from qa_suite.io.nrrd import read_nrrd

if TYPE_CHECKING:
    import SimpleITK as sitk

_READERS: dict[str, Callable[[Path], tuple[NDArray[Any], Grid]]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
}
IMAGE_SUFFIXES = tuple(_READERS)
_NIFTI_HEADER_BYTES = 352
_LONGEST_FIRST = sorted(IMAGE_SUFFIXES, key=len, reverse=True)


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
        raise MissingFile(f"There is no image at {path}.")
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

    Raises
    ------
    OSError
        If it cannot be written whole.
    """
    path = Path(path)
    suffix = next((s for s in _LONGEST_FIRST if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"{path} is no image file; known endings: {', '.join(IMAGE_SUFFIXES)}.")
    array = volume.array
    if volume.quantity == "label" or array.dtype == np.bool_:
        array = array.astype(_smallest_type(array))
    else:
        array = array.astype(np.float32)
    if suffix in (".mhd", ".nhdr"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_in_two(array, volume.grid, path)
        return
    with replacing(path, ending=suffix) as draft:
        _write(array, volume.grid, draft)


def _require_written(path: Path, nbytes: int) -> None:
    """Hold what was written against what was to be: ITK ends well on a disk that is full."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return  # of these it does say so
    promised = _NIFTI_HEADER_BYTES + nbytes
    if path.name.endswith(".nii"):
        found = path.stat().st_size
    elif path.stat().st_size < 4:
        found = 0
    else:
        with path.open("rb") as stream:
            stream.seek(-4, os.SEEK_END)  # the length before compression, modulo 2³² (RFC 1952)
            found = int.from_bytes(stream.read(4), "little")
        promised %= 1 << 32
    if found != promised:
        raise _not_written(path)


def _not_written(path: Path, error: RuntimeError | None = None) -> OSError:
    """Return what to raise for a file that was not written whole, with the system's reason."""
    said = "" if error is None else str(error).strip().splitlines()[-1].strip()
    reason = "no space left, or the drive failed"
    return OSError(errno.ENOSPC, f"it was not written whole ({said[:160] or reason})", str(path))


def _write(array: NDArray[Any], grid: Grid, path: Path) -> None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = to_sitk(array, grid)
    try:
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=3)
    except RuntimeError as error:
        raise _not_written(path, error) from None
    _require_written(path, array.nbytes)


def _write_in_two(array: NDArray[Any], grid: Grid, path: Path) -> None:
    """Write under the names that they will have, since the header holds that of the voxels."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        header = Path(folder) / path.name
        _write(array, grid, header)
        for voxels in sorted(one for one in Path(folder).iterdir() if one != header):
            voxels.replace(path.parent / voxels.name)
        header.replace(path)


def _smallest_type(labels: NDArray[Any]) -> type[np.integer[Any]]:
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -(2**15) and high < 2**15 else np.int32


def to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Return a SimpleITK image of an ``[i, j, k]`` array on a grid."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image
