"""Locks of the operating system on open files: they end with the process that holds them.

The one place that knows how a system does it, so that nothing else needs a module that only one
system has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator

_POLL_S = 0.01
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""What a file system says that has no locks, such as some network drives."""


def take(handle: int, *, longest_s: float = 0.0) -> bool:
    """Lock an open file for this process alone; return whether it is.

    Parameters
    ----------
    handle
        File descriptor, open for writing.
    longest_s
        How long to wait for another process that holds it.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    end = time.monotonic() + longest_s
    while not _try(handle):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True


@contextlib.contextmanager
def alone(handle: int, *, longest_s: float = 30.0) -> Iterator[None]:
    """Hold an open file while the block runs, for the moment that a change of it takes.

    Where the file system has no locks the block runs without.

    Raises
    ------
    TimeoutError
        If another process holds it longer.
    """
    try:
        held = take(handle, longest_s=longest_s)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        yield
        return
    if not held:
        raise TimeoutError(errno.ETIMEDOUT, "another process holds it for too long")
    try:
        yield
    finally:
        release(handle)


if os.name == "nt":  # pragma: no cover

    def _try(handle: int) -> bool:
        import msvcrt

        _to_start(handle)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

    def release(handle: int) -> None:
        """Let other processes have an open file that :func:`take` locked."""
        import msvcrt

        _to_start(handle)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

    _FAR = 1 << 30  # a byte that nobody reads: Windows keeps others from reading what is locked

    def _to_start(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)

else:

    def _try(handle: int) -> bool:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(handle: int) -> None:
        """Let other processes have an open file that :func:`take` locked."""
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)
