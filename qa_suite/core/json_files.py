"""JSON from outside, read in one way and within borders.

Stricter than Python's own reader, which takes ``NaN``, the last of two equal keys and halves of
letters: what is read here can be written, hashed and read again by anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.plain_files import MOST_BYTES, read_bytes
from qa_suite.core.validation import describe_validation, in_words

MOST_DEPTH = 100
_HALF_A_LETTER = re.compile(r"\\u[dD][89a-fA-F]")

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """Read a file of JSON in UTF-8.

    Raises
    ------
    InputError
        If it is no plain file, too large, or as :func:`parse_json`.
    """
    return parse_json(read_bytes(path, most_bytes=most_bytes), path)


def parse_json(text: str | bytes, where: Path | str) -> Any:
    """Read JSON that is there already; ``where`` names it in errors.

    Raises
    ------
    InputError
        If it is no JSON in UTF-8, nested too deeply, names a key twice, or holds a number or a
        text that JSON has not.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError:
        raise _unreadable(where, "it is no text in UTF-8") from None
    try:
        data = json.loads(text, object_pairs_hook=_block, parse_constant=_no_number)
    except RecursionError:
        raise _unreadable(where, "it is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(where, in_words(error)) from None
    if text.count("[") + text.count("{") > MOST_DEPTH and _depth(data) > MOST_DEPTH:
        raise _unreadable(where, "it is nested too deeply")
    if _HALF_A_LETTER.search(text) and not all(map(_is_text, _texts(data))):
        raise _unreadable(where, "an escape stands for half a letter")
    return data


def read_json_model(path: Path, model_type: type[Model], *, most_bytes: int = MOST_BYTES) -> Model:
    """Read a file of JSON that holds one record.

    Raises
    ------
    InputError
        As :func:`read_json`.
    Problems
        If it is not the record asked for; all differences are named.
    """
    return parse_json_model(read_bytes(path, most_bytes=most_bytes), model_type, path)


def parse_json_model(
    text: str | bytes, model_type: type[Model], where: Path | str, *, strict: bool | None = None
) -> Model:
    """Read one record from JSON that is there already; as :func:`read_json_model`.

    Raises
    ------
    InputError
        As :func:`parse_json`.
    Problems
        If it is not the record asked for; all differences are named.
    """
    parse_json(text, where)
    try:
        return model_type.model_validate_json(text, strict=strict)
    except ValidationError as error:
        raise Problems(str(where), describe_validation(error)) from None


def _block(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    block = dict(pairs)
    if len(block) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"{key[:80]!r} is there twice")
            seen.add(key)
    return block


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _depth(data: Any) -> int:
    """Return how deeply data are nested."""
    level, depth = [data], 0
    while level := [one for one in level if isinstance(one, (dict, list))]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


def _texts(data: Any) -> Iterator[str]:
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            yield one


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(where: Path | str, why: str) -> InputError:
    return InputError(f"{where} is no readable JSON: {' '.join(why.split())[:160]}.")


def pretty(data: Any) -> str:
    """Return plain data as JSON for people."""
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
