"""What one element may ask of its reader: a border inside pydicom, at every depth of a file.

pydicom converts each element through two functions that may be replaced; those of here say how
long values are meant, refuse what makes reading quadratic, and add up what a packed file asks for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.hooks import hooks, raw_element_value, raw_element_vr

MOST_CHARACTER_SETS = 16
"""That one element may name; the standard knows a dozen (PS3.3, C.12.1.1.2)."""
_CHARACTER_SETS = 0x00080005
_SHORT_LENGTH = 0xFFFF
_OF_SHORT_LENGTH = frozenset(
    "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # noqa: SIM905
)
"""Kinds whose length has 16 bits: what is longer is written as of unknown kind (PS3.5, 6.2.2)."""
_ELEMENT_S, _SEQUENCE_S, _ESCAPE_S = 10e-6, 40e-6, 4e-6
_VALUE_S = {"PN": 10e-6, "IS": 4e-6, "UI": 4e-6, "DS": 2e-6}
_OTHER_VALUE_S = 0.3e-6


class TooMuch(Exception):
    """An element, or all of them, ask for more than a file may."""


class _Left(threading.local):
    """What the file that a thread reads may still ask for, in seconds of a usual processor."""

    seconds = float("inf")


_left = _Left()


@contextmanager
def asking_at_most(seconds: float) -> Iterator[None]:
    """Let the elements that are converted in the block ask for so many seconds in all.

    They are reckoned from number and kind of the values, not measured, so that a file is read or
    refused alike on every machine.

    Raises
    ------
    TooMuch
        From within pydicom, at the element with which it is more.
    """
    before, _left.seconds = _left.seconds, seconds
    try:
        yield
    finally:
        _left.seconds = before


def _kind(raw: Any, data: dict[str, Any], **more: Any) -> None:
    raw_element_vr(raw, data, **more)
    if data["VR"] != "UN" or raw.tag.is_private or len(raw.value or b"") < _SHORT_LENGTH:
        return
    try:
        known = dictionary_VR(raw.tag)
    except KeyError:
        return
    if known in _OF_SHORT_LENGTH:
        data["VR"] = known


def _value(raw: Any, data: dict[str, Any], **more: Any) -> None:
    said = raw.value if isinstance(raw.value, bytes) else b""
    values = said.count(b"\\")
    if raw.tag == _CHARACTER_SETS and values >= MOST_CHARACTER_SETS:
        raise TooMuch(f"a file that names {values + 1} character sets")
    asked = (_SEQUENCE_S if data["VR"] == "SQ" else _ELEMENT_S) + values * _VALUE_S.get(
        data["VR"], _OTHER_VALUE_S
    )
    _left.seconds -= asked + _ESCAPE_S * said.count(b"\x1b")
    if _left.seconds < 0:
        raise TooMuch("a file whose elements have more values than its size can mean")
    raw_element_value(raw, data, **more)


hooks.register_callback("raw_element_vr", _kind)
hooks.register_callback("raw_element_value", _value)
