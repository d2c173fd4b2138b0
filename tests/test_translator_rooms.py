"""The rooms of the examined: what the documents name exists, and no file has grown too long."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT
from translators.spec import FAMILIES
from translators.spec.families import require_families

FILES = sorted((ROOT / "translators").rglob("*.py"))
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
MADE_UP = {"translators/families/huber.py", "translators/configs/huber-demo.yaml"}
"""What CONTRIBUTING.md tells its reader to write."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    for name in (
        set(re.findall(r"\b(?:translators|qa_suite/learning)/[\w/.-]+\.\w+", text)) - MADE_UP
    ):
        assert (ROOT / name).is_file(), name
    for name in set(re.findall(r"`((?:translators|qa_suite\.learning)(?:\.\w+)+)", text)):
        module, _, member = name.rpartition(".")
        found = find_spec(name) if find_spec(module).submodule_search_locations else None  # type: ignore[union-attr]
        if found is None:
            assert hasattr(__import__(module, fromlist=[member]), member), name


def test_no_file_is_too_long() -> None:
    assert {p.name for p in FILES if len(p.read_text().splitlines()) > 400} == set()


def test_no_room_below_names_a_family() -> None:
    """Only a family's own file, its blocks and its YAML know of it."""
    require_families()
    names = {entry.name for entry in FAMILIES} - {"regression"}  # also a thing that bridge trains
    for path in FILES:
        if "families" in path.parts and path.parent.name != "spec":
            continue
        quoted = set(re.findall(r"[\"'](\w+)[\"']", path.read_text()))
        assert not quoted & names, path
