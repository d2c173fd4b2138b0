"""Tables of what becomes of a case: excluded, refused, lost, absent, censored or a value."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from qa_suite.core.records import CaseRecord, PreflightValue
from qa_suite.judging.collect import collect
from qa_suite.judging.patient_values import Fate, Measure
from qa_suite.judging.tables import table_problems
from tests.judged_values import INF, MEASURE
from tests.judging_record import Record, profile

# --- exclusion by preflight


@pytest.mark.parametrize(
    ("found", "excluded"),
    [
        ({"value": 5.0}, False),
        ({"value": -5.0}, False),
        ({"value": 5.001}, True),
        ({"value": -5.001}, True),
        ({"at_least": 5.0}, True),  # undetermined
        ({"at_least": 5.001}, True),
        ({}, True),
    ],
)
def test_a_preflight_value_at_the_limit_excludes_nobody(
    found: dict[str, float], excluded: bool
) -> None:
    record = Record()
    status = "ok" if "value" in found else "undetermined"
    check = PreflightValue(unit="mm", status=status, why="no structure", **found)
    record.update_case("A3", preflight={"alignment_shift": check})
    verdict = record.judge(profile(exclude={"alignment_shift": 5.0}))
    assert (set(verdict.excluded) == {"A3"}) is excluded
    told = verdict.excluded.get("A3", "")
    beyond = found.get("value", found.get("at_least", 0)) not in (0, 5, -5)
    assert ("5.001" in told or "−5.001" in told) == (excluded and beyond)  # not '5.00, beyond 5'
    assert ("undetermined" in told) == (excluded and not beyond)


# --- what became of a case


FATES: list[tuple[str, str | None, float | None, float, Fate, bool]] = [
    # status of the case, of the row, its value, of 'missed' in the region: fate, penalised
    ("evaluated", "ok", 3.0, 0.0, "value", False),
    ("evaluated", "censored", None, 0.0, "censored", False),
    ("evaluated", "undefined", None, 0.0, "lost", False),
    ("evaluated", "undefined", None, 1.0, "lost", True),
    ("evaluated", "undefined", None, math.nan, "absent", False),
    ("evaluated", "error", None, 1.0, "lost", False),
    ("evaluated", None, None, 0.0, "lost", False),
    ("failed", "ok", 3.0, 0.0, "lost", False),
    ("refused", "ok", 3.0, 0.0, "refused", False),
]


@pytest.mark.parametrize(("case", "status", "value", "missed", "fate", "penalised"), FATES)
def test_what_becomes_of_a_case(
    case: Any, status: str | None, value: float | None, missed: float, fate: str, penalised: bool
) -> None:
    found = collect(table(status, value, missed), [record(case)], MEASURE).rows[0]
    assert (found.fate, found.missed) == (fate, penalised)
    assert (found.at_least, found.value) == (
        2.0 if fate == "censored" else None,
        value if fate == "value" else None,
    )


@pytest.mark.parametrize(
    ("dice", "fate"), [(0.0, "lost"), (0.001, "absent"), (1.0, "absent"), (None, "absent")]
)
def test_a_dice_of_nought_says_that_there_is_a_structure(dice: float | None, fate: str) -> None:
    rows = table("undefined", None, math.nan).assign(absent_in_reference=True)
    rows.loc[1, ["metric", "status", "value"]] = [
        "dice",
        "ok" if dice is not None else "error",
        dice,
    ]
    assert collect(rows, [record("evaluated")], MEASURE).rows[0].fate == fate


@pytest.mark.parametrize("region", ["body", "all"])
def test_what_every_case_has_is_never_absent(region: str) -> None:
    rows = table("undefined", None, math.nan).assign(region=region)
    where = Measure(metric="gap", region=region)
    assert collect(rows, [record("evaluated")], where).rows[0].fate == "lost"


@pytest.mark.parametrize(
    ("at_least", "at_most", "sound"),
    [
        (2.0, 2.0, True),
        (2.0, 3.0, True),
        (3.0, 2.0, False),
        (math.nan, math.nan, False),
        (2.0, INF, False),
        (-INF, 2.0, False),
        (2.0, math.nan, True),
        (math.nan, 2.0, True),
    ],
)
def test_bounds_that_may_stand_in_a_record(at_least: float, at_most: float, sound: bool) -> None:
    rows = table("censored", None, 0.0)
    rows.loc[0, ["at_least", "at_most"]] = [at_least, at_most]
    assert (table_problems(rows, [record("evaluated")]) == []) is sound


def record(status: Any) -> CaseRecord:
    return CaseRecord(case="a1", patient="a1", site="A", split="test", status=status)


def table(status: str | None, value: float | None, missed: float) -> pd.DataFrame:
    """The row of the measure, if it has one, and whether the structure is missed (NaN: unknown)."""
    common = {"case": "a1", "patient": "a1", "site": "A", "family": "geometry", "why": "a reason"}
    common |= {"region": "seg:Bone", "variant": "default"}
    known = not math.isnan(missed)
    rows = [
        common
        | {"metric": "gap", "unit": "mm", "status": status, "value": value}
        | {"at_least": 2.0 if status == "censored" else None, "at_most": None},
        common
        | {"metric": "missed", "unit": "1", "value": missed if known else None}
        | {"status": "ok" if known else "undefined", "at_least": None, "at_most": None},
    ]
    frame = pd.DataFrame(rows if status else rows[1:])
    return frame.astype({"value": "float64", "at_least": "float64", "at_most": "float64"})
