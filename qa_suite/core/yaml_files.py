"""YAML files that people write, read in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from qa_suite.core.errors import InputError

TOO_DEEP = "it is nested too deeply"


class _OneOfEachKey(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML itself would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if (word := key.value) in seen and isinstance(key, yaml.ScalarNode) and word != "<<":
                raise yaml.YAMLError(f"{word!r} is there twice, in lines {seen[word]} and {line}")
            if isinstance(key, yaml.ScalarNode):
                seen[word] = line
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Any:
    """Read a file of YAML in UTF-8.

    Raises
    ------
    InputError
        If it is no YAML, no text in UTF-8, or names a key twice.
    """
    text = read_text(path)
    try:
        return yaml.load(text, Loader=_OneOfEachKey)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-02-31
        raise unreadable(path, str(error)) from None
    except RecursionError:
        raise unreadable(path, TOO_DEEP) from None


def read_text(path: Path) -> str:
    """Read a text in UTF-8.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8.") from None


def unreadable(path: Path, why: str) -> InputError:
    """Return the error for a file that is no YAML."""
    return InputError(f"{path} is not a readable YAML file: {' '.join(why.split())}.")
