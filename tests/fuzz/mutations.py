"""How an input is spoilt: bytes, fields of a header, elements of DICOM, values of YAML and JSON."""

from __future__ import annotations

import copy
import datetime
import io
import json
import struct
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]

NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (
    "", " ", "-1", "0", "1", "3", "1e9", "1e400", "-1e-400", "nan", "inf", "-inf", "0x1F", "010",
    "99999999999999999999", "2147483648", "1 1 1", "1 1 1 1", "nan nan nan", "true", "yes", "null",
    "LOCAL", "LIST", "/dev/zero", "../../etc/passwd", "x%03d.raw 1 3 1", "a/b", "\x7f", "é", "𝄞",
    "\u202e", "\x00", "\ufeff", "A" * 5000, "9" * 5000, "1:" * 500 + "1", "0,0,0", "(1,0)", "none",
)  # fmt: skip
TAGGED = (
    "!!binary aGVsbG8=", "!!set {a, b}", "!!omap [a: 1]", "!!timestamp 2026-01-01", "2026-02-31",
    "2026-01-01", "2026-01-01 10:00:00", "!!timestamp x", "!!bool maybe", "!!int x", "!!float x",
    "!!int ''", "!!null x", "!!str [a]", "!!map x", "!!seq x", "!!python/name:os.system", "!x y",
    "&a [*a]", "&a {b: *a}", "{[1]: 2}", "{{a: 1}: 2}", "{1: a, '1': b}", "? ", "<<: {a: 1}",
    "{<<: {a: 1}}", "{<<: [1]}", "[" * 300, "{a: " * 300, '"\\ud800"', '"\\x00"', "|\n  text", "*b",
    "1:30:30", "1_000", "0b11", "~", ".inf", ".nan", "-", "- - - -", "!", "&", "*", "%YAML 9.9",
)  # fmt: skip
PLAIN: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**64, 10**30, 10**400, 1e308, -0.0, 1e-320, float("nan"),
    float("inf"), "", " ", "a/b", "../x", "/dev/zero", "/etc/passwd", "é", "\u202e", "\x00", "\n",
    "1", "2026-01-01", "x" * 5000, [], {}, [None], [[]], {"": None}, {"a": {"b": [1]}}, [1, "a"],
)  # fmt: skip
_ODD: tuple[Any, ...] = (datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, 1), b"\x00\xff")


def spoilt_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, set, cut, repeat, insert, splice; half of the places lie near the beginning."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = len(found)
        near = rng.random() < 0.5
        at = int(rng.integers(0, max(min(size, 600) if near else size, 1)))
        length = int(rng.integers(1, 64))
        match int(rng.integers(0, 9)):
            case 0 | 1 | 2 if size:
                found[at] ^= 1 << int(rng.integers(0, 8))
            case 3 if size:
                found[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x0A]))
            case 4:
                del found[at:]
            case 5:
                del found[at : at + length]
            case 6:
                found[at:at] = found[at : at + length] or b"\0"
            case 7:
                found[at:at] = rng.bytes(length)
            case _:
                kind = str(rng.choice(["<h", ">h", "<i", ">i", "<q", ">q", "<f", "<d"]))
                number = NUMBERS[int(rng.integers(len(NUMBERS)))]
                packed = _packed(kind, number)
                found[at : at + len(packed)] = packed
    return bytes(found)


def _packed(kind: str, number: int) -> bytes:
    if kind[1] in "fd":
        value = (float("nan"), float("inf"), -1.0, 1e30, 0.0)[number % 5]
        return struct.pack(kind, value)
    bits = 8 * struct.calcsize(kind)
    whole = number % 2**bits
    return whole.to_bytes(bits // 8, "little" if kind[0] == "<" else "big")


def spoilt_lines(data: bytes, rng: Rng, *, parted_by: bytes = b"=") -> bytes:
    """Change a value, or take out, repeat or swap lines, of a header or a table."""
    head, rest = data[:2000], data[2000:]
    lines = head.split(b"\n")
    at = int(rng.integers(0, min(len(lines), 16)))
    word = _word(rng).encode("utf-8", "surrogatepass")
    match int(rng.integers(0, 6)):
        case 0 | 1:
            key, sign, _ = lines[at].partition(parted_by)
            lines[at] = key + sign + b" " + word
        case 2:
            cells = lines[at].split(b" " if parted_by in (b"=", b":") else parted_by)
            cells[int(rng.integers(len(cells)))] = word
            lines[at] = (b" " if parted_by in (b"=", b":") else parted_by).join(cells)
        case 3:
            del lines[at]
        case 4:
            lines.insert(at, lines[int(rng.integers(len(lines)))])
        case _:
            other = int(rng.integers(len(lines)))
            lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines) + rest


def _word(rng: Rng) -> str:
    return WORDS[int(rng.integers(len(WORDS)))]


def _places(data: Any) -> list[tuple[Any, Any]]:
    """List every container and key below data."""
    found = []
    waiting = [data]
    while waiting:
        one = waiting.pop()
        keys: Any = one if isinstance(one, dict) else range(len(one))
        for key in list(keys):
            found.append((one, key))
            if isinstance(one[key], (dict, list)):
                waiting.append(one[key])
    return found


def spoilt_data(data: Any, rng: Rng, values: tuple[Any, ...]) -> Any:
    """Replace, take out, repeat, rename or wrap one to three values."""
    data = copy.deepcopy(data)
    for _ in range(int(rng.integers(1, 4))):
        places = _places(data)
        if not places:
            return data
        holder, key = places[int(rng.integers(len(places)))]
        value = values[int(rng.integers(len(values)))]
        match int(rng.integers(0, 7)):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(value)
            case 3:
                del holder[key]
            case 4 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case 4 | 5 if isinstance(holder, dict):
                holder[_word(rng)[:40]] = holder.pop(key)
            case _:
                holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    return data


def spoilt_json(data: bytes, rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return spoilt_bytes(data, rng)
    text = json.dumps(spoilt_data(json.loads(data), rng, PLAIN))
    if rng.random() < 0.2:
        odd = ('"\\ud800"', "NaN", "1e999", "9" * 5000, "[" * 2000, '{"a":1,"a":2}', "1e-999")
        parts = text.split('"')
        parts[int(rng.integers(len(parts)))] = odd[int(rng.integers(len(odd)))]
        text = '"'.join(parts)
    return text.encode()


def spoilt_json_lines(data: bytes, rng: Rng) -> bytes:
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    if lines[at].strip():
        lines[at] = spoilt_json(lines[at], rng)
    return b"\n".join(lines)


def spoilt_yaml(data: bytes, rng: Rng) -> bytes:
    draw = rng.random()
    if draw < 0.2:
        return spoilt_bytes(data, rng)
    if draw < 0.6:
        found = spoilt_data(yaml.safe_load(data), rng, (*PLAIN[:-1], *_ODD))
        return yaml.safe_dump(found, sort_keys=False, allow_unicode=True).encode()
    lines = data.decode().split("\n")
    at = int(rng.integers(len(lines)))
    value = TAGGED[int(rng.integers(len(TAGGED)))]
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}: {value}" if colon else f"{lines[at]} {value}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def spoilt_dicom(data: bytes, rng: Rng) -> bytes:
    """Change one to three elements, of sequences too; or bytes."""
    if rng.random() < 0.5:
        return spoilt_bytes(data, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _spoilt_elements(data, rng)


def _spoilt_elements(data: bytes, rng: Rng) -> bytes:
    import pydicom

    whole = pydicom.dcmread(io.BytesIO(data))
    for _ in range(int(rng.integers(1, 4))):
        elements = [(whole, element) for element in whole]
        for _, element in elements:
            if element.VR == "SQ":
                elements += [(item, inner) for item in element.value for inner in item]
        dataset, element = elements[int(rng.integers(len(elements)))]
        try:
            if element.VR == "SQ" and rng.random() < 0.7:
                item = element.value[0] if element.value else pydicom.Dataset()
                element.value = [*element.value, item] if rng.random() < 0.5 else []
            elif rng.random() < 0.3:
                del dataset[element.tag]
            else:
                element.value = _dicom_value(element.VR, rng)
        except Exception:  # a value that pydicom does not write
            continue
    stream = io.BytesIO()
    try:
        whole.save_as(stream)
    except Exception:
        return spoilt_bytes(data, rng)
    return stream.getvalue()


def _dicom_value(vr: str, rng: Rng) -> Any:
    numbers = [NUMBERS[int(rng.integers(len(NUMBERS)))] for _ in range(int(rng.integers(1, 4)))]
    if vr in ("US", "SS", "UL", "SL"):
        return numbers[0] % 65536
    if vr in ("FD", "FL"):
        return [float("nan"), float("inf"), -1.0, 0.0, 1e30][int(rng.integers(5))]
    if vr in ("DS", "IS"):
        return [numbers, numbers[0], "", None][int(rng.integers(4))]
    if vr in ("OB", "OW", "UN"):
        return rng.bytes(int(rng.integers(0, 64)) * 2)
    return _word(rng)[:64]


def within(inner: Mutation, unwrap: Callable[[bytes], bytes], wrap: Callable[[bytes], bytes]) -> (
    Mutation
):  # fmt: skip
    """Spoil what is packed, three times of four, and else the package."""

    def spoil(data: bytes, rng: Rng) -> bytes:
        if rng.random() < 0.25:
            return spoilt_bytes(data, rng)
        return wrap(inner(unwrap(data), rng))

    return spoil


def either(*mutations: Mutation) -> Mutation:
    """Take one of several ways at random."""

    def spoil(data: bytes, rng: Rng) -> bytes:
        return mutations[int(rng.integers(len(mutations)))](data, rng)

    return spoil
