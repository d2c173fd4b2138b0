"""The helper: a reader that dies, hangs or raises costs the file, and not the next one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core import apart
from qa_suite.core.apart import NotRead, read_apart

TASK = "qa_suite.core.table_files:rehearse"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    import pandas as pd

    path = tmp_path / "a.parquet"
    pd.DataFrame({"case": ["a"], "x": [1.5]}).to_parquet(path)
    return path


def test_a_helper_that_died_is_started_again(table):
    assert read_apart(TASK, table, columns=None) == (None, None)
    first = apart._HELPER._process
    assert first is not None
    os.kill(first.pid, 11)
    first.wait()
    assert read_apart(TASK, table, columns=None) == (None, None)


def test_a_file_that_the_reader_dies_of_is_one_error(table, monkeypatch):
    read_apart(TASK, table, columns=None)
    helper = apart._HELPER._process
    assert helper is not None
    os.kill(helper.pid, 19)  # it stands still, and ends while it is waited for
    monkeypatch.setattr(apart, "MOST_SECONDS", 0.2)
    with pytest.raises(NotRead, match="more than 0 s"):
        read_apart(TASK, table, columns=None)
    monkeypatch.setattr(apart, "MOST_SECONDS", 20.0)
    assert read_apart(TASK, table, columns=None) == (None, None)


def test_what_a_reader_says_is_the_reason(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(NotRead, match=r"a\.parquet cannot be read: it is damaged"):
        read_apart(TASK, path, columns=None)


def test_only_readers_of_the_suite_are_run(table):
    with pytest.raises(NotRead, match="os is no reader"):
        read_apart("os:remove", table)
    assert table.is_file()


def test_compressed_pixels_come_back_as_they_were(tmp_path):
    import pydicom

    from qa_suite.io.dicom.opening import decode_pixels, open_dicom
    from tests.dicom_factory import write_series

    stored = np.arange(7 * 6 * 2).reshape(7, 6, 2)
    path = write_series(tmp_path, stored)[0]
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    dataset.save_as(path)
    found = decode_pixels(path, open_dicom(path, pixels=True))
    assert np.array_equal(found, stored[:, :, 0].T)


def test_a_deflated_bomb_is_refused_at_once(tmp_path):
    from qa_suite.io.dicom.opening import open_dicom
    from qa_suite.io.problems import ReadProblem
    from tests.dicom_factory import write_series
    from tests.fuzz.images import _deflated

    path = write_series(tmp_path, np.zeros((4, 4, 1)))[0]
    plain = path.read_bytes()
    element = b"\x09\x00\x10\x10OB\0\0"
    many = np.random.default_rng(1).integers(65, 90, (500_000, 16), dtype=np.uint8)
    many[:, :8] = np.frombuffer(b"\x09\x00\x10\x10LO\x08\x00", dtype=np.uint8)
    for name, filling in {
        "unpacks to more": element + (300 << 20).to_bytes(4, "little") + bytes(300 << 20),
        "elements": many.tobytes(),
    }.items():
        path.write_bytes(_deflated(plain + filling))
        began = time.process_time()
        with pytest.raises(ReadProblem, match=name):
            open_dicom(path, pixels=True)
        assert time.process_time() - began < 5
