"""The record: what it refuses, that it comes back, that tampering is noticed."""

import pytest
from pydantic import ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.record_files import (
    CASES_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    read_measurements,
    read_model,
    write_model,
    write_table,
)
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import (
    CaseRecord,
    CodeFacts,
    Criterion,
    Measurement,
    ModelFacts,
    PreflightValue,
)


def row(case="c1", **more) -> Measurement:
    known = {
        "case": case,
        "patient": "p1",
        "site": "one",
        "family": "image",
        "metric": "mae",
        "region": "body",
        "value": 1.5,
        "unit": "HU",
    }
    return Measurement(**{**known, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"value": None},
        {"value": float("nan")},
        {"value": float("inf")},
        {"status": "undefined", "value": None, "why": ""},
        {"status": "error", "value": 3.0, "why": "broken"},
        {"coverage": 1.2},
        {"flavour": "sweet"},
    ],
)
def test_a_measurement_has_a_value_or_a_reason(more):
    with pytest.raises(ValidationError):
        row(**more)


def test_undefined_is_a_status_and_survives_the_table(tmp_path):
    rows = [row("b"), row("a", value=None, status="undefined", why="no bone in the mask")]
    write_table(tmp_path / MEASUREMENTS_FILE, rows, Measurement)
    table = read_measurements(tmp_path)
    assert list(table["case"]) == ["a", "b"]
    assert table["value"].isna().tolist() == [True, False]
    assert table.loc[0, "why"] == "no bone in the mask"


def test_tables_have_one_order_and_the_same_bytes(tmp_path):
    rows = [row("b"), row("a"), row("a", metric="me")]
    first = write_table(tmp_path / MEASUREMENTS_FILE, rows, Measurement)
    assert first == write_table(tmp_path / MEASUREMENTS_FILE, rows[::-1], Measurement)


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_table(tmp_path / MEASUREMENTS_FILE, [], Measurement)
    assert list(read_measurements(tmp_path).columns) == list(Measurement.model_fields)


def test_case_records_come_back_whole(tmp_path):
    records = [
        CaseRecord(
            case="c1",
            patient="p1",
            site="one",
            split="test",
            status="refused",
            reason="shifted",
            preflight={
                "alignment_shift": PreflightValue(
                    value=12.5, unit="mm", status="refused", why="12.5 mm off"
                )
            },
            strata={"field_strength_t": 1.5},
            history=("resampled",),
            volumes={"source": "a.nii"},
        ),
        CaseRecord(case="c2", patient="p2", site="one", split=None, status="evaluated"),
    ]
    write_table(tmp_path / CASES_FILE, records, CaseRecord)
    assert read_cases(tmp_path) == tuple(records)


def test_a_record_that_is_not_there_or_not_one_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no measurement at"):
        read_model(tmp_path / "x.json", Measurement)
    (tmp_path / "x.json").write_text('{"case": 1}')
    with pytest.raises(Problems, match="problems"):
        read_model(tmp_path / "x.json", Measurement)


def test_a_model_comes_back(tmp_path):
    criterion = Criterion(
        name="n",
        metric="mae",
        region="body",
        bound=70,
        direction="at_most",
        unit="HU",
        min_patients=5,
        source="local decision",
    )
    write_model(tmp_path / "c.json", criterion)
    assert read_model(tmp_path / "c.json", Criterion) == criterion


def test_a_bound_without_a_source_is_refused():
    with pytest.raises(ValidationError, match="source"):
        Criterion(
            name="n",
            metric="mae",
            region="body",
            bound=70,
            direction="at_most",
            unit="HU",
            min_patients=5,
            source="",
        )


def test_digests_do_not_depend_on_the_order_of_keys():
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_a_record_without_plugins_says_nothing_of_them():
    model = ModelFacts(uri="models:/a/1", name="a", family="regression")
    code = CodeFacts(suite_version="1", git_commit=None, git_dirty=None, python="3", packages={})
    assert "plugin" not in model.model_dump()
    assert "plugins" not in code.model_dump()
