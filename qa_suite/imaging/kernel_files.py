"""Where compiled code lies: one folder for all checkouts, written whole, swept of what is old."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from functools import cache
from pathlib import Path

from qa_suite.core import os_locks

FOLDER_VARIABLE = "QA_SUITE_KERNEL_CACHE"
"""Environment variable that names the folder of compiled kernels."""

KEPT_VERSIONS = 4
"""How many versions of a kernel are kept for a signature and processor: the last used."""

KEPT_DAYS = 90
"""How long code that nobody used is kept."""

KERNEL_SUFFIX = ".kernel"

_LOCK = ".lock"
_PARTIAL = ".partial-"
_DAY_S = 86_400.0
_LONGEST_WAIT_S = 300.0
_log = logging.getLogger(__name__)


@cache
def kernel_folder() -> Path | None:
    """Where compiled kernels are kept.

    Returns
    -------
    Path or None
        What ``$QA_SUITE_KERNEL_CACHE`` names, which may be a folder that can only be read; else
        ``~/.cache/qa-suite/kernels`` (below ``$XDG_CACHE_HOME`` where that is set); else, where
        that cannot be written, None: every process compiles what it needs.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    try:
        if named:
            folder = Path(named).expanduser().absolute()
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = folder / "qa-suite" / "kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        why = f"{folder} cannot be written"
    except (OSError, RuntimeError) as error:
        why = str(error)
    _log.warning(
        "Every process compiles its loops anew (%s); name a folder that can be written in $%s.",
        why,
        FOLDER_VARIABLE,
    )
    return None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that others see whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{_PARTIAL}{secrets.token_hex(8)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def mark_used(path: Path) -> None:
    """Note that a file was used, at most once a day and where that may be written."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _DAY_S:
            os.utime(path)


@cache
def sweep(folder: Path) -> None:
    """Remove versions beyond the last used `KEPT_VERSIONS` and what nobody used for `KEPT_DAYS`.

    Once a process, and only in one that compiled something. A process that still wanted a file
    compiles it.
    """
    now = time.time()
    versions: dict[str, list[tuple[float, Path]]] = {}
    outdated = []
    for path in sorted(folder.iterdir()):
        try:
            age_s = now - path.stat().st_mtime
        except OSError:  # another process removed it
            continue
        if path.suffix == KERNEL_SUFFIX:
            kernel_and_use = path.stem.rpartition(".")[0]
            versions.setdefault(kernel_and_use, []).append((age_s, path))
        elif age_s > _DAY_S and (path.suffix == _LOCK or path.name.startswith(_PARTIAL)):
            outdated.append(path)  # of a process that was killed
    for found in versions.values():
        for place, (age_s, path) in enumerate(sorted(found)):
            if place >= KEPT_VERSIONS or age_s > KEPT_DAYS * _DAY_S:
                outdated.append(path)
    for path in outdated:
        with contextlib.suppress(OSError):
            path.unlink()


class Claim:
    """The right to compile a kernel: another process that wants it waits until it is released.

    Where locks cannot be had (a folder that can only be read), nobody waits. It ends with the
    process that holds it.

    Parameters
    ----------
    path
        The file that the machine code is to be kept in.
    """

    def __init__(self, path: Path) -> None:
        self.waited = False
        """Whether another process held it, so that the file may be there by now."""
        self._lock = path.with_suffix(_LOCK)
        self._handle: int | None = None
        with contextlib.suppress(OSError):
            self._handle = os.open(self._lock, os.O_CREAT | os.O_RDWR, 0o666)
            if not os_locks.take(self._handle):
                self.waited = True
                os_locks.take(self._handle, longest_s=_LONGEST_WAIT_S)

    def release(self) -> None:
        """Let others go on."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            self._lock.unlink()
        os.close(self._handle)
        self._handle = None
