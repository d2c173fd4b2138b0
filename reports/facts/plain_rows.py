"""Settings and other nested facts as rows that people read: a name and a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qa_suite.core.wording import stated

_STEP = " › "
_NOTHING = "none"


def plain_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return nested facts as rows, each with the way to it as its name, in the order of names.

    Examples
    --------
    >>> plain_rows({"bands": {"bone": [250, None]}, "split": "test", "dose": {}})
    [('bands › bone', '250, none'), ('dose', 'none'), ('split', 'test')]
    """
    return list(_rows(data, ""))


def _rows(data: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, Mapping) and data:
        for key, value in sorted(data.items(), key=lambda item: str(item[0])):
            yield from _rows(value, f"{name}{_STEP}{key}" if name else str(key))
    elif isinstance(data, list | tuple) and any(isinstance(one, Mapping) for one in data):
        for place, value in enumerate(data, start=1):
            yield from _rows(value, f"{name}{_STEP}{place}")
    else:
        yield name, _value(data)


def _value(value: Any) -> str:
    if value is None or (isinstance(value, Mapping | list | tuple | str) and not value):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, float):
        return stated(value) if value == value else "not a number"
    return str(value)
