"""Tables written case by case: whole or not at all, the same bytes, memory that does not grow."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from qa_suite.core import row_writer
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_files import write_table
from qa_suite.core.record_names import MEASUREMENTS_FILE
from qa_suite.core.records import CurvePoint, Measurement
from qa_suite.core.row_writer import RowWriter

KEYS = ("family", "metric", "region", "variant")


def rows_of(case: str, number: int = 3) -> list[Measurement]:
    who = {"case": case, "patient": f"p-{case}", "site": "A", "family": "image"}
    rows = [
        Measurement(**who, metric=f"m{n:03d}", region="body", value=n / 7, unit="HU")
        for n in range(number)
    ]
    lost = {"value": None, "status": "undefined", "why": "no bone", "absent_in_reference": True}
    return [*rows[::-1], Measurement(**who, metric="a", region="bone", unit="HU", **lost)]


def written(path: Path, cases: list[str]) -> RowWriter:
    with RowWriter(path, Measurement, KEYS) as writer:
        for case in cases:
            writer.add(case, rows_of(case))
    return writer


def test_what_is_written_comes_back_with_its_types_and_in_its_order(tmp_path: Path) -> None:
    writer = written(tmp_path / "t.parquet", ["c1", "c2"])
    assert writer.sha256 == sha256_of(tmp_path / "t.parquet")
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert list(table.columns) == list(Measurement.model_fields)
    assert table["case"].tolist() == ["c1"] * 4 + ["c2"] * 4
    assert table["metric"].tolist() == ["a", "m000", "m001", "m002"] * 2
    assert table["value"].isna().tolist() == [True, False, False, False] * 2
    assert table["value"].tolist()[1:4] == [0.0, 1 / 7, 2 / 7]
    assert table["absent_in_reference"].tolist() == [True, None, None, None] * 2
    assert table["value"].dtype == table["at_least"].dtype == "float64"


def test_the_same_rows_all_at_once_are_the_same_bytes(tmp_path: Path) -> None:
    writer = written(tmp_path / "t.parquet", ["c1", "c2"])
    rows = [*rows_of("c2"), *rows_of("c1")]
    assert write_table(tmp_path / MEASUREMENTS_FILE, rows, Measurement) == writer.sha256


def test_groups_are_cut_at_rows_not_at_cases(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(row_writer, "ROWS_OF_A_GROUP", 10)
    monkeypatch.setattr(row_writer, "_ROWS_AT_A_TIME", 3)
    cases = [f"c{n}" for n in range(7)]
    written(tmp_path / "t.parquet", cases)
    facts = pq.read_metadata(tmp_path / "t.parquet")
    assert [facts.row_group(n).num_rows for n in range(facts.num_row_groups)] == [10, 10, 8]
    assert pd.read_parquet(tmp_path / "t.parquet")["case"].tolist() == sorted(cases * 4)


def test_without_a_row_the_columns_are_there(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "t.parquet", CurvePoint, ("x",)):
        pass
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert list(table.columns) == list(CurvePoint.model_fields) and table.empty


def test_a_table_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    written(tmp_path / "t.parquet", ["c1"])
    before = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(ValueError, match="c1 comes after c2"):
        written(tmp_path / "t.parquet", ["c2", "c1"])
    assert (tmp_path / "t.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_four_times_the_cases_need_no_more_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(row_writer, "ROWS_OF_A_GROUP", 200)
    monkeypatch.setattr(row_writer, "_ROWS_AT_A_TIME", 100)

    def peak(cases: int) -> int:
        tracemalloc.start()
        written(tmp_path / "t.parquet", [f"c{n:05d}" for n in range(cases)])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)  # what is made once is not counted
    assert peak(1200) < 1.3 * peak(300)
