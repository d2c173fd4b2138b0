"""Which code and which packages measured: facts of this process, for the record."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from qa_suite import __version__
from qa_suite.records import CodeFacts

RECORDED_PACKAGES = (
    "mlflow", "monai", "nibabel", "numba", "numpy", "pandas", "pydantic", "pydicom",
    "scikit-image", "scipy", "simpleitk", "torch",
)  # fmt: skip


def code_facts() -> CodeFacts:
    """Return the suite's version, its git commit where it runs from a checkout, and packages."""
    commit, dirty = git_state(Path(__file__).resolve().parent.parent)
    return CodeFacts(
        suite_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        packages={name: version for name in RECORDED_PACKAGES if (version := _version(name))},
    )


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit checked out in ``folder`` and whether tracked files differ from it.

    Both are None where ``folder`` is not the top of a git checkout (an installed package).
    """
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
