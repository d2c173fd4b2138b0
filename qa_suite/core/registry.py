"""The one small registry that measures, segmenters, criteria and translators use."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qa_suite.core.errors import UnknownName

F = TypeVar("F", bound=Callable[..., Any])
Facts = TypeVar("Facts")


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[Facts]):
    """One registered thing: its name, the function behind it and the facts about it."""

    name: str
    function: Callable[..., Any]
    facts: Facts


class Registry(Generic[Facts]):
    """Names to functions and their facts.

    Parameters
    ----------
    kind
        What the entries are, in the singular (``"metric"``); used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[Facts]] = {}

    def add(self, name: str, facts: Facts) -> Callable[[F], F]:
        """Register the decorated function under ``name`` and return it unchanged."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice.")

        def register(function: F) -> F:
            self._entries[name] = Entry(name=name, function=function, facts=facts)
            return function

        return register

    def __getitem__(self, name: str) -> Entry[Facts]:
        if name not in self._entries:
            raise UnknownName(unknown_name(self.kind, name, list(self._entries)))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[Facts]]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        return len(self._entries)


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """Compose the sentence for a name that is not registered, with its close matches."""
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}."
    return f"Unknown {kind} {name!r}; {hint}"
