"""Compiled loops that are older than what they were compiled from are forgotten.

numba keeps a compiled function by the age of its own file. The search is compiled together with
loops of other files, and would go on with their old versions after a change there.
"""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path


@cache
def forget_stale(folder: Path, modules: tuple[str, ...]) -> None:
    """Remove what numba compiled of ``modules`` before one of them changed; once a process."""
    newest = max((folder / f"{name}.py").stat().st_mtime for name in modules)
    for name in modules:
        for kept in (folder / "__pycache__").glob(f"{name}.*.nb?"):
            with contextlib.suppress(OSError):  # another process was faster, or may write there
                if kept.stat().st_mtime < newest:
                    kept.unlink()
