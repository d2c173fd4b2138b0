"""Files of a folder that are numbered in the order they were written, and never overwritten."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.core.whole_files import place_new

_TRIES = 100


def numbered_paths(folder: Path, stem: str) -> list[Path]:
    """Return the files ``STEM-0001.json`` and so on of a folder, in their order."""
    found = sorted(Path(folder).glob(f"{stem}-*.json"), key=lambda path: number_in(path, stem))
    return [path for path in found if number_in(path, stem)]


def number_in(path: Path, stem: str) -> int:
    """Return the number in a file's name; 0 where it has none."""
    digits = path.stem.removeprefix(f"{stem}-")
    return int(digits) if path.stem.startswith(f"{stem}-") and digits.isdecimal() else 0


def write_numbered(folder: Path, stem: str, text_of: Callable[[int], str]) -> Path:
    """Write a text as the next file of a folder, whole or not at all; return its path.

    Whoever else does the same at the same time gets another number, and nothing is lost.

    Parameters
    ----------
    folder
        Made where it is not there.
    stem
        What the files are called before their number.
    text_of
        From the number to the file's text.

    Raises
    ------
    InputError
        If others take one number after the other.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{stem}.{uuid.uuid4().hex}.tmp"
    try:
        for _ in range(_TRIES):
            known = numbered_paths(folder, stem)
            number = 1 + (number_in(known[-1], stem) if known else 0)
            draft.write_text(text_of(number), encoding="utf-8", newline="\n")
            path = folder / f"{stem}-{number:04d}.json"
            try:
                place_new(draft, path)
            except FileExistsError:
                continue
            return path
    finally:
        draft.unlink(missing_ok=True)
    raise InputError(f"Others write into {folder} all the time; try again.")
