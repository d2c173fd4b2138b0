"""NIfTI files: the voxels as they are stored, and one geometry or none.

nibabel keeps NaN and inf; SimpleITK replaces them by zeros without a word. A NIfTI header
can hold two geometries (sform and qform) that contradict each other; readers differ in which
one they believe, so a contradiction is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid

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
