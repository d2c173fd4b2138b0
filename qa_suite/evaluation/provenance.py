"""Which code and which packages measured: facts of this process, for the record."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from qa_suite import __version__
from qa_suite.core.plugins import loaded_plugins
from qa_suite.core.processes import git_state
from qa_suite.core.records import CodeFacts

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


def code_facts() -> CodeFacts:
    """Return the suite's version, its git commit where it runs from a checkout, and packages.

    Of other packages those are named whose metrics, families or engines are loaded by now.
    """
    commit, dirty = git_state(Path(__file__).resolve().parents[2])
    return CodeFacts(
        suite_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        packages={name: version for name in RECORDED_PACKAGES if (version := _version(name))},
        plugins=loaded_plugins(),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
