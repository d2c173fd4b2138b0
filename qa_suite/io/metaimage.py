"""MetaImage files (``.mha``, ``.mhd``), read by the suite itself.

The format is a few lines of text before the voxels; ITK's own reader ends the process on some
damaged ones (``NDims = -1``) and reads others without a word. What a line means is as ITK has it:
LPS, mm, rows of ``TransformMatrix`` are the axes; a missing ``Offset`` or ``TransformMatrix`` is
zero and identity. A missing spacing, and values that have a scale beside them, are refused.

References
----------
MetaIO documentation, https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import MOST_HEADER_BYTES, files_of_image, read_bytes, require_file
from qa_suite.core.volume import Grid
from qa_suite.io.stored_voxels import (
    MOST_FILE_BYTES,
    Packing,
    not_one_image,
    require_possible,
    stored_array,
)

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_ORIGIN = ("Offset", "Position", "Origin")
_MSB = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_MOST_DIMENSIONS = 8


def read_metaimage(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read the voxels, indexed ``[i, j, k]``, and the grid of a MetaImage file.

    Raises
    ------
    InputError
        If it is cut off or damaged, holds no single 3-D image, or spreads it over several files.
    GeometryError
        If its geometry is impossible.
    """
    files = files_of_image(path)
    data = memoryview(read_bytes(path, most_bytes=MOST_FILE_BYTES))
    fields, start = _header(path, data)
    number = _Numbers(path, fields)
    dimensions = number.whole("NDims", 3)
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise _wrong(path, "NDims", fields["NDims"])
    sizes = number.several(("DimSize",), dimensions, None)
    if any(n != int(n) or not 0 < n < 2**31 for n in sizes):
        raise _wrong(path, "DimSize", fields["DimSize"])
    shape = tuple(int(n) for n in sizes)
    if number.whole("ElementNumberOfChannels", 1) != 1:
        raise not_one_image(path, (*shape, number.whole("ElementNumberOfChannels", 1)))
    if dimensions not in (3, 4) or shape[3:] not in ((), (1,)):
        raise not_one_image(path, shape)
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise _wrong(path, "ElementType", kind or "none")
    if not number.truth("BinaryData", True):
        raise InputError(f"{path} holds its voxels as text; save it in binary.")
    if number.whole("ElementToIntensityFunctionSlope", 1) != 1 or number.whole(
        "ElementToIntensityFunctionOffset", 0
    ):
        raise InputError(f"{path} has a scale beside its values; save it with it applied.")
    if fields.get("DistanceUnits", "mm").lower() not in ("mm", "?", ""):
        raise InputError(f"{path} gives lengths in {fields['DistanceUnits']}; save it in mm.")
    orders = {number.truth(name, False) for name in _MSB if name in fields}
    if len(orders) > 1:
        raise InputError(f"{path} names both orders of bytes in its header.")
    dtype = np.dtype(f"{'>' if True in orders else '<'}{_TYPES[kind]}")
    packing: Packing = "zlib" if number.truth("CompressedData", False) else "raw"
    if len(files) > 1:
        require_file(files[1], most_bytes=MOST_FILE_BYTES)
        voxels = memoryview(read_bytes(files[1], most_bytes=MOST_FILE_BYTES))
        voxels = _after_header(path, voxels, number, require_possible(path, shape) * dtype.itemsize)
    else:
        voxels = data[start:]
    array = stored_array(path, voxels, shape=shape[:3], dtype=dtype, packing=packing)
    return array, _grid(number, dimensions, shape)


def _header(path: Path, data: memoryview) -> tuple[dict[str, str], int]:
    """Return the fields, and where the voxels begin that follow them."""
    head = bytes(data[:MOST_HEADER_BYTES])
    fields: dict[str, str] = {}
    start = 0
    while True:
        end = head.find(b"\n", start)
        line = head[start:] if end < 0 else head[start:end]
        if end < 0 and len(head) == MOST_HEADER_BYTES:
            break
        key, equals, value = (part.strip() for part in line.decode("latin-1").partition("="))
        if not equals and line.strip():
            break
        if key in fields:
            raise InputError(f"{path} has the line {key} twice in its header.")
        if equals:
            fields[key] = value
        if key == "ElementDataFile":
            return fields, len(head) if end < 0 else end + 1
        if end < 0:
            break
        start = end + 1
    raise InputError(f"{path} is cut off within its header, or is no MetaImage; copy it again.")


def _after_header(path: Path, data: memoryview, number: _Numbers, promised: int) -> memoryview:
    """Leave out what stands before the voxels in a file of their own."""
    skip = number.whole("HeaderSize", 0)
    if skip == -1:
        return data[max(len(data) - promised, 0) :]
    if not 0 <= skip <= len(data):
        raise _wrong(path, "HeaderSize", str(skip))
    return data[skip:]


def _grid(number: _Numbers, dimensions: int, shape: tuple[int, ...]) -> Grid:
    identity = np.eye(dimensions).ravel().tolist()
    matrix = np.reshape(number.several(_MATRIX, dimensions**2, identity), (dimensions, dimensions))
    spacing = number.several(("ElementSpacing",), dimensions, None)
    origin = number.several(_ORIGIN, dimensions, [0.0] * dimensions)
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        origin_mm=(origin[0], origin[1], origin[2]),
        direction=tuple(matrix[:3, :3].T.ravel()),
    )


class _Numbers:
    """The fields of a header, read as what they should be."""

    def __init__(self, path: Path, fields: Mapping[str, str]) -> None:
        self._path, self._fields = path, fields

    def whole(self, name: str, default: int) -> int:
        text = self._fields.get(name, str(default))
        if not re.fullmatch(r"[-+]?\d{1,18}(\.0*)?", text):
            raise _wrong(self._path, name, text)
        return int(float(text))

    def truth(self, name: str, default: bool) -> bool:
        text = self._fields.get(name, str(default))
        if text.lower() not in ("true", "false", "1", "0"):
            raise _wrong(self._path, name, text)
        return text.lower() in ("true", "1")

    def several(
        self, names: tuple[str, ...], count: int, default: list[float] | None
    ) -> list[float]:
        said = [name for name in names if name in self._fields]
        if not said and default is not None:
            return default
        if len(said) != 1:
            what = " and ".join(said) if said else f"no {names[0]}"
            raise InputError(f"{self._path} has {what} in its header; one is needed.")
        text = self._fields[said[0]]
        try:
            numbers = [float(word) for word in text.split()]
        except ValueError:
            raise _wrong(self._path, said[0], text) from None
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise _wrong(self._path, said[0], text)
        return numbers


def _wrong(path: Path, name: str, text: str) -> InputError:
    return InputError(f"{path} cannot be read as an image: {name} = {text[:80]} in its header.")
