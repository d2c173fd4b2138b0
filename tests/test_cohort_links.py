"""What a cohort's manifest may name: files of its folder, and links that an import made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import Problems
from qa_suite.io.layouts.importing import import_cohort
from tests.layout_cases import own_key as own_key
from tests.layout_cases import write_pair


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    for name in ("1BA001", "1BC032"):
        write_pair(tmp_path / "data" / "Task1" / "X" / name, ".nii.gz")
    import_cohort(tmp_path / "data", tmp_path / "out")
    return tmp_path / "out"


def changed(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    manifest = folder / "manifest.yaml"
    held = yaml.safe_load(manifest.read_text())
    change(held["cases"])
    manifest.write_text(yaml.safe_dump(held))
    return folder


def test_an_import_notes_what_it_linked(imported):
    cases = load_cohort(imported).cases
    assert all(set(case.linked) == {"source", "reference", "mask"} for case in cases)


def test_a_cohort_whose_import_noted_no_links_is_read_by_its_digests(imported):
    def forget(cases: list[dict[str, Any]]) -> None:
        for case in cases:
            del case["linked"]

    assert len(load_cohort(changed(imported, forget)).cases) == 2


def test_a_link_that_is_not_among_those_noted_is_refused(imported):
    def forget_one(cases: list[dict[str, Any]]) -> None:
        cases[0]["linked"].remove("mask")

    with pytest.raises(Problems, match=r"its mask file .* is a link to outside of"):
        load_cohort(changed(imported, forget_one))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/etc/hostname", "lies outside of"),
        ("../data/other.nii.gz", "lies outside of"),
        ("volumes", "is no file but a folder, a device or a pipe"),
        ("pipe", "is no file but a folder, a device or a pipe"),
        ("null", "is no file but a folder, a device or a pipe"),
        ("nowhere.nii.gz", "does not exist"),
    ],
)
def test_what_is_no_file_of_the_folder_is_refused_unopened(imported, file, said):
    os.mkfifo(imported / "pipe")  # opening it would wait for ever
    (imported / "null").symlink_to("/dev/null")

    def name(cases: list[dict[str, Any]]) -> None:
        cases[1]["source"] = file

    with pytest.raises(Problems, match=said):
        load_cohort(changed(imported, name))
