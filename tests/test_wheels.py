"""The wheel that travels with a model: the code that is imported here, in the standard's form."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile

import pytest

from qa_suite.core.errors import InputError
from qa_suite.learning.wheels import OWN_PACKAGE, wheel_of
from tests.conftest import ROOT


def test_it_holds_the_code_that_is_imported_and_says_so_of_each_file() -> None:
    wheel = wheel_of(OWN_PACKAGE)
    archive = zipfile.ZipFile(io.BytesIO(wheel.content))
    names = archive.namelist()
    notes = next(name for name in names if name.endswith(".dist-info/WHEEL")).rpartition("/")[0]
    assert wheel.name == f"{notes.removesuffix('.dist-info')}-py3-none-any.whl"
    for path in ("translators/predict.py", "translators/configs/intensity.yaml"):
        assert archive.read(path) == (ROOT / path).read_bytes()
    assert not [name for name in names if "__pycache__" in name]
    assert {f"{notes}/METADATA", f"{notes}/entry_points.txt"} <= set(names)
    lines = [line.rsplit(",", 2) for line in archive.read(f"{notes}/RECORD").decode().splitlines()]
    assert [name for name, _, _ in lines] == names
    for name, digest, size in lines[:-1]:
        content = archive.read(name)
        told = base64.urlsafe_b64decode(digest.removeprefix("sha256=") + "=")
        assert (told, int(size)) == (hashlib.sha256(content).digest(), len(content)), name
    assert lines[-1] == [f"{notes}/RECORD", "", ""]


def test_the_same_code_gives_the_same_bytes() -> None:
    assert wheel_of(OWN_PACKAGE) == wheel_of(OWN_PACKAGE)


def test_a_package_that_is_not_installed_is_one_sentence() -> None:
    with pytest.raises(InputError, match="no-such-package is not installed here"):
        wheel_of("no-such-package")
