"""Verdicts about data, and failures of the run: what is kept, and what is tried again.

An image that is cut off, a translator that answers with NaN: that is how the data are, and the
same trial ends the same way. Memory that gave out, a full disk, a file that was gone for a moment,
a process that was ended from outside say nothing about a patient, and may not stand in a record.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

from qa_suite.core.errors import PassingFailure, QAError, Unfinished

_OF_DATA = frozenset(
    {errno.EINVAL, errno.EOVERFLOW, errno.EDOM, errno.ERANGE, errno.ENAMETOOLONG, errno.EILSEQ}
)
"""What the system says of numbers that a damaged header may hold, such as a negative offset."""

_OF_THE_RUN = (
    MemoryError,
    TimeoutError,
    ConnectionError,
    BrokenExecutor,
    PassingFailure,
    Unfinished,
)
_NAMES = frozenset(
    {"OutOfMemoryError", "AcceleratorError", "ConnectionError", "Timeout", "TimeoutExpired"}
)
"""Classes of packages that are not imported for this: of torch, requests and subprocess."""

_WORDS = re.compile(
    r"out of memory|(can't|cannot|can not|could not|unable to|failed to) allocate|bad_alloc"
    r"|\bCUDA error|CUBLAS_STATUS|CUDNN_STATUS|no space left|BFCArena",
    re.IGNORECASE,
)
"""What native code says of it in a RuntimeError. After a CUDA error the device answers nobody."""

KILLED = frozenset({-9, -15, 137, 143})
"""Exit statuses of a program that was ended from outside: SIGKILL and SIGTERM, and a shell's."""


def is_of_the_run(error: BaseException) -> bool:
    """Whether a failure, or what it was made from, says something about the run alone.

    Parameters
    ----------
    error
        Any; where it was raised from another, ``from None`` included, that one is looked at too.

    Examples
    --------
    >>> is_of_the_run(MemoryError()), is_of_the_run(ValueError("no number"))
    (True, False)
    """
    return any(_is_itself(one) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was made from, but none that merely came before it."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        retold = found.__suppress_context__ or isinstance(found, QAError)
        found = found.__cause__ or (found.__context__ if retold else None)


def _is_itself(error: BaseException) -> bool:
    if isinstance(error, _OF_THE_RUN):
        return True
    if isinstance(error, QAError):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno not in _OF_DATA
    if _NAMES & {kind.__name__ for kind in type(error).__mro__}:
        return True
    return isinstance(error, RuntimeError) and _WORDS.search(str(error)) is not None


def unfinished(what: str, error: BaseException) -> Unfinished:
    """Return how a command ends that met a failure of the run.

    Parameters
    ----------
    what
        What could not be done, as the beginning of a sentence.
    error
        The failure.
    """
    return Unfinished(
        f"{what}, for a reason of the run and not of the data ({why(error)}); when that is mended, "
        f"the same command carries on."
    )


_WAY_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give yourself the right"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs"),
}


def system_sentence(error: OSError) -> str:
    """Say what the system refused, with the file and the way out."""
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    file = "" if error.filename is None else f"{error.filename}: "
    way = _WAY_OUT.get(error.errno or 0)
    before = f"{way}, or " if way else ""
    return (
        f"{file}{reason[:1].lower()}{reason[1:].rstrip('.')}; {before}name another place, and the "
        f"same command carries on."
    )


def why(error: BaseException) -> str:
    """Say an error on one line, its kind before it where the words are not our own."""
    text = " ".join(str(error).split())
    if isinstance(error, QAError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
