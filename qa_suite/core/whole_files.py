"""Files that others see whole or not at all, and that leave nothing behind where a disk is full."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, ending: str = ".tmp") -> Iterator[Path]:
    """Give the block a file to write in the place of another, which it becomes at the end.

    Parameters
    ----------
    path
        What it becomes; its folder is made.
    ending
        Of the draft, where whoever writes it tells the format by the name.

    Raises
    ------
    OSError
        If it cannot be written; the draft is gone then, and ``path`` as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name.removesuffix(ending)}.tmp{ending.removeprefix('.tmp')}")
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def place_new(draft: Path, path: Path) -> None:
    """Give a finished file its name.

    Raises
    ------
    FileExistsError
        If the name is taken; nothing is ever put in the place of another.
    """
    try:
        os.link(draft, path)  # fails where the name is taken, unlike a rename
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("xb") as stream:
            stream.write(draft.read_bytes())


def append_bytes(path: Path, content: bytes) -> None:
    """Append to a file, all of it or nothing: what cannot be written whole is taken back.

    Raises
    ------
    OSError
        If it cannot be written; the file is as long as before then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as stream:
        before = os.fstat(stream.fileno()).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                stream.truncate(before)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, all at once or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file all at once or not at all."""
    with replacing(path) as draft:
        draft.write_bytes(content)
