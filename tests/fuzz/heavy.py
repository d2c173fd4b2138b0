"""DICOM files of at most 1 MiB that ask a reader for as much work as they can."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

MOST_BYTES = 1 << 20
EXPLICIT, IMPLICIT, DEFLATED, RLE = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".1.99", ".5"))
CT = b"1.2.840.10008.5.1.4.1.1.2\0"
_END_OF_ITEM = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_UNDEFINED = 0xFFFFFFFF
_LONG = ("OB", "OW", "SQ", "UC", "UN", "UR", "UT")
_VRS = ("LO", "PN", "DS", "IS", "UI", "CS", "DA", "US", "FD", "UT", "UC", "UN", "AT", "OB", "SQ")
_SETS = (b"ISO 2022 IR 87", b"ISO 2022 IR 159", b"ISO 2022 IR 149", b"ISO_IR 192", b"none", b"")
_VALUES = (
    b"1\\",
    b"a\\",
    b"\\",
    b"1.0\\",
    b"A^B=C\\",
    b"=a\\",
    b"\x1b$B0!\\",
    b"\x1b\\",
    b"-12.5\\",
)
_TEXTS = (b"\x1b", b"\x1b$B0!\x1b(B", b"\x1b$)C\xff", b"\x1b-A", b"^", b"=", b"\xff", b"\\")

Rng = np.random.Generator
Kind = Callable[[Rng, int], tuple[bytes, str]]


def element(tag: int, vr: str, value: bytes, *, size: int | None = None) -> bytes:
    """One element of explicit VR, or of implicit VR where ``vr`` is empty; little endian."""
    size = len(value) if size is None else size
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if not vr:
        return head + struct.pack("<I", size) + value
    if vr in _LONG:
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", min(size, 0xFFFF)) + value[:0xFFFF]


def item(content: bytes, *, size: int | None = None) -> bytes:
    """One item of a sequence."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if size is None else size) + content


def file(content: bytes, syntax: str = EXPLICIT) -> bytes:
    """A file of DICOM around a data set."""
    meta = element(0x00020002, "UI", CT) + element(0x00020003, "UI", b"1.2.3.4\0")
    meta += element(0x00020010, "UI", syntax.encode() + b"\0" * (len(syntax) % 2))
    if syntax == DEFLATED:
        packing = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        content = packing.compress(content) + packing.flush()
    length = element(0x00020000, "UL", struct.pack("<I", len(meta)))
    return b"\0" * 128 + b"DICM" + length + meta + content


def head(vr: bool = True) -> bytes:
    """The elements by which a reader takes a file for a slice."""
    named = {0x00080016: CT, 0x00080018: b"1.2.3.4\0", 0x0020000D: b"1.2\0", 0x0020000E: b"1.3\0"}
    return b"".join(element(tag, "UI" if vr else "", value) for tag, value in named.items())


def private(count: int) -> Iterator[int]:
    """Tags of private elements, ascending."""
    for number in range(count):
        yield (0x0029 + 2 * (number // 0xE000)) << 16 | (0x1000 + number % 0xE000)


def _chosen(rng: Rng, words: tuple[bytes, ...]) -> bytes:
    return words[int(rng.integers(len(words)))]


def _written(rng: Rng) -> tuple[str, bool]:
    """Return a transfer syntax, and whether elements say their VR."""
    syntax = (EXPLICIT, IMPLICIT, DEFLATED)[int(rng.integers(3))]
    return syntax, syntax != IMPLICIT


def many_elements(rng: Rng, size: int) -> tuple[bytes, str]:
    """Elements of a few bytes, private or all alike; a deflated file packs them tenfold."""
    syntax, explicit = _written(rng)
    vr = str(rng.choice(_VRS)) if explicit else ""
    value = (_chosen(rng, _VALUES) * int(rng.integers(0, 12)))[:60]
    value += b" " * (len(value) % 2)
    one = len(element(0x00291000, vr, value))
    count = size // one * (12 if syntax == DEFLATED else 1)
    if rng.random() < 0.3:
        return head(explicit) + element(0x00281050, vr, value) * count, syntax
    return head(explicit) + b"".join(element(t, vr, value) for t in private(count)), syntax


def many_values(rng: Rng, size: int) -> tuple[bytes, str]:
    """Few elements of very many values, of every kind that is read value by value."""
    syntax, explicit = _written(rng)
    tag, vr = (
        (0x30060050, "DS"), (0x00081160, "IS"), (0x0008001A, "UI"), (0x00100010, "PN"),
        (0x00080008, "CS"), (0x00280009, "AT"), (0x00080020, "DA"), (0x00281050, "DS"),
    )[int(rng.integers(8))]  # fmt: skip
    value = _chosen(rng, _VALUES)
    if explicit and rng.random() < 0.7:  # longer than its kind may be: of unknown kind
        return head() + element(tag, "UN", value * (size // len(value))), syntax
    if explicit:
        one = element(tag, vr, value * (65000 // len(value)))
        return head() + one * max(size // len(one), 1), syntax
    return head(vr=False) + element(tag, "", value * (size // len(value))), syntax


def character_sets(rng: Rng, size: int) -> tuple[bytes, str]:
    """Lists of character sets, each of which every text may be tried with."""
    count = int(rng.choice([2, 10, 16, 40, 4000, size // 40]))
    named = b"\\".join([_chosen(rng, _SETS)] * count)[: size // 2]
    text = _chosen(rng, _TEXTS)
    rest = size - len(named)
    tag = (0x00100010, 0x00204000, 0x00081080)[int(rng.integers(3))]
    if rng.random() < 0.5:
        texts = element(tag, "", text * (rest // len(text)))
    else:
        one = item(element(tag, "", text * 4))
        texts = element(0x00081140, "", one * (rest // len(one)))
    return head(vr=False) + element(0x00080005, "", named) + texts, IMPLICIT


def nests(rng: Rng, size: int) -> tuple[bytes, str]:
    """Sequences in sequences, with and without lengths and ends, around what is much."""
    vr = str(rng.choice(["SQ", "UN"]))
    depth = int(rng.choice([3, 60, 150, 190, 900, 5000]))
    inside = item(b"") * (size // 3 // 8)
    if rng.random() < 0.5:
        opened = element(0x00081140, vr, b"", size=_UNDEFINED) + item(b"", size=_UNDEFINED)
        depth = min(depth, size // len(opened) // 2)
        ends = b"" if rng.random() < 0.3 else (_END_OF_ITEM + _END) * depth
        return head() + opened * depth + element(0x00081140, vr, inside) + ends, EXPLICIT
    content = element(0x00081140, vr, inside)
    for _ in range(min(depth, 1000, size // 60)):
        content = element(0x00081140, vr, item(content))
    return head() + content, EXPLICIT


def items(rng: Rng, size: int) -> tuple[bytes, str]:
    """A sequence of very many items, or very many sequences."""
    syntax, explicit = _written(rng)
    inner = element(0x00280010, "US" if explicit else "", b"ab") * int(rng.integers(0, 3))
    undefined = rng.random() < 0.5
    one = item(inner + _END_OF_ITEM, size=_UNDEFINED) if undefined else item(inner)
    count = size // len(one) * (4 if syntax == DEFLATED else 1)
    vr = "SQ" if explicit else ""
    if rng.random() < 0.5:
        return head(explicit) + element(0x00081140, vr, one * count), syntax
    several = b"".join(element(tag, vr, one) for tag in private(count // 2))
    return head(explicit) + several, syntax


def without_end(rng: Rng, size: int) -> tuple[bytes, str]:
    """Values whose length is not said, whose end is missing, false or repeated."""
    vr = str(rng.choice(["OB", "UN", "OW", "UT", "SQ"]))
    filling = (b"\0", b"\xfe\xff", b"\xfe\xff\xdd\xe0\1\0\0\0", _END, item(b"ab"), _END_OF_ITEM)
    value = _chosen(rng, filling) * (size // 8)
    tail = _END if rng.random() < 0.5 else b""
    if rng.random() < 0.3:
        one = element(0x00291001, vr, b"", size=_UNDEFINED) + tail
        return head() + one * (size // len(one)), EXPLICIT
    return head() + element(0x00291001, vr, value[:size], size=_UNDEFINED) + tail, EXPLICIT


def pixels(rng: Rng, size: int) -> tuple[bytes, str]:
    """Pixels of fewer bytes than said, of absurd numbers of frames, in many fragments."""
    sides = (1, 2, 512, 4000, 32000, 65535)
    rows, columns = (int(rng.choice(sides)) for _ in range(2))
    frames = _chosen(rng, (b"", b"1 ", b"500000", b"268435456 ", b"9" * 400, b"-1", b"1e9 "))
    packed = rng.random() < 0.6
    numbers = {
        0x00280010: rows, 0x00280011: columns, 0x00280100: 16, 0x00280101: 16, 0x00280102: 15,
        0x00280103: 0,
    }  # fmt: skip
    parts = [head(), element(0x00280002, "US", b"\1\0"), element(0x00280004, "CS", b"MONOCHROME2 ")]
    parts += [element(0x00280008, "IS", frames)] * bool(frames)
    parts += [element(tag, "US", struct.pack("<H", number)) for tag, number in numbers.items()]
    if not packed:
        value = b"ab" * int(rng.choice([0, 4, size // 2]))
        return b"".join([*parts, element(0x7FE00010, "OW", value)]), EXPLICIT
    run = _chosen(rng, (b"\x81\0", b"\x80", b"\xff\0", b"\0\0", b"\x7f")) * (size // 16)
    segment = struct.pack("<16I", 2, 64, 64 + len(run), *([0] * 13)) + run + run
    fragments = item(segment) if rng.random() < 0.5 else item(b"") * (size // 8)
    value = item(b"\0" * int(rng.choice([0, 4, 4000]))) + fragments + _END
    return b"".join([*parts, element(0x7FE00010, "OB", value, size=_UNDEFINED)]), RLE


KINDS: tuple[Kind, ...] = (
    many_elements, many_values, character_sets, nests, items, without_end, pixels,
)  # fmt: skip


def heavy(kind: Kind, rng: Rng, size: int) -> bytes:
    """A file of a kind of about that size, and of 1 MiB at most."""
    while True:
        found = file(*kind(rng, size))
        if len(found) <= MOST_BYTES:
            return found
        size = size * 3 // 4


def any_heavy(whole: bytes, rng: Rng) -> bytes:
    """Put a heavy file of any kind in the place of a whole one, large ones more seldom."""
    size = int(2 ** rng.uniform(12, 20))
    return heavy(KINDS[int(rng.integers(len(KINDS)))], rng, size - 2000)
