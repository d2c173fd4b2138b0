"""Where the reference engine lives: an environment of its own, since it conflicts with ours.

pyRadPlan 0.5.0 needs numpy below 2.4 and its dependencies pydantic below 2.14; the suite is
tested with newer ones. So it is never imported: its Python is started as another process.
"""

from __future__ import annotations

import os
from pathlib import Path

from qa_suite.core.errors import InputError

VARIABLE = "QA_SUITE_REFERENCE_ENV"
DEFAULT = ".venv-reference"
WORKER = Path(__file__).with_name("worker.py")


def reference_environment() -> Path:
    """Return the folder that the reference environment lies in, whether it is there or not."""
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def has_reference() -> bool:
    """Whether there is a reference environment with a Python."""
    return _python_of(reference_environment()) is not None


def reference_python() -> Path:
    """Return the Python of the reference environment.

    Raises
    ------
    InputError
        If there is none, with the way to make one.
    """
    folder = reference_environment()
    python = _python_of(folder)
    if python is None:
        raise InputError(
            f"There is no reference dose engine at {folder}: run 'make reference-env', or let "
            f"{VARIABLE} name an environment that holds pyRadPlan 0.5.0."
        )
    return python


def _python_of(folder: Path) -> Path | None:
    for inside in ("bin/python", "Scripts/python.exe"):
        if (folder / inside).is_file():
            return (folder / inside).absolute()
    return None
