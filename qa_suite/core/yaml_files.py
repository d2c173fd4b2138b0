"""YAML files that people write, read in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from qa_suite.core.errors import InputError


def read_yaml(path: Path) -> Any:
    """Read a file of YAML in UTF-8.

    Raises
    ------
    InputError
        If it is no YAML, or no text in UTF-8.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a readable YAML file: {reason}.") from None
