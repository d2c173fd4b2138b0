"""Which code and which packages measured: facts of this process, for the record."""

from __future__ import annotations

import platform

from qa_suite.core.plugins import loaded_plugins
from qa_suite.core.records import CodeFacts
from qa_suite.core.suite import package_versions, suite_code


def code_facts() -> CodeFacts:
    """Return the suite's version, its git commit where it runs from a checkout, and packages.

    Of other packages those are named whose metrics, families or engines are loaded by now.
    """
    code = suite_code()
    return CodeFacts(
        suite_version=code.version,
        git_commit=code.commit,
        git_dirty=code.dirty,
        python=platform.python_version(),
        packages=package_versions(),
        plugins=loaded_plugins(),
    )
