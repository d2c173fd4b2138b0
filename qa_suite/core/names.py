"""Names of cases, patients, sites, cohorts and models: one rule, whichever door they come by.

A name becomes a file, a folder, a column, a row of a page and a part of an address. So it is one
line of characters that can be seen, of a length that every file system takes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from qa_suite.core.errors import raise_problems

LONGEST_NAME = 200
"""Bytes of a name: it becomes the name of a file, with endings, of at most 255."""

_SEPARATORS = "/\\"
_SHOWN = 80
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)


def name_problems(name: str) -> list[str]:
    """Say why a text is no name; nothing where it is one."""
    problems = []
    if not name.strip():
        problems.append("it is empty")
    elif name != name.strip():
        problems.append("it begins or ends with a space")
    if name.startswith("."):
        problems.append("it begins with a dot, as hidden files and the names of folders do")
    if _DEVICES.fullmatch(name):
        problems.append("it is the name of a device under Windows")
    if separators := sorted({c for c in name if c in _SEPARATORS}):
        problems.append(f"it holds {' '.join(separators)}, which separate folders")
    if unseen := sorted({c for c in name if not c.isprintable()}):
        shown = ", ".join(f"U+{ord(c):04X}" for c in unseen[:5])
        problems.append(f"it holds characters that cannot be seen or turn the writing ({shown})")
    if (length := len(name.encode(errors="replace"))) > LONGEST_NAME:
        problems.append(f"it has {length} bytes; {LONGEST_NAME} are the most")
    return problems


def require_name(name: str, what: str) -> str:
    """Return a name that may be one.

    Parameters
    ----------
    name
        As it was given.
    what
        Whose, for the message: ``"model"``, ``"site"``.

    Raises
    ------
    Problems
        With every reason why it cannot be one.
    """
    raise_problems(f"The {what} name {name[:_SHOWN]!r}", name_problems(name))
    return name


def plain_name(text: str, longest: int = LONGEST_NAME) -> str:
    """Return the name that a text from a header, or made of other names, comes nearest to.

    Examples
    --------
    >>> plain_name(" St. Mary/Radiology ")
    'St. Mary Radiology'
    """
    seen = "".join(c if c.isprintable() else " " for c in text)
    name = re.sub(r"[/\\\s]+", " ", seen).strip().lstrip(". ")
    if _DEVICES.fullmatch(name):
        name = f"site {name}"
    while len(name.encode()) > longest:
        name = name[:-1].rstrip()
    return name or "unknown"


def look_alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different names that some file system or reader takes for one."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other != name:
            pairs.append((other, name))
    return pairs
