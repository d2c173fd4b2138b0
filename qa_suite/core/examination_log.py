"""The log beside the evaluations: what was locked, examined, judged, signed, released, and when.

One line of JSON each, appended and never edited. A line holds the digest of the line before it, so
that a line that was changed, taken out or put in between is noticed; that the last lines were cut
off shows where a verdict, a lock, a signature or the registry names one of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core import os_locks
from qa_suite.core.cohort import Case
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.records import ProfileTried
from qa_suite.core.records.measurement import STRICT

LOG_FILE = "examinations.jsonl"
_DIGITS = 16
"""Of a scan's digest, and of the digests in lines that were written when they were shorter."""
What = Literal[
    "locked", "examined", "recorded", "judged", "signed", "released", "overridden", "withdrawn"
]


class LogLine(BaseModel):
    """One event of the test cohort."""

    model_config = STRICT

    what: What
    at: str
    cohort: str
    cohort_digest: str
    split: str
    evaluation: str = ""
    folder: str = Field(default="", description="name of the evaluation's folder")
    model: str = ""
    weights_sha256: str | None = None
    cases: tuple[str, ...] = Field(
        default=(), description="what the held-out scans are known by, whatever the cohort's name"
    )
    evaluation_sha256: str = Field(default="", description="of evaluation.json, once it is written")
    verdict: str = ""
    profile: ProfileTried | None = None
    lock: str = ""
    who: str = Field(default="", description="name and role of the person, where one is known")
    signature: str = Field(default="", description="digest of the signature's file")
    meaning: str = Field(default="", description="of a signature")
    alias: str = Field(default="", description="of the registry that was moved")
    was: str = Field(default="", description="version that held the alias before; empty: none")
    now: str = Field(default="", description="version that holds it since; empty: none")
    because: str = ""
    before: str = Field(default="", description="digest of the line before")


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log as it lies on disk; ``problems`` are its breaks, one sentence each."""

    path: Path
    lines: tuple[LogLine, ...] = ()
    digests: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The digest of the last line; empty where there is none."""
        return self.digests[-1] if self.digests else ""

    def knows(self, head: str) -> bool:
        """Whether a digest that was the last line's once is one of a line that is here."""
        return any(_is_of(head, digest) for digest in self.digests)


def log_beside(folder: Path) -> Path:
    """Return where the log of an evaluation lies: in the folder that holds the evaluation."""
    return Path(folder).absolute().parent / LOG_FILE


def scans(cases: tuple[Case, ...]) -> tuple[str, ...]:
    """Return what scans are known by: the beginning of the hash of their source's voxels."""
    found = (case.voxel_hashes.get("source", "") for case in cases)
    return tuple(sorted(one[:_DIGITS] for one in found if one))


def append(path: Path, line: LogLine) -> str:
    """Add a line; return why it could not be added, or nothing.

    An examination is not stopped by a folder that cannot be written, but it says so.
    """
    try:
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
    except OSError as error:
        return f"{path.name} beside it cannot be written ({error.strerror})"
    return ""


def read_log(path: Path) -> Log:
    """Read a log and follow its chain; none is an empty one, and no error."""
    try:
        content = read_bytes(path)
    except InputError:
        return Log(path=path)
    lines, digests, problems = [], [], []
    before = ""
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = parse_json_model(raw, LogLine, path)
        except QAError:
            problems.append(f"line {number} of {path} cannot be read")
        else:
            if not _is_of(line.before, before):
                problems.append(
                    f"line {number} of {path} does not follow the line before it: a line was "
                    f"changed, taken out or put in"
                )
            lines.append(line)
            digests.append(_digest(raw))
        before = _digest(raw)
    return Log(path=path, lines=tuple(lines), digests=tuple(digests), problems=tuple(problems))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _is_of(said: str, digest: str) -> bool:
    """Whether what a line says is this digest, or the beginning of it that was written once."""
    return said == digest or (len(said) == _DIGITS and digest.startswith(said))
