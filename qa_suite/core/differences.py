"""Where two pieces of plain data differ, each place with both values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

ABSENT: Final = object()
_LONGEST = 60
_RELATIVE = 1e-9  # processors round differently


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place, and what stands there in the one and in the other."""

    place: str
    one: Any
    other: Any

    @property
    def words(self) -> tuple[str, str]:
        """Both values as people read them; 'nothing' where there is none."""
        return brief(self.one), brief(self.other)


def differences_of(one: Any, other: Any, place: str = "") -> Iterator[Difference]:
    """Yield each place where plain data differ; numbers are alike up to the ninth digit."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            inside = f"{place}.{key}" if place else str(key)
            yield from differences_of(one.get(key, ABSENT), other.get(key, ABSENT), inside)
    elif not _alike(one, other):
        yield Difference(place=place, one=one, other=other)


def _alike(one: Any, other: Any) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (one, other))
    if numbers:
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return all(not list(differences_of(a, b)) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def by_name(items: list[dict[str, Any]], *keys: str) -> dict[str, Any]:
    """Return a list of blocks by the names that tell them apart, so that one more moves none."""
    found: dict[str, Any] = {}
    for item in items:
        name = ", ".join(str(item[key]) for key in keys)
        while name in found:
            name += " (again)"
        found[name] = item
    return found


def brief(value: Any) -> str:
    """Write a value on few characters."""
    if value is ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
