"""NIfTI and MetaImage files: read into a :class:`Volume` and write it back.

SimpleITK is in LPS already and keeps oblique direction cosines; its arrays come as
``[k, j, i]`` and are turned to ``[i, j, k]`` here and nowhere else.

NIfTI files are read by nibabel, which keeps NaN and inf; SimpleITK replaces them by zeros without a
word. A NIfTI header can hold two geometries (sform and qform) that contradict each other; readers
differ in which one they believe, so a contradiction is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError, raise_problems
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.core.wording import count
from qa_suite.io.integrity import require_whole

MAX_CONTRADICTION_MM = 0.5
"""sform and qform may place a corner voxel this far apart; more is a contradiction."""

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read the voxels (slope and intercept applied) and the grid of a NIfTI file.

    Raises
    ------
    InputError
        If it holds no single 3-D image, or its unit of length is not mm.
    GeometryError
        If it says nowhere how it lies in the patient, or says it twice and differently.
    """
    try:
        image: Any = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path} cannot be read as an image: {reason}") from None
    if voxels.ndim == 4 and voxels.shape[3] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3 or voxels.dtype.fields is not None:
        raise not_one_image(path, voxels.shape)
    if voxels.dtype.kind not in "iufb":
        raise InputError(f"{path} holds {voxels.dtype} voxels; real numbers are needed.")
    return voxels, _grid(path, image.header, voxels.shape)


def not_one_image(path: Path, shape: Sequence[int]) -> InputError:
    """Return the sentence for a file that holds more, or less, than one 3-D image."""
    size = "×".join(str(n) for n in shape)
    return InputError(f"{path} holds {size} voxels; one 3-D image with one value is needed.")


def _grid(path: Path, header: Any, shape: Sequence[int]) -> Grid:
    unit = header.get_xyzt_units()[0]
    if unit not in ("mm", "unknown"):
        raise InputError(f"{path} gives lengths in {unit}; save it in mm.")
    found = [
        _RAS_TO_LPS @ affine
        for affine, code in (header.get_sform(coded=True), header.get_qform(coded=True))
        if affine is not None and code > 0
    ]
    if not found:
        raise GeometryError(
            f"{path} does not say how it lies in the patient (sform and qform codes are 0); "
            f"set one of them."
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1])).reshape(4, -1)
    if len(found) == 2:
        apart = float(np.abs((found[0] - found[1]) @ corners).max())
        if not apart <= MAX_CONTRADICTION_MM:
            raise GeometryError(
                f"{path} contradicts itself: sform and qform place its voxels {apart:.1f} mm "
                f"apart; save it with one geometry."
            )
    matrix = found[0][:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    with np.errstate(all="ignore"):
        direction = matrix / spacing
    return Grid(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=tuple(found[0][:3, 3]),
        direction=tuple(direction.ravel()),
    )


IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
_LONGEST_FIRST = sorted(IMAGE_SUFFIXES, key=len, reverse=True)

sitk.ProcessObject.SetGlobalWarningDisplay(False)


def is_image_file(path: Path) -> bool:
    """Whether the file's name ends as one of the single-file image formats."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


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
            ending = next(s for s in _LONGEST_FIRST if path.name.lower().endswith(s))
            found.setdefault(path.name[: -len(ending)], []).append(path)
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
        ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd`` or ``.nrrd``.
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
    if not path.is_file():
        raise InputError(f"There is no image at {path}.")
    if not is_image_file(path):
        raise InputError(f"{path} is no image file; known endings: {', '.join(IMAGE_SUFFIXES)}.")
    require_whole(path)
    nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    array, grid = read_nifti(path) if nifti else _read_with_sitk(path)
    dtype = np.int32 if quantity == "label" else np.float32
    real = quantity == "label" and array.dtype.kind == "f"
    if real and not np.array_equal(array, np.round(array)):
        raise InputError(f"{path} should hold labels and has values that are no integers.")
    return Volume(array=np.ascontiguousarray(array, dtype=dtype), grid=grid, quantity=quantity)


def _read_with_sitk(path: Path) -> tuple[NDArray, Grid]:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{path} cannot be read as an image: {reason[:200]}") from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise not_one_image(path, image.GetSize())
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), _grid_of(image)


def write_image(volume: Volume, path: Path) -> None:
    """Write a volume as a single file (all at once or not at all); the ending says the format.

    ``float32`` for quantities, ``uint8`` or ``int16`` for labels. The same volume gives the
    same bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = next((s for s in (".nii.gz", *IMAGE_SUFFIXES) if path.name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"{path} is no image file; known endings: {', '.join(IMAGE_SUFFIXES)}.")
    array = volume.array
    if volume.quantity == "label" or array.dtype == np.bool_:
        small = array.size == 0 or (array.min() >= 0 and array.max() <= 255)
        array = array.astype(np.uint8 if small else np.int16)
    else:
        array = array.astype(np.float32)
    temporary = path.with_name(f".{path.name.removesuffix(suffix)}.tmp{suffix}")
    sitk.WriteImage(
        to_sitk(array, volume.grid), str(temporary), useCompression=True, compressionLevel=3
    )
    temporary.replace(path)


def to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Return a SimpleITK image of an ``[i, j, k]`` array on a grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def _grid_of(image: sitk.Image) -> Grid:
    return Grid(
        shape=image.GetSize(),
        spacing_mm=image.GetSpacing(),
        origin_mm=image.GetOrigin(),
        direction=image.GetDirection(),
    )
