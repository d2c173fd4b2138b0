"""Which suite this is: its version, and its commit where it runs from a checkout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from qa_suite.core.processes import git_state


@dataclass(frozen=True, kw_only=True)
class SuiteCode:
    """Version of the suite, its git commit and whether tracked files differ from that."""

    version: str
    commit: str | None
    dirty: bool | None

    @property
    def words(self) -> str:
        """Name version and commit."""
        return f"{self.version} at {(self.commit or 'no commit')[:8]}"


@cache
def suite_code() -> SuiteCode:
    """Return which suite runs here, as it was when it was first asked for: what is loaded stays."""
    package = sys.modules[__name__.partition(".")[0]]
    commit, dirty = git_state(Path(__file__).resolve().parents[2])
    return SuiteCode(version=package.__version__, commit=commit, dirty=dirty)


RECORDED_PACKAGES = (
    "mlflow",
    "monai",
    "nibabel",
    "numba",
    "numpy",
    "pandas",
    "pydantic",
    "pydicom",
    "scikit-image",
    "scipy",
    "simpleitk",
    "torch",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that measure, of those that are installed."""
    return {name: version for name in RECORDED_PACKAGES if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
