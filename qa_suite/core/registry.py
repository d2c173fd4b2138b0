"""Names to facts, and names to functions and their facts: what everything registered stands in."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qa_suite.core.errors import UnknownName

F = TypeVar("F", bound=Callable[..., Any])
Facts = TypeVar("Facts")


@dataclass(frozen=True, kw_only=True)
class Declared(Generic[Facts]):
    """One declared thing: its name and the facts about it."""

    name: str
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Entry(Declared[Facts]):
    """One registered thing that is done by a function."""

    function: Callable[..., Any]


D = TypeVar("D", bound=Declared[Any])


class _Names(Generic[D]):
    """Names, each once.

    Parameters
    ----------
    kind
        What the entries are, in the singular (``"metric"``); used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, D] = {}

    def _enter(self, entry: D) -> None:
        self._require_free(entry.name)
        self._entries[entry.name] = entry

    def _require_free(self, name: str) -> None:
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice.")

    def __getitem__(self, name: str) -> D:
        if name not in self._entries:
            raise UnknownName(unknown_name(self.kind, name, list(self._entries)))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[D]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        return len(self._entries)


class Catalogue(_Names[Declared[Facts]]):
    """Names to facts alone, of what has no function of its own."""

    def declare(self, name: str, facts: Facts) -> None:
        """Enter the facts of a name, which must be new."""
        self._enter(Declared(name=name, facts=facts))


class Registry(_Names[Entry[Facts]]):
    """Names to functions and their facts."""

    def add(self, name: str, facts: Facts) -> Callable[[F], F]:
        """Register the decorated function under ``name`` and return it unchanged."""
        self._require_free(name)

        def register(function: F) -> F:
            self._enter(Entry(name=name, function=function, facts=facts))
            return function

        return register


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """Compose the sentence for a name that is not registered, with its close matches."""
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}."
    return f"Unknown {kind} {name!r}; {hint}"
