"""What pydantic refuses, in the words of the file that people wrote."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

_PLAIN = {
    "extra_forbidden": "unknown key",
    "model_type": "a block of keys is needed",
    "dict_type": "a block of keys is needed",
    "model_attributes_type": "a block of keys is needed",
    "list_type": "a list is needed",
    "tuple_type": "a list is needed",
    "set_type": "a list is needed",
    "frozen_set_type": "a list is needed",
    "string_type": "a text is needed",
    "path_type": "the path of a file or folder is needed",
    "none_required": "nothing is needed",
    "float_type": "a number is needed",
    "int_type": "a whole number is needed",
    "bool_type": "true or false is needed",
    "json_invalid": "it is no readable JSON",
}
"""Kinds of pydantic's errors whose own words speak of Python."""


def describe_validation(error: ValidationError) -> list[str]:
    """Turn pydantic's report into one plain sentence a place, in words of people, not of Python.

    What was given is quoted where it is a word or a number; of a whole block the place says enough.
    Where a value may be of several kinds, what each of them needs is said in one sentence.
    """
    return [sentence for _, sentence in placed_validation(error)]


def placed_validation(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Return the sentences of :func:`describe_validation`, each with its place in the data."""
    said: dict[tuple[tuple[str | int, ...], str], list[str]] = {}
    for item in error.errors():
        place = tuple(part for part in item["loc"] if _is_key(part))
        what = _PLAIN.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] in ("too_short", "too_long"):
            bounds = item.get("ctx", {})
            least, most = bounds.get("min_length"), bounds.get("max_length")
            wanted = f"at least {least}" if most is None else f"at most {most}"
            nouns = "item is" if 1 in (least, most) else "items are"
            what = f"{wanted} {nouns} needed, not {bounds.get('actual_length')}"
        if item["type"] == "string_too_short" and not str(item["input"]).strip():
            what = "it is blank"
        known = item["type"] != "missing" and isinstance(item["input"], (str, int, float))
        given = f" (got {str(item['input'])[:80]!r})" if known else ""
        whats = said.setdefault((place, given), [])
        if (words := f"{what[:1].lower()}{what[1:]}") not in whats:
            whats.append(words)
    return [
        (place, f"{name_of_place(place)}: {', or '.join(whats)}{given}")
        for (place, given), whats in said.items()
    ]


def name_of_place(place: Sequence[str | int]) -> str:
    """Say where something stands in a file, such as ``criteria.0.bound``."""
    return ".".join(str(part) for part in place) or "the file"


def in_words(error: Exception) -> str:
    """Say what an error says on one line, also where pydantic says it in Python's notation."""
    if isinstance(error, ValidationError):
        return "; ".join(describe_validation(error))
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is missing"
    return " ".join(str(error).split())


_KINDS = frozenset(
    {
        "float",
        "int",
        "str",
        "bool",
        "none",
        "constrained-float",
        "constrained-int",
        "constrained-str",
        "Limit",
        "Margin",
    }
)


def _is_key(part: int | str) -> bool:
    """Whether a part of a place is a key or a number, and not pydantic's name of a kind."""
    return isinstance(part, int) or not (part in _KINDS or "[" in part)
