"""Where a new cohort may be made: never in the place of another without being told to."""

from __future__ import annotations

import contextlib
from pathlib import Path

from qa_suite.core.cohort import MANIFEST_FILE, Case, case_files, load_cohort
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.wording import count

_VOLUMES = "volumes"


def require_no_cohort(folder: Path, *, replace: bool) -> None:
    """Refuse a folder that holds a cohort already, unless that is to be replaced.

    Raises
    ------
    InputError
        If it does, with its name.
    """
    path = Path(folder) / MANIFEST_FILE
    if replace or not path.exists():
        return
    raise InputError(
        f"{folder} holds a cohort already ({_called(path)}); name another folder, or replace it "
        f"with --replace."
    )


def _called(manifest: Path) -> str:
    try:
        known = load_cohort(manifest, check_files=False)
    except QAError:
        return f"its {MANIFEST_FILE} cannot be read"
    return f"{known.name}, {count(len(known.cases), 'case')}"


def make_way(folder: Path) -> None:
    """Remove the cohort that a new one replaces: its manifest, and the volumes that it names.

    The manifest goes first: killed in between, the folder holds no cohort, never half of one.
    Nothing outside ``volumes/`` is touched, and of links what they point at stays.
    """
    path = Path(folder) / MANIFEST_FILE
    if not path.exists():
        return
    try:
        cases = load_cohort(path, check_files=False).cases
    except QAError:
        cases = ()
    path.unlink()
    for case in cases:
        _remove_files(Path(folder), case)


def _remove_files(folder: Path, case: Case) -> None:
    for file in case_files(case).values():
        parts = Path(file).parts
        if parts[:1] != (_VOLUMES,) or ".." in parts:
            continue
        path = folder / file
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # where nothing else lies
