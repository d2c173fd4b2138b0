"""Code that is no part of the suite, and the digest by which somebody says that it may be run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.plain_files import is_file, sha256_of
from qa_suite.core.record_names import digest_of

TRUST_HELP = "sha256:… of a foreign program or pyfunc that may be run; may be repeated."
_MARK = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BETWEEN = re.compile(r"[\s=,;:'\"()|&<>]+")
_MOST_FILES = 10_000


class ForeignCode(BaseModel):
    """What would be run that is not of the installed suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str = Field(pattern=_DIGEST.pattern, description="over the code and what it is given")
    runs: str = Field(min_length=1, description="the program with its arguments, or whose pyfunc")


def read_trust(words: Iterable[str]) -> tuple[str, ...]:
    """Read the digests of what somebody trusts.

    Raises
    ------
    Problems
        With one sentence for each that is none.
    """
    given = tuple(words)
    raise_problems(
        "What is trusted (--trust)",
        [
            f"{word!r} is no digest: sha256: and 64 digits from 0 to f"
            for word in given
            if not _DIGEST.fullmatch(word)
        ],
    )
    return given


def require_trusted(code: ForeignCode | None, trust: Sequence[str], *, who: str) -> None:
    """Refuse to run foreign code whose digest nobody gave.

    Raises
    ------
    InputError
        With what would be run, and the digest by which it may.
    """
    if code is None or code.digest in trust:
        return
    other = f" (given: {', '.join(trust)})" if trust else ""
    raise InputError(
        f"{who} would run what is no part of this suite: {code.runs}; if you know whose it is and "
        f"want it to run here, say --trust {code.digest}{other}."
    )


def code_of_command(
    command: Sequence[str], *, files: Mapping[str, str], **more: str
) -> ForeignCode:
    """Return the code that a command runs, with the digest over its words and files.

    Parameters
    ----------
    command
        Program and arguments; a program without a folder must be resolved already.
    files
        SHA-256 of what it names, see :func:`named_files`.
    **more
        What else decides what is run, such as the image of a container.
    """
    return ForeignCode(
        digest=_MARK + digest_of({"command": list(command), "files": dict(files), **more}),
        runs=" ".join([*more.values(), *command]),
    )


def code_of_pyfunc(uri: str, digest: str, code: str) -> ForeignCode:
    """Return the code of a model that MLflow loads: all of its artifact, since any of it may run.

    Parameters
    ----------
    uri
        Of the model.
    digest
        Over all its files, see :func:`qa_suite.core.model_files.digest_over`.
    code
        What MLflow would import first.
    """
    return ForeignCode(digest=_MARK + digest, runs=f"the pyfunc of {uri} ({code})")


def named_files(command: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of every file that a command names, by its path as it is written there.

    Files are looked for in every word, and in every part of one: after an equals sign, behind
    the letter of an option, in a list, and in the line of a shell. Of a folder all files count.

    Raises
    ------
    InputError
        If a folder holds more files than anybody can have meant.
    """
    found: dict[str, str] = {}
    for part in dict.fromkeys(part for word in command for part in _parts(word)):
        found |= _files_at(part)
    return found


def _parts(word: str) -> list[str]:
    parts = [word, *_BETWEEN.split(word)]
    attached = [part[part.index("/") :] for part in parts if "/" in part]
    return [part for part in (*parts, *attached) if part not in ("", ".", "/")]


def _files_at(written: str) -> dict[str, str]:
    path = Path(written)
    if is_file(path):
        return {written: sha256_of(path)}
    try:
        inside = list(islice(path.rglob("*"), _MOST_FILES + 1))
    except (OSError, ValueError):  # ValueError: a word with a zero byte
        return {}
    if len(inside) > _MOST_FILES:
        raise InputError(
            f"A command names the folder {written}, which holds more than {_MOST_FILES} files, all "
            f"of which its digest would cover; name the files that it needs."
        )
    return {
        f"{written}/{one.relative_to(path).as_posix()}": sha256_of(one)
        for one in sorted(inside)
        if is_file(one) and "__pycache__" not in one.parts
    }
