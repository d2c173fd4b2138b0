"""YAML files that people write, read in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from qa_suite.core.errors import InputError


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
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_OneOfEachKey)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a readable YAML file: {reason}.") from None
