"""NIfTI files: voxels with slope and intercept applied, and one geometry.

NaN and inf are kept; SimpleITK replaces them by zeros without a word. A NIfTI header can hold two
geometries (sform and qform) that contradict each other; readers differ in which one they believe,
so a contradiction is refused.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.plain_files import read_bytes, reason_of
from qa_suite.core.volume import Grid
from qa_suite.io.stored_voxels import (
    MOST_FILE_BYTES,
    Packing,
    cut_off,
    damaged,
    not_one_image,
    require_possible,
    stored_array,
    unpacked,
)

MAX_CONTRADICTION_MM = 0.5
"""sform and qform may place a corner voxel this far apart; more is a contradiction."""

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # errors say it in a sentence
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NIFTI2_SIZES = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
_LONGEST_HEADER = 540
_MOST_OFFSET = 64 << 20  # of the voxels: the header's extensions lie before them


def read_nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read the voxels and the grid of a NIfTI file.

    Raises
    ------
    InputError
        If it is cut off or damaged, holds no single 3-D image, or its unit of length is not mm.
    GeometryError
        If it says nowhere how it lies in the patient, or says it twice and differently.
    """
    data = memoryview(read_bytes(path, most_bytes=MOST_FILE_BYTES))
    packing: Packing = "zlib" if path.name.lower().endswith(".gz") else "raw"
    header = _header(path, _beginning(path, data) if packing == "zlib" else data)
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        offset = int(header["vox_offset"])
        slope, intercept = header.get_slope_inter()
    except Exception as error:  # numbers that are none
        raise _unreadable(path, reason_of(error)) from None
    if len(shape) == 4 and shape[3] == 1:
        shape = shape[:3]
    if len(shape) != 3 or dtype.fields is not None:
        raise not_one_image(path, shape)
    if dtype.kind not in "iufb":
        raise InputError(f"{path} holds {dtype} voxels; real numbers are needed.")
    least = int(header.sizeof_hdr) + 4
    if not least <= offset <= _MOST_OFFSET:
        raise _unreadable(path, f"its voxels begin at byte {offset}, and its header has {least}")
    if packing == "zlib":
        promised = offset + require_possible(path, shape) * dtype.itemsize
        data = memoryview(unpacked(path, data, promised, packing))
    if len(data) < offset:
        raise cut_off(path, offset, len(data))
    stored = stored_array(path, data[offset:], shape=shape, dtype=dtype, packing="raw")
    grid = _grid(path, header, shape)
    if slope is None:
        return stored, grid
    with np.errstate(all="ignore"):
        return apply_read_scaling(stored, np.asanyarray(slope), np.asanyarray(intercept)), grid


def _beginning(path: Path, data: memoryview) -> memoryview:
    """Unpack as much as holds a header."""
    try:
        return memoryview(zlib.decompressobj(31).decompress(data, _LONGEST_HEADER))
    except zlib.error as error:
        raise damaged(path, str(error)) from None


def _header(path: Path, data: memoryview) -> Any:
    head = bytes(data[:_LONGEST_HEADER])
    kind = nib.Nifti2Header if head[:4] in _NIFTI2_SIZES else nib.Nifti1Header
    if len(head) < kind.sizeof_hdr:
        raise InputError(f"{path} is cut off within its header; copy it again.")
    try:
        header = kind(head[: kind.sizeof_hdr], check=True)
        single = header["magic"].item()[:2] == b"n+"
    except Exception as error:  # a damaged header may raise anything
        raise _unreadable(path, reason_of(error)) from None
    if not single:
        raise _unreadable(path, "its header says that it is none of NIfTI in one file")
    return header


def _grid(path: Path, header: Any, shape: Sequence[int]) -> Grid:
    try:
        unit = header.get_xyzt_units()[0]
        with np.errstate(all="ignore"):
            forms = (header.get_sform(coded=True), header.get_qform(coded=True))
    except Exception as error:  # a quaternion that is none, a unit that is not known
        raise GeometryError(
            f"{path} does not say how it lies in the patient ({reason_of(error)})."
        ) from None
    if unit not in ("mm", "unknown"):
        raise InputError(f"{path} gives lengths in {unit}; save it in mm.")
    found = [_RAS_TO_LPS @ affine for affine, code in forms if affine is not None and code > 0]
    if not found:
        raise GeometryError(
            f"{path} does not say how it lies in the patient (sform and qform codes are 0); "
            f"set one of them."
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1])).reshape(4, -1)
    if len(found) == 2:
        with np.errstate(all="ignore"):
            apart = float(np.abs((found[0] - found[1]) @ corners).max())
        if not apart <= MAX_CONTRADICTION_MM:
            raise GeometryError(
                f"{path} contradicts itself: sform and qform place its voxels {apart:.1f} mm "
                f"apart; save it with one geometry."
            )
    matrix = found[0][:3, :3]
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(matrix, axis=0)
        direction = matrix / spacing
    return Grid(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=tuple(found[0][:3, 3]),
        direction=tuple(direction.ravel()),
    )


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"{path} cannot be read as an image: {reason}.")
