"""NRRD files (``.nrrd``, ``.nhdr``), read by the suite itself.

A few lines of text before the voxels, or in a file of their own. Read are images of three axes that
say how they lie in the patient (``space directions``, ``space origin``), raw, gzip or bzip2.

References
----------
Definition of NRRD file format, https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.plain_files import MOST_HEADER_BYTES, files_of_image, read_bytes
from qa_suite.core.volume import Grid
from qa_suite.io.stored_voxels import (
    MOST_FILE_BYTES,
    Packing,
    cut_off,
    not_one_image,
    require_possible,
    stored_array,
)

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t",
           "signed long long int"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_TYPE_OF = {word: dtype for dtype, words in _TYPES.items() for word in words}
_PACKINGS: dict[str, Packing] = {
    "raw": "raw",
    "gz": "zlib",
    "gzip": "zlib",
    "bz2": "bzip2",
    "bzip2": "bzip2",
}
_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}
_FIELD = re.compile(r"([^:]+):(?!=)\s*(.*)")
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_ALIASES = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}


def read_nrrd(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read the voxels, indexed ``[i, j, k]``, and the grid of an NRRD file.

    Raises
    ------
    InputError
        If it is cut off or damaged, holds no single 3-D image, or spreads it over several files.
    GeometryError
        If it does not say how it lies in the patient, or its geometry is impossible.
    """
    files = files_of_image(path)
    data = memoryview(read_bytes(path, most_bytes=MOST_FILE_BYTES))
    fields, start = _header(path, data, detached=len(files) > 1)
    shape = tuple(_whole(path, fields, "sizes"))
    if len(shape) != _whole(path, fields, "dimension")[0]:
        raise _wrong(path, fields, "sizes")
    if len(shape) != 3:
        raise not_one_image(path, shape)
    dtype = _dtype(path, fields)
    encoding = fields.get("encoding", "").lower()
    if encoding not in _PACKINGS:
        raise InputError(
            f"{path} has the encoding {encoding or 'none'}; known: {', '.join(_PACKINGS)}."
        )
    packing = _PACKINGS[encoding]
    if len(files) > 1:
        voxels = memoryview(read_bytes(files[1], most_bytes=MOST_FILE_BYTES))
    else:
        voxels = data[start:]
    promised = require_possible(path, shape) * dtype.itemsize
    voxels = _skipped(path, fields, voxels, packing, promised)
    array = stored_array(path, voxels, shape=shape, dtype=dtype, packing=packing)
    return array, _grid(path, fields, shape)


def _header(path: Path, data: memoryview, *, detached: bool) -> tuple[dict[str, str], int]:
    """Return the fields, and where the voxels begin that follow them."""
    head = bytes(data[:MOST_HEADER_BYTES])
    if not re.match(rb"NRRD000\d\s", head):
        raise InputError(f"{path} is cut off within its header, or is no NRRD; copy it again.")
    blank = re.search(rb"\r?\n\r?\n", head)
    if blank is None and not detached:
        raise InputError(f"{path} is cut off within its header; copy it again.")
    end, start = (len(head), len(head)) if blank is None else blank.span()
    fields: dict[str, str] = {}
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        found = _FIELD.fullmatch(line)
        if line.startswith("#") or found is None:
            continue  # remarks and keys of other programs
        name = found[1].strip().lower()
        name = _ALIASES.get(name, name)
        if name in fields:
            raise InputError(f"{path} has the line {name!r} twice in its header.")
        fields[name] = found[2].strip()
    return fields, start


def _dtype(path: Path, fields: dict[str, str]) -> np.dtype[Any]:
    kind = _TYPE_OF.get(fields.get("type", "").lower())
    if kind is None:
        raise _wrong(path, fields, "type")
    endian = fields.get("endian", "little" if kind[1] == "1" else "").lower()
    if endian not in ("little", "big"):
        raise _wrong(path, fields, "endian")
    return np.dtype(f"{'<' if endian == 'little' else '>'}{kind}")


def _skipped(
    path: Path, fields: dict[str, str], data: memoryview, packing: Packing, promised: int
) -> memoryview:
    """Leave out lines and bytes before the voxels."""
    lines, skip = (_whole(path, fields, name, "0")[0] for name in ("line skip", "byte skip"))
    if lines < 0 or lines > 10_000 or skip < -1 or (skip and packing != "raw"):
        raise _wrong(path, fields, "byte skip" if lines == 0 else "line skip")
    place = 0
    whole = bytes(data[:MOST_HEADER_BYTES]) if lines else b""
    for _ in range(lines):
        place = whole.find(b"\n", place) + 1
        if place == 0:
            raise cut_off(path, promised, 0)
    if skip == -1:
        return data[max(len(data) - promised, place) :]
    return data[place + skip :]


def _grid(path: Path, fields: dict[str, str], shape: tuple[int, ...]) -> Grid:
    flips = _TO_LPS.get(fields.get("space", "").lower())
    lacking = [name for name in ("space directions", "space origin") if name not in fields]
    if flips is None or lacking:
        what = f"no {' and no '.join(lacking)}" if lacking else f"space {fields.get('space')}"
        raise GeometryError(
            f"{path} does not say how it lies in the patient ({what}); save it in the space "
            f"left-posterior-superior, with directions and origin."
        )
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if any(unit.lower() not in ("mm", "") for unit in units):
        raise InputError(f"{path} gives lengths in {', '.join(units)}; save it in mm.")
    vectors = np.array(_vectors(path, fields, "space directions", 3)) * flips
    (origin,) = _vectors(path, fields, "space origin", 1)
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(vectors, axis=1)
        direction = (vectors / spacing[:, None]).T
    place = np.array(origin) * flips
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=(float(place[0]), float(place[1]), float(place[2])),
        direction=tuple(direction.ravel()),
    )


def _vectors(path: Path, fields: dict[str, str], name: str, count: int) -> list[list[float]]:
    found = [match[1] for match in _VECTOR.finditer(fields[name])]
    try:
        vectors = [[float(word) for word in str(one).split(",")] for one in found]
    except ValueError:
        raise _wrong(path, fields, name) from None
    if len(vectors) != count or any(len(one) != 3 for one in vectors):
        raise _wrong(path, fields, name)
    return vectors


def _whole(path: Path, fields: dict[str, str], name: str, default: str = "") -> list[int]:
    words = fields.get(name, default).split()
    if not words or not all(re.fullmatch(r"[-+]?\d{1,18}", word) for word in words):
        raise _wrong(path, fields, name)
    return [int(word) for word in words]


def _wrong(path: Path, fields: dict[str, str], name: str) -> InputError:
    said = f"{name}: {fields[name][:80]}" if name in fields else f"no {name}"
    return InputError(f"{path} cannot be read as an image: {said} in its header.")
