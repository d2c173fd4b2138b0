"""Censored values: what a record may say of them, and what follows for a verdict."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.records import Measurement
from qa_suite.judging.collect import collect
from qa_suite.judging.site_gaps import GapMeasure, site_gaps
from qa_suite.judging.tables import table_problems
from qa_suite.metrics.base import censored
from tests.censored_rows import MEASURE, criterion, finding, row, tables

# --- what a row may say


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "censored", "why": "x", "value": None},
        {"status": "censored", "why": "", "value": None, "at_least": 1.0},
        {"status": "censored", "why": "x", "value": 1.0, "at_least": 1.0},
        {"status": "censored", "why": "x", "value": None, "at_least": 2.0, "at_most": 1.0},
        {"status": "ok", "value": 1.0, "at_least": 1.0},
        {"status": "undefined", "why": "x", "value": None, "at_most": 1.0},
        {"status": "censored", "why": "x", "value": None, "at_least": float("inf")},
    ],
)
def test_a_row_says_one_thing(wrong):
    with pytest.raises(ValidationError):
        Measurement.model_validate({**row("P1", 1.0).model_dump(), **wrong})


def test_a_bound_that_is_none_is_a_bug_and_raises():
    for bounds in ({}, {"at_least": np.inf}, {"at_least": 2.0, "at_most": 1.0}):
        with pytest.raises(ArithmeticError):
            censored("mae", "body", why="x", **bounds)


def test_tables_that_contradict_themselves_are_named():
    table, cases = tables([row("P1", ">=10"), row("P2", 1.0), row("P3", "<=2"), row("P4", 2.0)])
    assert table_problems(table, cases) == []
    table.loc[0, "at_least"] = np.nan
    table.loc[1, "at_most"] = 3.0
    table.loc[2, "at_least"] = 3.0
    table.loc[3, "status"] = "censored"
    assert table_problems(table, cases) == [
        "gap in body of case P4 has a value although it is not ok",
        "gap in body of case P1 is censored but has no bound",
        "gap in body of case P4 is censored but has no bound",
        "gap in body of case P2 has a bound although it is not censored",
        "gap in body of case P3 is at least more than it is at most",
    ]


# --- what follows from it


def test_a_mean_that_contains_one_is_undecided_and_no_number():
    for scope in ("pooled", "each_site", "new_site"):
        found = finding(criterion(scope=scope), 1.0, 1.1, 0.9, ">=10")
        assert found.outcome == "inconclusive"
        assert (found.estimate, found.low, found.high) == (None, None, None)
        assert (found.patients, found.censored, found.missing) == (4, 1, 0)
        assert found.reasons[0].code == "censored"
        assert re.search(r"P03\W.*10 mm", found.sentence)
    assert finding(criterion(), 1.0, 1.1, 0.9, 1.0).outcome == "pass"


@pytest.mark.parametrize(
    ("direction", "bound", "last", "outcome"),
    [
        ("at_most", 5, ">=10", "fail"),
        ("at_most", 10, ">=10", "inconclusive"),  # it may be exactly 10
        ("at_most", 12, ">=10", "inconclusive"),
        ("at_most", 5, "<=3", "pass"),
        ("at_least", 0.5, "<=0.2", "fail"),
        ("at_least", 0.5, ">=0.7", "pass"),
        ("within", 5, ">=10", "fail"),
        ("within", 5, "<=-10", "fail"),
        ("within", 5, "<=10", "inconclusive"),
    ],
)
def test_the_worst_patient_is_judged_by_what_is_proven(direction, bound, last, outcome):
    extreme = {"at_most": "max", "at_least": "min"}.get(direction, "mean")
    wanted = criterion(direction=direction, bound=bound, statistic=extreme, scope="worst_patient")
    assert finding(wanted, 1.0, 2.0, last).outcome == outcome


def test_a_failing_worst_patient_is_said_as_a_bound():
    found = finding(criterion(statistic="max"), 1.0, 9.0, ">=10")
    assert (found.estimate, found.at_least, found.scope_name) == (None, 10, "P02")
    assert "P02 at A: at least 10 mm (worst of n = 3) is above the bound" in found.sentence
    assert "2 of 3 patients miss it" in found.sentence


def test_a_share_counts_what_is_proven():
    share = criterion(statistic="fraction_within", per_patient_bound=5.0, bound=0.1)
    proven = finding(share, *[1.0] * 8, ">=10", ">=10")
    assert proven.estimate == 0.8 and proven.outcome == "pass"
    met = finding(share, *[1.0] * 8, "<=3", "<=4")
    assert met.estimate == 1.0
    either = finding(share, *[1.0] * 8, ">=3", ">=4")
    assert (either.estimate, either.at_least, either.at_most) == (None, 0.8, 1.0)
    assert either.outcome == "pass"  # with both of them beyond, too
    narrow = share.model_copy(update={"bound": 0.6})
    assert finding(narrow, *[1.0] * 8, ">=3", ">=4").outcome == "inconclusive"
    assert finding(narrow, *[9.0] * 8, ">=3", ">=4").outcome == "fail"


def test_a_median_is_decided_where_the_unknown_cannot_move_it():
    median = criterion(statistic="median")
    few = finding(median, *[1.0, 1.1, 1.2, 1.3, 1.4] * 3, ">=10")
    assert few.outcome == "pass" and few.estimate == pytest.approx(1.2)
    many = finding(median, *[1.0] * 5, *[">=10"] * 6)
    assert many.outcome == "inconclusive" and (many.estimate, many.at_least) == (None, 10)
    most = finding(median, *[1.0] * 2, *[">=10"] * 20)
    assert most.outcome == "fail" and most.at_least == 10 and most.high is None
    wide = criterion(statistic="median", bound=100)
    assert finding(wide, *[">=10"] * 20).outcome == "inconclusive"  # beyond 100 they may lie
    both = criterion(statistic="median", direction="within")
    assert finding(both, *["<=-10", ">=10"] * 10).outcome == "inconclusive"


def test_a_patient_with_one_censored_examination_is_censored():
    rows = [row("P1-1", 2.0), row("P1-2", ">=10"), row("P2", 3.0)]
    found = collect(*tables(rows), MEASURE)
    assert found.censored == {"P1"} and list(found.patient_values().index) == ["P2"]
    assert found.patient_bounds().loc["P1"].tolist() == [6.0, np.inf]


def test_sites_with_censored_values_have_no_gap():
    rows = [row(f"A{n}", 1.0 + n / 10) for n in range(5)]
    rows += [row(f"B{n}", value, "B") for n, value in enumerate([">=10", 2.0, 2.1])]
    gaps = {
        g.site: g
        for g in site_gaps(
            *tables(rows), [GapMeasure(measure=MEASURE, better="lower")], training_sites=["A"]
        )
    }
    assert gaps["B"].estimate is None and gaps["B"].shifted is None
    assert (gaps["B"].patients, gaps["B"].censored) == (3, 1)
    assert "1 of 3" in gaps["B"].sentence and "censored" not in gaps["A"].sentence
    assert gaps["A"].estimate == pytest.approx(1.2) and gaps["A"].censored == 0
