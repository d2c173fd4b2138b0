"""Jobs for the tests of executors: small, in a module that a worker imports in no time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

TWO_GPUS = {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}


def as_they_are(material: Any) -> Any:
    return material


def noted(folder: Path) -> Path:
    """Tools that leave a file for each time they are made."""
    (folder / f"made-{os.getpid()}").touch()
    return folder


def refused(material: Any) -> Any:
    from qa_suite.core.errors import InputError

    raise InputError("the weights are not those that were registered")


def stillborn(material: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def squared(tools: Any, task: int) -> int:
    return task * task


def failing(tools: Any, task: int) -> int:
    if task == 2:
        raise OSError(28, "No space left on device", "volumes/x.nii.gz")
    return task


class Odd(Exception):
    """An error that cannot be made again from what it says."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def oddly_failing(tools: Any, task: int) -> int:
    raise Odd("two", "words")


def unsendable(tools: Any, task: int) -> Any:
    return lambda: task


def surroundings(tools: Any, task: int) -> tuple[int, str, str]:
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    time.sleep(0.05)  # so that everybody gets something
    return (os.getpid(), *(os.environ.get(name, "") for name in names))


def once_deadly(tools: Path, task: int) -> int:
    """End the worker the first time that this task is tried, and note every try."""
    tried = tools / f"tried-{task}-{os.getpid()}"
    tried.touch()
    if task % 2 and len(list(tools.glob(f"tried-{task}-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def always_deadly(tools: Path, task: int) -> int:
    """End the worker whenever task 1 is tried; note who else was at work then."""
    mine = tools / f"at-{task}-{os.getpid()}-{time.monotonic_ns()}"
    if task == 1:
        others = len(list(tools.glob("at-*")))
        (tools / f"deadly-{others}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    mine.touch()
    time.sleep(0.05)
    mine.unlink()
    return task


def endless(tools: Path, task: int) -> int:
    (tools / f"endless-{os.getpid()}").touch()
    time.sleep(600)
    return task
