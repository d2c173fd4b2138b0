"""A YAML file as it is written: its data, the line of everything in it, and what is ambiguous.

For files that decide something, such as criteria. YAML lets one write what reads otherwise than it
looks: a key twice (the last counts), an alias whose value stands elsewhere, ``010`` that is 8,
``1:30`` that is 90. Such things are problems here, each with its line, and the rest is read on so
that everything that is wrong can be said at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qa_suite.core.errors import InputError
from qa_suite.core.yaml_files import (
    LOADER,
    TOO_DEEP,
    read_text,
    require_whole_letters,
    strange,
    unreadable,
)

Place = tuple[str | int, ...]
"""Keys and list positions from the top of a file to a value."""
_MOST_NODES = 100_000  # of what aliases expand to
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9]\d*|(?:0|[1-9]\d*)?\.\d+|(?:0|[1-9]\d*)\.)(?:[eE][-+]?\d+)?")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, kw_only=True)
class Said:
    """One thing to say about a file: where it stands, and the sentence."""

    line: int
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file of YAML.

    Parameters
    ----------
    data
        Blocks, lists, texts, numbers, truths and nothing; every key is a text, dates are texts.
    lines
        Place to line, counted from 1; of a key twice the last one.
    problems
        What reads otherwise than it looks.
    """

    data: Any
    lines: dict[Place, int]
    problems: tuple[Said, ...]

    def line_of(self, place: Place) -> int:
        """Return the line of a place, or of the nearest one around it that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_as_written(path: Path) -> Written:
    """Read a file of YAML with its lines.

    Raises
    ------
    InputError
        If it is no YAML, no text in UTF-8, holds another kind of object, or is endless.
    """
    text = read_text(path)
    reader = _Reader(text)
    try:
        data = reader.read()
    except RecursionError:
        raise unreadable(path, TOO_DEEP) from None
    except _TooLarge:
        raise InputError(
            f"{path} holds more than {_MOST_NODES} values, or holds itself; write it out plainly."
        ) from None
    except Exception as error:  # a value of a kind that it is not may raise anything
        raise unreadable(path, str(error) or type(error).__name__) from None
    require_whole_letters(text, data, path)
    problems = sorted([*_shared(text), *reader.problems], key=lambda one: one.line)
    return Written(data=data, lines=reader.lines, problems=tuple(problems))


class _TooLarge(Exception):
    pass


@dataclass
class _Reader:
    text: str
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Said] = field(default_factory=list)
    _count: int = 0

    def read(self) -> Any:
        self._loader = LOADER(self.text)
        try:
            node = self._loader.get_single_node()
            return None if node is None else self._value(node, ())
        finally:
            self._loader.dispose()

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._count += 1
        if self._count > _MOST_NODES or len(place) > 100:
            raise _TooLarge
        self.lines.setdefault(place, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._block(node, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._value(item, (*place, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _block(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._say(key, "a key must be a word")
                continue
            word = str(key.value)
            if key.tag == f"{_TAG}merge":
                self._say(key, "'<<' takes values from elsewhere; write each where it belongs")
                continue
            if word in seen:
                self._say(key, f"{word!r} is there twice, in lines {seen[word]} and {_line(key)}")
            seen[word] = self.lines[(*place, word)] = _line(key)
            found[word] = self._value(value, (*place, word))
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if not isinstance(node, yaml.ScalarNode):
            raise strange(node)
        if kind == "timestamp":
            return node.value
        odd = kind in ("int", "float") and not _DECIMAL.fullmatch(node.value)
        if odd and node.value.lstrip("+-").lower() not in (".inf", ".nan"):
            self._say(node, f"{node.value!r} is no plain decimal number; write it as one")
        if kind == "bool" and node.value.lower() not in ("true", "false"):
            truth = str(self._loader.construct_object(node, deep=True)).lower()
            self._say(node, f"{node.value!r} is read as {truth}; write that, or put it in quotes")
        if kind not in ("str", "int", "float", "bool", "null"):
            raise strange(node)
        return self._loader.construct_object(node, deep=True)

    def _say(self, node: yaml.Node, sentence: str) -> None:
        self.problems.append(Said(line=_line(node), sentence=sentence))


def _line(node: yaml.Node) -> int:
    assert node.start_mark is not None
    return node.start_mark.line + 1


def _shared(text: str) -> Iterator[Said]:
    """Name every alias: what it stands for is written elsewhere."""
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            assert event.start_mark is not None
            yield Said(
                line=event.start_mark.line + 1,
                sentence=f"'*{event.anchor}' stands for what is written elsewhere; write it out",
            )
