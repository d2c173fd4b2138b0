"""The log beside the evaluations: what was locked, examined, judged, signed, released, and when.

One line of JSON each, appended and never edited. A line holds the digest of the line before it, so
that a line that was changed, taken out or put in between is noticed; that the last lines were cut
off shows where a verdict, a lock, a signature or the registry names one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.chained_lines import Chain, append_line, read_lines
from qa_suite.core.cohort import Case
from qa_suite.core.records import ProfileTried
from qa_suite.core.records.measurement import STRICT

LOG_FILE = "examinations.jsonl"
_DIGITS = 16
What = Literal[
    "locked",
    "examined",
    "recorded",
    "judged",
    "looked",
    "signed",
    "released",
    "overridden",
    "withdrawn",
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


Log = Chain[LogLine]


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
        append_line(path, line)
    except OSError as error:
        return f"{path.name} beside it cannot be written ({error.strerror})"
    return ""


def read_log(path: Path) -> Log:
    """Read a log and follow its chain; none is an empty one, and no error."""
    return read_lines(path, LogLine)
