"""The stored voxels of an image file: as many bytes as its header promises, and not one more.

Compressed data can stand for a thousand times their size, and a damaged header for any size. So
nothing is unpacked beyond what the header promises, what it promises has a border, and data that
are shorter or longer than promised are refused: readers that fill what is missing with zeros, or
leave out what is too much, change the image without a word.
"""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError

MOST_VOXELS = 1 << 30
"""Of one image, such as 1024 × 1024 × 1024."""
MOST_FILE_BYTES = 16 << 30
_MOST_PADDING = 4096  # zeros at the end, as some programs fill their last block
_MOST_FACTOR = 1100  # what deflate can make of one byte (1032), and some
_SMALL = 1 << 16

Packing = Literal["raw", "zlib", "bzip2"]


def stored_array(
    path: Path, data: memoryview, *, shape: Sequence[int], dtype: np.dtype[Any], packing: Packing
) -> NDArray[Any]:
    """Return the voxels of a file as they are stored, the first axis the fastest.

    Parameters
    ----------
    path
        The file, for errors.
    data
        The bytes of the voxels, from the first to the end of the file.
    shape
        As the header says it.
    dtype
        Of a voxel, its byte order included.
    packing
        ``zlib`` is gzip too; both carry a checksum, which is compared.

    Raises
    ------
    InputError
        If the data are damaged, or not as many as the header promises.
    """
    promised = require_possible(path, shape) * dtype.itemsize
    if packing != "raw":
        data = memoryview(unpacked(path, data, promised, packing))
    if len(data) < promised:
        raise cut_off(path, promised, len(data))
    rest = data[promised:]
    if len(rest) > _MOST_PADDING or any(rest):
        raise InputError(
            f"{path} holds {len(data)} bytes of voxels and its header promises {promised}; they "
            f"do not belong together."
        )
    return np.frombuffer(data[:promised], dtype=dtype).reshape(tuple(shape), order="F")


def require_possible(path: Path, shape: Sequence[int]) -> int:
    """Return the number of voxels that a header promises, which must be one that there can be.

    Raises
    ------
    InputError
        If a size is not positive, or there are too many voxels.
    """
    size = "×".join(str(n) for n in shape)
    if not shape or min(shape) < 1:
        raise InputError(f"{path} holds {size or 'no'} voxels; every size must be positive.")
    voxels = math.prod(shape)
    if voxels > MOST_VOXELS:
        raise InputError(
            f"{path} says that it holds {size} voxels; at most {MOST_VOXELS} are read of an image."
        )
    return voxels


def unpacked(path: Path, data: memoryview, promised: int, packing: Packing) -> bytes:
    """Unpack data, not beyond what is promised and some padding.

    Raises
    ------
    InputError
        If they are damaged, cut off, or cannot be as many as promised.
    """
    if packing == "zlib" and promised > _MOST_FACTOR * len(data) + _SMALL:
        raise cut_off(path, promised, len(data))
    parts: list[bytes] = []
    left = promised + _MOST_PADDING + 1
    try:
        while left > 0:
            part, data, ended = _one_stream(data, left, packing)
            parts.append(part)
            left -= len(part)
            if not ended and left > 0:
                raise damaged(path, "its compressed data end too early")
            if len(data) < 18 or bytes(data[:2]) not in (b"\x1f\x8b", b"BZ"):
                break  # 18: the shortest gzip; several may follow one another
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise damaged(path, str(error)) from None
    return b"".join(parts)


def _one_stream(data: memoryview, most: int, packing: Packing) -> tuple[bytes, memoryview, bool]:
    """Unpack one stream; return what is in it, what follows it, and whether it ended."""
    if packing == "zlib":
        inflating = zlib.decompressobj(47)  # the header says whether it is zlib or gzip
        part = inflating.decompress(data, most)
        return part, memoryview(inflating.unused_data), inflating.eof
    unpacking = bz2.BZ2Decompressor()
    part = unpacking.decompress(bytes(data), most)
    return part, memoryview(unpacking.unused_data), unpacking.eof


def cut_off(path: Path, promised: int, found: int) -> InputError:
    """Return the sentence for a file that holds less than its header promises."""
    return InputError(
        f"{path} is cut off: its header promises {promised} bytes and {found} are there; copy it "
        f"again."
    )


def damaged(path: Path, reason: str) -> InputError:
    """Return the sentence for a file whose own checksum or structure is broken."""
    words = " ".join(reason.split())[:120].rstrip(".")
    return InputError(f"{path} is cut off or damaged ({words}); copy it again.")


def not_one_image(path: Path, shape: Sequence[int]) -> InputError:
    """Return the sentence for a file that holds more, or less, than one 3-D image."""
    size = "×".join(str(n) for n in shape)
    return InputError(f"{path} holds {size} voxels; one 3-D image with one value is needed.")
