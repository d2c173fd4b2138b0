"""How many elements a deflated DICOM file holds is counted, in whatever way they are written."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from qa_suite.io.dicom.opening import _has_more_elements as has_more


def explicit(vr: bytes, value: bytes, *, size: int | None = None, long: bool = False) -> bytes:
    length = len(value) if size is None else size
    head = struct.pack("<HH", 0x0011, 0x1010) + vr
    return head + (struct.pack("<HI", 0, length) if long else struct.pack("<H", length)) + value


def implicit(value: bytes, size: int | None = None) -> bytes:
    return struct.pack("<HHI", 0x0011, 0x1010, len(value) if size is None else size) + value


def item(value: bytes, size: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value) if size is None else size) + value


UNDEFINED = 0xFFFFFFFF
END_ITEM = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
SHORT = explicit(b"SH", b"ab")
INNER = implicit(b"ab")

WAYS = {  # what is written, and how many elements, items and ends it holds
    "alone": (SHORT, 1),
    "in a sequence": (explicit(b"SQ", item(SHORT), long=True), 3),
    "in one without a length": (
        explicit(b"SQ", item(SHORT + END_ITEM, UNDEFINED) + END, size=UNDEFINED, long=True), 5,
    ),
    "after an empty unknown": (explicit(b"UN", END, size=UNDEFINED, long=True) + SHORT, 3),
    "in an unknown": (explicit(b"UN", item(INNER) + END, size=UNDEFINED, long=True), 4),
    "in an unknown with a length": (explicit(b"UN", item(INNER), long=True), 3),
    "deep in an unknown": (
        explicit(
            b"UN", item(implicit(item(INNER) + END, UNDEFINED)) + END, size=UNDEFINED, long=True
        ), 7,
    ),
    "after fragments": (explicit(b"OB", item(b"abcd") + END, size=UNDEFINED, long=True) + SHORT, 2),
    "behind a sequence of no items": (
        explicit(b"SQ", b"a\\a\\a\\a\\a\\a\\a\\", long=True) + SHORT, 3,
    ),
    "plain bytes": (explicit(b"OB", bytes(64), long=True), 1),
    "unknown bytes": (explicit(b"UN", bytes(64), long=True), 1),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("times", [1, 1000])
def test_every_way_is_counted(way: str, times: int) -> None:
    data, held = WAYS[way]
    assert has_more(data * times, held * times - 1)
    assert not has_more(data * times, held * times)


@pytest.mark.parametrize("way", WAYS)
def test_what_stands_behind_one_way_is_counted_too(way: str) -> None:
    data, held = WAYS[way]
    assert has_more(data + SHORT * 500, held + 499)
    assert not has_more(data + SHORT * 500, held + 500)


def test_a_file_of_pydicoms_own_is_counted_as_it_reads_it() -> None:
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "one"
    whole = Dataset()
    whole.PatientID = "x"
    whole.ConceptNameCodeSequence = Sequence([inner, inner])
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, whole, implicit_vr=False, little_endian=True)
    assert has_more(stream.getvalue(), 7)  # two elements, two items of two elements each
    assert not has_more(stream.getvalue(), 8)


def test_sequences_within_sequences_end_somewhere() -> None:
    deep = b""
    for _ in range(1000):
        deep = explicit(b"SQ", item(deep), size=UNDEFINED, long=True)
    assert has_more(deep, 10**6)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9])
def test_a_piece_of_an_element_is_no_reason_to_raise(size: int) -> None:
    assert not has_more(SHORT[:size], 1)
