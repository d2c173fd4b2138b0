"""The one door of DICOM files: opened within borders, whatever is wrong said in one error.

pydicom is written in Python and a damaged file makes it raise, not die; what is compressed is
another matter. A deflated data set is unpacked only as far as a file can mean, and compressed
pixels are decoded by the helper of :mod:`qa_suite.core.apart`: the decoders are not in Python.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from qa_suite.core.apart import NotRead, read_apart
from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import read_bytes, reason_of, require_file
from qa_suite.io.dicom.elements import TooMuch, asking_at_most
from qa_suite.io.problems import ReadProblem
from qa_suite.io.stored_voxels import MOST_FILE_BYTES, MOST_VOXELS

# pydicom's log quotes header values, which may name a patient
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

MOST_ELEMENTS = 400_000
"""Of a deflated data set; the largest structure sets of clinics have fewer."""
MOST_ELEMENTS_A_MIB = 150_000
"""Of a deflated data set, and of one of less than a MiB; contours of five points are half of it."""
MOST_SECONDS_A_MIB = 2.5
"""Reckoned; contours of clinics, deflated to a fourth, ask for a third of it."""
MOST_DEFLATED_FACTOR = 100
"""How much larger than its file a deflated data set may be; doses, mostly zeros, reach 50."""
_SMALL = 1 << 20
_MOST_META = 1 << 16
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_ITEM_GROUP, _UNDEFINED, _END_OF_SEQUENCE = 0xFFFE, 0xFFFFFFFF, 0xE0DD
_ITEM = b"\xfe\xff\x00\xe0"
_DEEPEST = 200
"""Sequences within sequences; nobody's has a dozen."""


def text_of(dataset: Any, keyword: str) -> str:
    """Return a header value as text without white space at its ends; empty where it is absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def open_dicom(path: Path, *, pixels: bool, force: bool = False) -> Any:
    """Read one DICOM file.

    Parameters
    ----------
    path
        The file.
    pixels
        Whether to read the pixel data too.
    force
        Whether to read it even without the DICOM preamble.

    Raises
    ------
    ReadProblem
        Whatever is wrong with it: a damaged file makes pydicom raise eight different
        exceptions, from ``EOFError`` to ``AttributeError``, and all of them mean this.
    """
    try:
        require_file(path, most_bytes=MOST_FILE_BYTES)
    except InputError as error:
        raise ReadProblem(path, _without(path, error)) from None
    try:
        seconds = _asked_at_most(path)
        with warnings.catch_warnings(), asking_at_most(seconds):
            warnings.simplefilter("ignore")  # overlong identifiers and the like: not our matter
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=force)
            _decode(dataset.file_meta)
            _decode(dataset)
    except ReadProblem:
        raise
    except TooMuch as error:
        raise ReadProblem(path, str(error)) from None
    except OSError as error:
        raise ReadProblem(path, f"a file cannot be opened ({reason_of(error)})") from None
    except Exception as error:
        raise ReadProblem(path, f"a file is no readable DICOM ({type(error).__name__})") from None
    return dataset


def _without(path: Path, error: InputError) -> str:
    words = str(error).rstrip(".").removeprefix(f"There is no file at {path}") or "a file is gone"
    return words.replace(str(path), "a file")


def _decode(dataset: Any) -> None:
    """Touch every element once: pydicom parses values only when they are asked for."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _decode(item)


def _asked_at_most(path: Path) -> float:
    """Return for how long a file may be read, by the reckoning of its elements.

    What is written plainly takes as long as it is, without an end. A deflated file may hold a
    hundred times as much: it is refused where it would unpack to more than a file can mean.
    """
    with path.open("rb") as stream:
        head = stream.read(_MOST_META)
    if head[128:132] != b"DICM":
        return float("inf")
    syntax, start = _meta(path, head)
    if syntax != _DEFLATED:
        return float("inf")
    data = memoryview(read_bytes(path, most_bytes=MOST_FILE_BYTES))[start:]
    most = MOST_DEFLATED_FACTOR * len(data) + _SMALL
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = inflating.decompress(data, most)
    if not inflating.eof and len(unpacked) >= most:
        raise ReadProblem(path, f"a file unpacks to more than {most >> 20} MiB, a hundred times it")
    size = max(len(data) / 2**20, 1.0)
    elements = min(MOST_ELEMENTS, round(MOST_ELEMENTS_A_MIB * size))
    if _has_more_elements(unpacked, elements):
        raise ReadProblem(path, f"a file of more than {elements} elements")
    return MOST_SECONDS_A_MIB * size


def _meta(path: Path, head: bytes) -> tuple[bytes, int]:
    """Return the transfer syntax, and where the data set begins (PS3.10, 7.1)."""
    place, syntax = 132, b""
    while place + 8 <= len(head):
        group, element = struct.unpack_from("<HH", head, place)
        if group != 2:
            return syntax, place
        long = head[place + 4 : place + 6] in _LONG
        start = place + (12 if long else 8)
        if start > len(head):
            break
        (size,) = struct.unpack_from("<I" if long else "<H", head, start - (4 if long else 2))
        if element == 0x10:
            syntax = head[start : start + size].strip(b"\0 ")
        place = start + size
    if place > _MOST_META:
        raise ReadProblem(path, "a file whose file meta information has no end")
    return syntax, place


def _has_more_elements(data: bytes, most: int) -> bool:
    """Count elements of explicit VR, those of sequences too, whatever the way they are written.

    A sequence may be of unknown VR (UN); what it holds is of implicit VR then (PS3.5, 6.2.2).
    """
    place, count = 0, 0
    # of each sequence: its end, whether implicit, whether without a length
    opened: list[tuple[float, bool, bool]] = []
    while True:
        while opened and place >= opened[-1][0]:
            place = int(opened.pop()[0])  # whatever its content says, a reader goes on there
        if place + 8 > len(data):
            return False
        group, element = struct.unpack_from("<HH", data, place)
        count += 1
        if count > most or len(opened) > _DEEPEST:
            return True
        if group == _ITEM_GROUP:
            if element == _END_OF_SEQUENCE and opened and opened[-1][2]:
                opened.pop()
            place += 8  # what is in an item follows it
            continue
        implicit = bool(opened) and opened[-1][1]
        kind = b"" if implicit else data[place + 4 : place + 6]
        long = implicit or kind in _LONG
        start = place + (12 if long and not implicit else 8)
        if start > len(data):
            place = start
            continue
        (size,) = struct.unpack_from("<I" if long else "<H", data, start - (4 if long else 2))
        holds_items = data[start : start + 4] == _ITEM
        if kind == b"SQ" or (kind in (b"", b"UN") and (holds_items or size == _UNDEFINED)):
            within = opened[-1][0] if opened else inf
            end = inf if size == _UNDEFINED else start + size
            opened.append((min(end, within), kind != b"SQ", size == _UNDEFINED))
            place = start
        elif size == _UNDEFINED:
            place = _after_fragments(data, start)
        else:
            place = start + size


def _after_fragments(data: bytes, place: int) -> int:
    """Return where pixels in fragments end (PS3.5, A.4)."""
    while place + 8 <= len(data):
        _, element, size = struct.unpack_from("<HHI", data, place)
        place += 8
        if element == _END_OF_SEQUENCE:
            break
        place += size
    return place


def decode_pixels(path: Path, header: Any) -> NDArray[Any]:
    """Return the stored values of a file, shape (rows, columns) or (frames, rows, columns).

    Raises
    ------
    ReadProblem
        If the pixels are cut off, damaged, compressed in a way that cannot be undone here, or
        no shades of grey.
    """
    if "TransferSyntaxUID" not in header.file_meta:  # a file without preamble, as older ones
        implicit, _ = header.original_encoding
        header.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    if text_of(header, "PhotometricInterpretation") not in ("MONOCHROME2", ""):
        kind = text_of(header, "PhotometricInterpretation")
        raise ReadProblem(path, f"a slice with photometric interpretation {kind}")
    _require_possible_pixels(path, header)
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_transfer_syntax and syntax.is_encapsulated:
        try:
            _, array = read_apart("qa_suite.io.dicom.opening:decoded", path)
        except NotRead as error:
            raise ReadProblem(path, error.reason) from None
        assert array is not None
        return array
    return _decoded(path, header)


def _require_possible_pixels(path: Path, header: Any) -> None:
    sizes = []
    for keyword in ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"):
        try:
            sizes.append(int(header.get(keyword) or 1))
        except (TypeError, ValueError, OverflowError):
            raise ReadProblem(path, f"a slice without a usable {keyword}") from None
    if min(sizes) < 1 or int(np.prod(sizes, dtype=object)) > MOST_VOXELS:
        raise ReadProblem(path, f"a slice of {'×'.join(map(str, sizes))} pixels")


def decoded(path: Path) -> tuple[None, NDArray[Any]]:
    """Decode compressed pixels; done by the helper, which may die of it."""
    return None, _decoded(path, open_dicom(path, pixels=True, force=True))


def _decoded(path: Path, header: Any) -> NDArray[Any]:
    syntax = header.file_meta.TransferSyntaxUID
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # padding bytes at the end are common and harmless
            return np.asarray(header.pixel_array)
    except Exception as error:  # see open_dicom: a damaged file may raise anything
        undecodable = isinstance(error, RuntimeError)  # and NotImplementedError, its child
        if undecodable and syntax.is_transfer_syntax and syntax.is_compressed:
            raise ReadProblem(
                path,
                f"slices compressed as {syntax.name}, for which no decoder is installed; "
                f"decompress them first",
            ) from None
        raise ReadProblem(
            path, f"a slice whose pixel data is truncated or damaged ({type(error).__name__})"
        ) from None
