"""Files of lines that are appended and never edited, each with the digest of the one before.

A line that was changed, taken out or put in between is noticed. That the last lines were cut off
shows where something else names one of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from qa_suite.core import os_locks
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.plain_files import read_bytes

SHORT_DIGITS = 16
"""Of the digests in lines that were written when they were shorter."""

Line = TypeVar("Line", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Chain(Generic[Line]):
    """The lines of a file; ``problems`` are breaks of the chain, one sentence each."""

    path: Path
    lines: tuple[Line, ...] = ()
    digests: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The digest of the last line; empty where there is none."""
        return self.digests[-1] if self.digests else ""

    def knows(self, head: str) -> bool:
        """Whether a digest that was the last line's once is one of a line that is here."""
        return any(_is_of(head, digest) for digest in self.digests)


def append_line(path: Path, line: BaseModel) -> None:
    """Add a line, whose field ``before`` becomes the digest of the last one.

    One process writes at a time, and the line is on the disk when this returns.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with path.open("a+b") as stream, os_locks.alone(stream.fileno()):
        stream.seek(0)
        content = stream.read()
        before = _digest(content.splitlines()[-1]) if content.strip() else ""
        if content and not content.endswith(b"\n"):  # a line that was cut short stays alone
            stream.write(b"\n")
        data = line.model_copy(update={"before": before}).model_dump(mode="json")
        stream.write(json.dumps(data, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        stream.flush()  # before others may write
        os.fsync(stream.fileno())


def read_lines(path: Path, line_type: type[Line]) -> Chain[Line]:
    """Read the lines of a file and follow their chain; no file is an empty one, and no error."""
    try:
        content = read_bytes(path)
    except InputError:
        return Chain(path=path)
    lines: list[Line] = []
    digests: list[str] = []
    problems: list[str] = []
    before = ""
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = parse_json_model(raw, line_type, path)
        except QAError:
            problems.append(f"line {number} of {path} cannot be read")
        else:
            if not _is_of(getattr(line, "before", ""), before):
                problems.append(
                    f"line {number} of {path} does not follow the line before it: a line was "
                    f"changed, taken out or put in"
                )
            lines.append(line)
            digests.append(_digest(raw))
        before = _digest(raw)
    return Chain(path=path, lines=tuple(lines), digests=tuple(digests), problems=tuple(problems))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _is_of(said: str, digest: str) -> bool:
    """Whether what a line says is this digest, or the beginning of it that was written once."""
    return said == digest or (len(said) == SHORT_DIGITS and digest.startswith(said))
