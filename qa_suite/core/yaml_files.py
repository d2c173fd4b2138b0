"""YAML files that people write, read in one way and within borders.

The data are blocks with words for keys, lists, texts, numbers, truths and nothing. A date is a
text; other kinds of objects that YAML can name are refused. So are files that are nested deeply,
and aliases that expand to more than anybody writes: a few lines of them can stand for more values
than there are atoms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from qa_suite.core import plain_files
from qa_suite.core.errors import InputError

TOO_DEEP = "it is nested too deeply"
MOST_DEPTH = 100
MOST_SHARED = 100_000
"""Values that all aliases of a file may stand for."""
MOST_BYTES = 4 << 20
_MOST_DIGITS = 100
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null"))
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Parses, in C where PyYAML was built with it."""


class _PlainData(LOADER):
    """Makes plain data, and refuses a key that is there twice, of which YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.YAMLError("a value is marked as a block of keys and is none")
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"a key must be a word, in line {line}")
            if (word := key.value) in seen and word != "<<":
                raise yaml.YAMLError(f"{word!r} is there twice, in lines {seen[word]} and {line}")
            seen[word] = line
        self.flatten_mapping(node)
        return {
            str(key.value): self.construct_object(value, deep=deep) for key, value in node.value
        }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode):
            if node.tag == f"{_TAG}timestamp":
                return node.value
            if node.tag in (f"{_TAG}int", f"{_TAG}float") and len(node.value) > _MOST_DIGITS:
                raise yaml.YAMLError(f"a number has {len(node.value)} digits")
            if node.tag not in _PLAIN:
                raise strange(node)
        elif node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise strange(node)
        return super().construct_object(node, deep=deep)


def strange(node: yaml.Node) -> yaml.YAMLError:
    """Return the error for a value of a kind that is no plain data."""
    assert node.start_mark is not None
    kind = str(node.tag).removeprefix(_TAG)
    return yaml.YAMLError(f"{kind} in line {node.start_mark.line + 1} is no text, number or list")


def read_yaml(path: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """Read a file of YAML in UTF-8.

    Parameters
    ----------
    path
        Of the file.
    most_bytes
        Its largest size.

    Raises
    ------
    InputError
        If it is no plain file, no YAML, no text in UTF-8, too large, nested too deeply, holds
        another kind of object or itself, or names a key twice.
    """
    return parse_yaml(read_text(path, most_bytes=most_bytes), path)


def parse_yaml(text: str, where: Path | str) -> Any:
    """Read YAML that is there already, as :func:`read_yaml` does; ``where`` names it in errors."""
    require_within_borders(text, where)
    try:
        data = yaml.load(text, Loader=_PlainData)
    except RecursionError:
        raise unreadable(where, TOO_DEEP) from None
    except Exception as error:  # a value of a kind that it is not may raise anything
        raise unreadable(where, str(error) or type(error).__name__) from None
    require_whole_letters(text, data, where)
    return data


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """Read a text in UTF-8, as :func:`qa_suite.core.plain_files.read_text` does."""
    return plain_files.read_text(path, most_bytes=most_bytes)


def require_within_borders(text: str, where: Path | str) -> None:
    """Refuse what is nested too deeply, or whose aliases stand for too much or for themselves.

    Raises
    ------
    InputError
        With the reason; also where it is no YAML.
    """
    sizes: dict[str, int] = {}  # of what has a name: values in it, aliases written out
    opened: list[tuple[str | None, int]] = []
    values = shared = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent):
                if event.anchor in {name for name, _ in opened}:
                    raise unreadable(where, f"'*{event.anchor}' holds itself")
                size = sizes.get(str(event.anchor), 1)
                values, shared = values + size, shared + size
                if shared > MOST_SHARED:
                    raise unreadable(where, f"its aliases stand for more than {MOST_SHARED} values")
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                opened.append((event.anchor, values))
                values += 1
                if len(opened) > MOST_DEPTH:
                    raise unreadable(where, TOO_DEEP)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                name, before = opened.pop()
                if name is not None:
                    sizes[name] = values - before
            elif isinstance(event, yaml.ScalarEvent):
                values += 1
                if event.anchor is not None:
                    sizes[event.anchor] = 1
    except InputError:
        raise
    except RecursionError:
        raise unreadable(where, TOO_DEEP) from None
    except Exception as error:
        raise unreadable(where, str(error) or type(error).__name__) from None


def require_whole_letters(text: str, data: Any, where: Path | str) -> None:
    """Refuse halves of letters, which can be written as escapes and never be saved again.

    Raises
    ------
    InputError
        If there are any.
    """
    waiting = [data] if "\\u" in text or "\\U" in text else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and not one.isascii():
            try:
                one.encode()
            except UnicodeEncodeError:
                raise unreadable(where, "an escape stands for half a letter") from None


def unreadable(path: Path | str, why: str) -> InputError:
    """Return the error for a file that is no YAML."""
    return InputError(f"{path} is not a readable YAML file: {' '.join(why.split())[:300]}.")
