"""Judging part by part says what judging the whole tables says, and keeps what is asked alone."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from qa_suite.core import table_parts
from qa_suite.core.errors import Problems
from qa_suite.core.record_files import (
    ABSENT,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    read_evaluation,
    read_measurements,
    read_model,
)
from qa_suite.core.records import Evaluation
from qa_suite.judging import judge as judging
from qa_suite.judging.asked_rows import asked_rows, metrics_asked
from qa_suite.judging.judge import judge, judge_tables
from tests.record_factory import make_record
from tests.record_facts import PROFILE


@pytest.fixture(params=[7, 1 << 16], ids=["small parts", "one part"])
def record(request, tmp_path, monkeypatch):
    """A record without a verdict, read in parts of so many rows."""
    monkeypatch.setattr(table_parts, "ROWS", request.param)
    make_record(tmp_path / "record", keep=False)
    return tmp_path / "record"


def rewritten(folder, change):
    """Change the table and let the record say that it is so."""
    table = change(pd.read_parquet(folder / MEASUREMENTS_FILE))
    table.to_parquet(folder / MEASUREMENTS_FILE, index=False)
    said = json.loads((folder / EVALUATION_FILE).read_text())
    digest = hashlib.sha256((folder / MEASUREMENTS_FILE).read_bytes()).hexdigest()
    said["tables_sha256"][MEASUREMENTS_FILE] = digest
    (folder / EVALUATION_FILE).write_text(json.dumps(said))


def by_the_whole(folder, profile=PROFILE):
    return judge_tables(
        read_evaluation(folder), read_measurements(folder), read_cases(folder), profile
    )


def copied(table):
    """Give case A02 every value of A01."""
    others = table[table["case"] != "A02"]
    copy = table[table["case"] == "A01"].assign(
        case="A02", patient=table.loc[table["case"] == "A02", "patient"].iloc[0]
    )
    return pd.concat([others, copy]).sort_values("case", kind="stable")


def lost(table):
    """One row is undefined and, as in an old record, does not say by which image."""
    return table.assign(
        status=np.where(table.index == 3, "undefined", table["status"]),
        value=np.where(table.index == 3, np.nan, table["value"]),
    ).drop(columns=ABSENT)


CHANGES = {
    "as it is": lambda table: table,
    "shuffled": lambda table: table.sample(frac=1, random_state=1),
    "a copy": copied,
    "an old table": lost,
    "without a bounded measure": lambda table: table[table["metric"] != "mae"],
    "without a patient": lambda table: table[table["case"] != "A03"],
    "empty": lambda table: table.iloc[:0],
}


@pytest.mark.parametrize("change", CHANGES)
def test_parts_give_the_verdict_of_the_whole(record, change):
    rewritten(record, CHANGES[change])
    assert judge(record, PROFILE).model_dump_json() == by_the_whole(record).model_dump_json()


def test_one_patient_examined_twice_is_one_copy_in_parts_too(record, monkeypatch):
    """Who has two cases alike in every value counts once, though the rows asked are fewer."""
    rewritten(record, copied)
    cases = read_cases(record)
    first = next(case for case in cases if case.case == "A01")
    one = [c.model_copy(update={"patient": first.patient}) if c.case == "A02" else c for c in cases]
    table = read_measurements(record).replace({"patient": {cases[1].patient: first.patient}})
    monkeypatch.setattr(judging, "read_cases", lambda folder: tuple(one))
    rewritten(record, lambda _: table)
    evaluation = read_model(record / EVALUATION_FILE, Evaluation)
    found = judging.judge_record(record, evaluation, PROFILE)
    whole = judge_tables(evaluation, read_measurements(record), one, PROFILE)
    assert found.model_dump_json() == whole.model_dump_json()
    assert any("Copies of an examination" in notice for notice in found.notices)


def test_what_contradicts_itself_is_refused_with_every_problem(record):
    rewritten(record, lambda t: pd.concat([t, t.iloc[[0, -1]]]))
    with pytest.raises(Problems) as parts:
        judge(record, PROFILE)
    with pytest.raises(Problems) as whole:
        by_the_whole(record)
    assert str(parts.value) == str(whole.value)
    assert str(parts.value).count("is there twice") == 2


def test_rows_that_nobody_asks_for_are_let_go(record):
    """The rest of the record is read and held in memory no longer than a part of it."""

    def grown(table):
        more = [table.assign(metric=f"extra_{n}_" + table["metric"]) for n in range(5)]
        return pd.concat([table, *more]).sort_values("case", kind="stable")

    before = asked_rows(record, PROFILE, cases := read_cases(record), cases)
    rewritten(record, grown)
    after = asked_rows(record, PROFILE, cases, cases)
    assert before is not None and after is not None
    silent = 5 * (before.rows["status"] == "undefined").sum()
    asked = after.rows["metric"].isin(metrics_asked(PROFILE))
    assert asked.sum() == before.rows["metric"].isin(metrics_asked(PROFILE)).sum()
    assert len(after.rows) - len(before.rows) == silent
    assert {f"extra_{n}_mae" for n in range(5)} <= set(after.metrics)
