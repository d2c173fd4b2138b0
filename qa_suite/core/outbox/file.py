"""The file of an outbox: lines are appended and synced; one process at a time has it open."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from qa_suite.core import os_locks
from qa_suite.core.errors import InputError
from qa_suite.core.outbox import refused
from qa_suite.core.outbox.lines import (
    MODELS_FOLDER,
    OUTBOX_FILE,
    Begin,
    Line,
    Operation,
    Refused,
    Waiting,
    gathered,
    parsed,
)

_OPENING_S = 3.0  # for so long another process may be sending what waits

_log = logging.getLogger(__name__)


class OutboxBusy(InputError):
    """Another process has the outbox open: it works in that folder, or sends what waits there."""


class Outbox:
    """What waits in one folder to be told to MLflow.

    The kernel holds the lock, so that it ends with the process that has it, however that ends.

    Parameters
    ----------
    folder
        Of the work; made if need be.
    wait_s
        For how long to wait for another process.

    Raises
    ------
    OutboxBusy
        If another process has it open.
    InputError
        If the file cannot be written.
    """

    def __init__(self, folder: Path, *, wait_s: float = _OPENING_S) -> None:
        self.folder = Path(folder)
        self.path = self.folder / OUTBOX_FILE
        self._writing = threading.Lock()
        self._file = self._opened(wait_s)
        _cut_torn_end(self._file)
        self.runs = gathered(self._lines())

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def waits(self) -> bool:
        """Whether anything waits."""
        return any(run.operations for run in self.runs.values())

    def begin(self, begin: Begin, operations: Iterable[Operation] = ()) -> Waiting:
        """Note a run; with ``operations``, all that is to be told of it, at once.

        What waits of a run that is whole in itself, such as the record of an evaluation, is
        replaced by what is noted anew.
        """
        name, told = begin.identity[1], tuple(operations)
        self._append(Line(run=name, begin=begin, operations=told))
        if told:  # what was refused of it is told anew, or is no longer to be told
            refused.forget_refused(self.folder, self.refused(name), models=False)
        return self.runs[name]

    def note(self, run: str, *operations: Operation) -> None:
        """Note operations of a run that has begun; those that are there already are left out."""
        new = tuple(one for one in operations if one.id not in self.runs[run].known)
        if new:
            self._append(Line(run=run, operations=new))

    def taken(self, run: str, one: str, *, into: str, found: Mapping[str, str]) -> None:
        """Note that MLflow has taken an operation."""
        self._append(Line(run=run, sent=(one,), into=into, found=dict(found)))
        refused.forget_refused(self.folder, [one], models=False)  # of an earlier attempt

    def set_aside(self, run: str, operation: Operation, *, into: str, words: str) -> None:
        """Keep an operation that MLflow refused for good where it holds nothing up.

        Raises
        ------
        OSError
            If it cannot be written; the operation waits on then.
        """
        begin, now = self.runs[run].begin, int(time.time() * 1000)
        refused.keep_refused(
            self.folder, Refused(begin=begin, operation=operation, words=words, at=now)
        )
        self._append(Line(run=run, refused=(operation.id,), into=into))

    def refused(self, run: str | None = None) -> dict[str, Refused]:
        """Return what was set aside, of one run or of all, by identifier."""
        return refused.read_refused(self.folder, run)

    def retry_refused(self) -> None:
        """Let what was set aside wait again."""
        again = self.refused()
        for one in again.values():
            name = one.begin.identity[1]
            if name not in self.runs:
                self.begin(one.begin)
            self.note(name, one.operation)
            self.say_refused(name)
        refused.forget_refused(self.folder, again, models=False)

    def drop_refused(self) -> None:
        """Forget what was set aside, and the models saved for it; its runs go on saying so."""
        refused.forget_refused(self.folder, self.refused(), models=True)

    def say_refused(self, run: str) -> None:
        """Note that a run is to say what was refused of it, unless that waits to be said."""
        if all(one.kind != "refused" for one in self.runs[run].operations.values()):
            self.note(run, Operation(id=uuid.uuid4().hex, kind="refused", what=[run]))

    def noted(self, run: str, kind: str) -> list[Any]:
        """Return what was noted of a kind, sent or not."""
        return [
            one.what
            for line in self._lines()
            if line.run == run
            for one in line.operations
            if one.kind == kind
        ]

    def resend(self, run: str, *, into: str) -> None:
        """Let everything of a run wait again that another run of MLflow had taken."""
        self.runs[run] = gathered(self._lines(), into=into)[run]

    def close(self) -> None:
        """Let go of the file; it is removed where nothing waits and no run is open."""
        if self._file < 0:
            return
        if not self.waits and all(run.ended for run in self.runs.values()):
            self._remove_sent_models()
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1

    def _remove_sent_models(self) -> None:
        """Remove the models that were saved to be sent, but for those that were refused."""
        kept = {self.folder / one for one in refused.saved_models(self.refused().values())}
        place = self.folder / MODELS_FOLDER
        if not kept:
            shutil.rmtree(place, ignore_errors=True)
            return
        for one in sorted(place.iterdir()):
            if one not in kept:
                shutil.rmtree(one, ignore_errors=True)

    def _append(self, line: Line) -> None:
        """Write a line and take it up; where it cannot be written it is known to this process."""
        data = line.as_text().encode()
        with self._writing:
            size = os.fstat(self._file).st_size
            try:
                _write_all(self._file, data)
                os.fsync(self._file)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, size)  # no half of a line before the next
                _log.warning("%s cannot be written: %s", self.path, error.strerror)
            name = line.run
            if line.begin is not None and (name not in self.runs or line.operations):
                self.runs[name] = Waiting(begin=line.begin)
            self.runs[name].note(line)

    def _lines(self) -> list[Line]:
        size = os.fstat(self._file).st_size
        return list(parsed(os.pread(self._file, size, 0), self.path))

    def _opened(self, wait_s: float) -> int:
        """Open the file and lock it, and make sure that it was not removed in between."""
        until = time.monotonic() + wait_s
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be written ({error.strerror}); name another folder."
                ) from None
            if _locked(file) and _is_at(file, self.path):
                return file
            os.close(file)
            if time.monotonic() > until:
                raise OutboxBusy(
                    f"{self.path} is open in another process, which works in that folder or sends "
                    f"what waits there; wait for its end, or name another folder."
                )
            time.sleep(0.05)


def _locked(file: int) -> bool:
    try:
        return os_locks.take(file)
    except OSError:
        return True  # a file system that knows no locks


def _is_at(file: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _cut_torn_end(file: int) -> None:
    """Cut a last line off that a kill left without its end."""
    size = os.fstat(file).st_size
    whole = os.pread(file, size, 0).rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(file, whole)
