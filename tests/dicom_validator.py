"""What the validator dciodvfy says against a DICOM file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SYNTHETIC_DATA = "(0x0008,0x001c)"
"""An element of the standard that the validator (of 2022) does not know and calls an error."""


def errors_of(path: Path, iod: str, *, unknown: str = "") -> list[str]:
    """The validator's lines of errors; skips where it is absent, or fails where it must be there.

    ``iod`` is what it must take the file for, such as ``CTImage``; lines about the element
    ``unknown`` do not count.
    """
    if shutil.which("dciodvfy") is None:
        if os.environ.get("QA_SUITE_REQUIRE_DCIODVFY"):
            pytest.fail("dciodvfy is required here and missing")
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert iod in lines, lines  # it knew what it looked at, and did not crash
    errors = [line for line in lines if line.startswith("Error")]
    return [line for line in errors if not unknown or unknown not in line]
