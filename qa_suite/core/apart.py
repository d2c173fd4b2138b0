"""Reading what a library may die of, in a process of its own.

Compressed pixels and tables are read by libraries that are not written in Python; a damaged file
may end the process that they run in. So such a file is first given to a helper: one process, which
is started when it is needed, stays, and is started again when it died or took too long. What it
answers is plain (JSON, and the bytes of an array): nothing that it sends is run here.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.plain_files import require_file

MOST_SECONDS = 20.0
"""That reading one file may take, and :data:`SECONDS_A_MIB` more for every MiB of it."""
SECONDS_A_MIB = 0.5
MOST_MEMORY = 32 << 30
"""Bytes of address space that the helper may take."""
_LENGTHS = struct.Struct("<QQ")  # of the words and of the array that follow


class Died(Exception):
    """The helper ended, or was ended, while it read; the sentence says how."""


class NotRead(InputError):
    """A file that the helper refused or died of; ``reason`` says it without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path} cannot be read: {reason}.")


def read_apart(task: str, path: Path, **arguments: Any) -> tuple[Any, NDArray[Any] | None]:
    """Read a file in the helper.

    Parameters
    ----------
    task
        The function that reads, as ``qa_suite.module:function``. It is given the path and the
        arguments, and returns plain data and an array, or None for the latter.
    path
        Of the file; a plain one.
    arguments
        Plain data.

    Returns
    -------
    facts, array
        What the function returned.

    Raises
    ------
    NotRead
        If the function refuses the file, dies of it or takes too long; others can still be read.
    InputError
        If it is no plain file.
    """
    size = require_file(path)
    seconds = MOST_SECONDS + SECONDS_A_MIB * size / 2**20
    asked = {"task": task, "path": str(Path(path).absolute()), "arguments": arguments}
    try:
        answer, data = _HELPER.ask(json.dumps(asked).encode(), seconds)
    except Died as error:
        raise NotRead(path, str(error)) from None
    if "refused" in answer:
        raise NotRead(path, answer["refused"])
    if answer["array"] is None:
        return answer["facts"], None
    shape, dtype = answer["array"]
    return answer["facts"], np.frombuffer(data, dtype=dtype).reshape(shape)


class _Helper:
    """The one helper of this process; threads take turns, and a fork has one of its own."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, words: bytes, seconds: float) -> tuple[dict[str, Any], bytearray]:
        with self._turn:
            process = self._running()
            try:
                assert process.stdin is not None
                process.stdin.write(_LENGTHS.pack(len(words), 0) + words)
                process.stdin.flush()
                until = time.monotonic() + seconds
                said, size = _LENGTHS.unpack(self._take(process, _LENGTHS.size, until))
                return json.loads(self._take(process, said, until)), self._take(
                    process, size, until
                )
            except TimeoutError:
                self.end()
                raise Died(f"it took more than {seconds:.0f} s") from None
            except (OSError, EOFError):
                process.wait(timeout=10)
                status, self._process = process.returncode, None
                how = f"signal {-status}" if status < 0 else f"status {status}"
                raise Died(f"its reader died of it ({how})") from None
            except BaseException:
                self.end()  # interrupted: what it still sends belongs to nobody
                raise

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            paths = os.pathsep.join(filter(None, sys.path))
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "qa_suite.core.apart"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            )
            self._owner = os.getpid()
        return process

    @staticmethod
    def _take(process: subprocess.Popen[bytes], size: int, until: float) -> bytearray:
        assert process.stdout is not None
        handle, data = process.stdout.fileno(), bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            if not select.select([handle], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError
            found = os.readv(handle, [view[done : done + (1 << 20)]])
            if not found:
                raise EOFError
            done += found
        return data

    def end(self) -> None:
        """End the helper, if this process has one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


_HELPER = _Helper()
atexit.register(_HELPER.end)


def _serve() -> None:
    """Answer until the other side is gone. Libraries may print: that goes nowhere."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    _limit()
    while head := source.read(_LENGTHS.size):
        asked = json.loads(source.read(_LENGTHS.unpack(head)[0]))
        answer, array = _answer(asked)
        words = json.dumps(answer).encode()
        sink.write(_LENGTHS.pack(len(words), 0 if array is None else array.nbytes) + words)
        if array is not None:
            sink.write(array.tobytes())
        sink.flush()


def _answer(asked: dict[str, Any]) -> tuple[dict[str, Any], NDArray[Any] | None]:
    module, _, name = asked["task"].partition(":")
    try:
        if not module.startswith("qa_suite."):
            raise InputError(f"{module} is no reader")
        read = getattr(importlib.import_module(module), name)
        facts, array = read(Path(asked["path"]), **asked["arguments"])
    except QAError as error:
        return {"refused": str(error).removeprefix(asked["path"]).strip(" :.")}, None
    except MemoryError:
        return {"refused": "it asks for more memory than a file may take"}, None
    except Exception as error:  # whatever a library says of a damaged file
        words = " ".join(str(error).split()).replace(asked["path"], "it")[:160]
        return {"refused": f"it is damaged ({type(error).__name__}: {words})"}, None
    if array is None:
        return {"facts": facts, "array": None}, None
    array = np.ascontiguousarray(array)
    return {"facts": facts, "array": [list(array.shape), array.dtype.str]}, array


def _limit() -> None:
    """Take no more memory than a file may need, and leave no image of it behind."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


if __name__ == "__main__":
    _serve()
