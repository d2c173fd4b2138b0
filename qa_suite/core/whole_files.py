"""Files that others see whole or not at all, and that leave nothing behind where a disk is full."""

from __future__ import annotations

import contextlib
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


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, all at once or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
