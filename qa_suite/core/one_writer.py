"""One writer a folder: who writes says so in a file, and whoever comes second is told who.

The file names host, process and the moment that process began, so that one that has ended without
a word is recognised and its place is taken. A process on another host, or in another container,
cannot be asked from here: it is believed until somebody removes its file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from qa_suite.core import os_locks
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.json_files import parse_json_model

WRITER_FILE = ".qa-suite-writer.json"
"""In the folder that is written. Of a single file: ``.NAME`` before the ending of it."""

_TRIES = 100


class Writer(BaseModel):
    """A process that writes, as it says of itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: str
    machine: str
    pid_space: str
    boot: str
    pid: int
    process_began: str
    verb: str
    since: str

    @property
    def words(self) -> str:
        """How people are told of it."""
        here = self.machine == _machine() and self.host == socket.gethostname()
        where = "this machine" if here else f"the machine {self.host}"
        return f"'qa-suite {self.verb}' (process {self.pid} on {where}, since {self.since})"


@contextlib.contextmanager
def writing(place: Path | None, verb: str, *, file: bool = False) -> Iterator[None]:
    """Be the only one to write into a folder, which is made if need be, while the block runs.

    Who holds a folder already, in the same thread, may hold it again.

    Parameters
    ----------
    place
        The folder; with ``file`` a single file, and others may write beside it. None where
        nothing is written: then nothing is held.
    verb
        What writes, for whoever comes second.
    file
        Whether ``place`` is a file.

    Raises
    ------
    InputError
        If another process writes there, with its name; or if it cannot be written at all.
    """
    if place is None:
        yield
        return
    path = _file_of(Path(place), file)
    key = _key(path)
    with _HELD_LOCK:
        held = _HELD.get(key)
        mine = held is not None and held == threading.get_ident()
        if held is not None and not mine:
            raise InputError(_refusal(Path(place), path, _myself(verb)))
        if not mine:
            _HELD[key] = threading.get_ident()
    if mine:
        yield
        return
    made = not path.parent.exists()
    try:
        writer = _take(Path(place), path, verb)
        try:
            yield
        finally:
            _leave(path, writer)
            if made:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # where nothing was written after all
    finally:
        with _HELD_LOCK:
            del _HELD[key]


_HELD: dict[str, int] = {}
_HELD_LOCK = threading.Lock()


def _file_of(place: Path, file: bool) -> Path:
    return place.with_name(f".{place.name}{WRITER_FILE}") if file else place / WRITER_FILE


def _key(path: Path) -> str:
    return os.path.normcase(path.parent.resolve() / path.name)


def _refusal(place: Path, path: Path, writer: Writer) -> str:
    said = f"{place} is being written by {writer.words}; wait until it has ended, or name another"
    if (writer.host, writer.machine, writer.pid_space) == _where():
        return f"{said} place."
    return f"{said} place. Whether it still runs cannot be seen from here: if not, remove {path}."


# ---------------------------------------------------------------------------------------
# The file


def _take(place: Path, path: Path, verb: str) -> Writer:
    """Write our name into the file, unless somebody's stands there who may still be at work."""
    mine = _myself(verb)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            with _opened(path) as handle, os_locks.alone(handle):
                if not _is_at(path, handle):
                    continue  # removed between opening and locking
                other = _read(handle)
                if other is not None and not has_ended(other):
                    raise InputError(_refusal(place, path, other))
                _write(path, handle, mine)
                return mine
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{place} cannot be written ({reason}); name another place.") from None
    raise InputError(f"{place} is taken and left by others all the time; try again.")


def _leave(path: Path, mine: Writer) -> None:
    """Take our name away; one that another has put in its place stays."""
    with contextlib.suppress(OSError), _opened(path) as handle, os_locks.alone(handle):
        if _read(handle) == mine and _is_at(path, handle):
            os.ftruncate(handle, 0)  # where an open file cannot be removed, an empty one says it
            path.unlink()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _read(handle: int) -> Writer | None:
    """Return who stands in the file; nobody where it is empty, or was cut off by a crash."""
    os.lseek(handle, 0, os.SEEK_SET)
    content = os.read(handle, 1 << 16)
    try:
        return parse_json_model(content, Writer, "The lock")
    except QAError:
        return None


def _write(path: Path, handle: int, writer: Writer) -> None:
    try:
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        text = writer.model_dump_json().encode()
        if os.write(handle, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


# ---------------------------------------------------------------------------------------
# Processes


def has_ended(writer: Writer) -> bool:
    """Whether a writer is known to have ended; one that cannot be asked is not."""
    if (writer.host, writer.machine) != _where()[:2]:
        return False
    if writer.boot != _boot():
        return True  # the machine was started anew since
    if writer.pid_space != _pid_space():
        return False
    return _began(writer.pid) != writer.process_began


def _myself(verb: str) -> Writer:
    host, machine, pid_space = _where()
    return Writer(
        host=host,
        machine=machine,
        pid_space=pid_space,
        boot=_boot(),
        pid=os.getpid(),
        process_began=_began(os.getpid()),
        verb=verb,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _where() -> tuple[str, str, str]:
    return socket.gethostname(), _machine(), _pid_space()


@cache
def _machine() -> str:
    """Return what tells two machines of one name apart."""
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text().strip() or f"{uuid.getnode():x}"
    return f"{uuid.getnode():x}"


def _pid_space() -> str:
    """Return what tells the process numbers of two containers apart; Linux only."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _began(pid: int) -> str:
    """Return the moment a process began, in words that no change of the clock changes.

    Empty where there is none of that number, or only what is left of one until its parent asks.
    """
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]  # ticks since the machine was started
    import psutil

    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return "" if ended else repr(process.create_time())
    except psutil.Error:
        return ""
