"""Boundaries of the judging room's numbers, each with an answer that can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qa_suite.core.errors import Problems
from qa_suite.core.records import CaseRecord
from qa_suite.judging.collect import collect
from qa_suite.judging.comparisons import (
    holm_levels,
    holm_p_values,
    tost_p_value,
    welch_interval,
    welch_p_value,
)
from qa_suite.judging.patient_values import Examined, Fate, Measure, PatientValues
from qa_suite.judging.statistics import mean_interval

MEASURE = Measure(metric="mae", region="seg:Bone")


def values(*rows: tuple[str, str, Fate, float | None], **more: Any) -> PatientValues:
    """Return values of (patient, site, fate, value); each row is a case of its own."""
    examined = tuple(
        Examined(case=f"c{n}", patient=patient, site=site, fate=fate, value=value, **more)
        for n, (patient, site, fate, value) in enumerate(rows)
    )
    return PatientValues(measure=MEASURE, unit="HU", rows=examined)


# ---------------------------------------------------------------------------------------
# Two groups, many questions


def test_holm_by_hand() -> None:
    """Of 0.01, 0.04 and 0.03: three times the least, twice the next, and never below it."""
    assert holm_p_values([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm_p_values([0.6, 0.5]) == (1.0, 1.0)
    assert holm_p_values([]) == ()
    assert holm_levels([0.01, 0.04, 0.03]) == pytest.approx((1 - 0.05 / 3, 0.975, 0.975))
    assert holm_levels([0.05 / 3, 0.5, 0.5])[1] == pytest.approx(0.975)  # the bound itself rejects


@pytest.mark.parametrize(
    ("sample", "low", "high", "p"),
    [
        ([1.0, 1.0], 0.0, 2.0, 0.0),
        ([2.0, 2.0], 0.0, 2.0, 1.0),
        ([0.0, 0.0], 0.0, 2.0, 1.0),
        ([3.0, 3.0], 0.0, 2.0, 1.0),
    ],
)
def test_equivalence_of_values_that_are_alike(sample, low, high, p) -> None:
    assert tost_p_value(sample, low=low, high=high) == p


def test_an_interval_says_how_it_was_made_and_of_how_many() -> None:
    found = welch_interval([1.0, 2.0, 3.0], [5.0, 7.0], confidence=0.9)
    assert (found.n, found.confidence, found.method) == (5, 0.9, "Welch t, 3 against 2 patients")
    assert found.estimate == -4.0
    alone = welch_interval([1.0], [5.0, 7.0], confidence=0.9)
    assert (alone.n, alone.confidence, alone.low, alone.high) == (3, 0.9, None, None)
    one = mean_interval([3.0], confidence=0.8)
    assert (one.estimate, one.n, one.confidence, one.low) == (3.0, 1, 0.8, None) and one.why


def test_two_groups_without_spread() -> None:
    assert welch_p_value([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert welch_p_value([1.0, 1.0], [2.0, 2.0]) == 0.0


# ---------------------------------------------------------------------------------------
# Patients and hospitals


def test_hospitals_that_share_a_patient_are_one_and_no_other() -> None:
    found = values(
        ("p", "B", "value", 1.0), ("q", "A", "value", 1.0), ("q", "B", "value", 1.0),
        ("r", "C", "value", 1.0), ("s", "D", "lost", None), ("s", "C", "lost", None),
    )  # fmt: skip
    assert found.patient_hospitals() == {"p": "A", "q": "A", "r": "C"}


def test_a_chain_of_hospitals_is_one() -> None:
    rows = [
        ("p", "D", 1),
        ("p", "C", 1),
        ("q", "C", 1),
        ("q", "B", 1),
        ("r", "B", 1),
        ("r", "A", 1),
    ]
    found = values(*[(patient, site, "value", 1.0) for patient, site, _ in rows])
    assert set(found.patient_hospitals().values()) == {"A"}


@pytest.mark.parametrize(
    ("low", "high", "worst"),
    [
        (-2.0, 0.5, (0.0, 2.0)),  # zero lies within: it may be perfect
        (0.25, 0.5, (0.25, 0.5)),
        (-0.5, -0.25, (0.25, 0.5)),
        (0.0, 3.0, (0.0, 3.0)),
        (-3.0, 0.0, (0.0, 3.0)),
    ],
)
def test_the_magnitude_of_what_is_known_in_bounds(low, high, worst) -> None:
    one = Examined(case="c", patient="p", site="A", fate="censored", at_least=low, at_most=high)
    found = PatientValues(measure=MEASURE, unit="HU", rows=(one,)).worst_bounds("within")
    assert tuple(found.loc["p"]) == worst


def test_bounds_of_nobody_are_none() -> None:
    assert values(("p", "A", "lost", None)).patient_bounds().empty
    assert values().worst_bounds("at_most").empty


def test_the_worst_examination_is_the_lowest_or_the_highest() -> None:
    found = values(("p", "A", "value", 1.0), ("p", "A", "value", 3.0))
    assert tuple(found.worst_bounds("at_least").loc["p"]) == (1.0, 1.0)
    assert tuple(found.worst_bounds("at_most").loc["p"]) == (3.0, 3.0)


# ---------------------------------------------------------------------------------------
# What became of a case


def case(name: str, **more: Any) -> CaseRecord:
    facts = {"patient": f"p-{name}", "site": "A", "split": "test", "status": "evaluated"}
    return CaseRecord.model_validate(facts | {"case": name} | more)


def row(name: str, metric: str = "mae", **more: Any) -> dict[str, Any]:
    facts = {
        "case": name, "patient": f"p-{name}", "site": "A", "family": "image", "metric": metric,
        "region": "seg:Bone", "variant": "default", "value": math.nan, "unit": "HU",
        "at_least": math.nan, "at_most": math.nan, "status": "undefined", "why": "none",
        "coverage": math.nan, "absent_in_reference": None,
    }  # fmt: skip
    return facts | more


def fates(cases: list[CaseRecord], rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    found = collect(pd.DataFrame(rows), cases, MEASURE, **more)
    return {one.case: (one.fate, one.why) for one in found.rows}


def test_two_units_are_refused_and_one_is_not() -> None:
    known = [case("a"), case("b")]
    ok = {"status": "ok", "value": 1.0, "why": ""}
    assert fates(known, [row("a", **ok), row("b", **ok)])["a"] == ("value", "")
    with pytest.raises(Problems) as caught:
        fates(known, [row("a", **ok), row("b", **ok | {"unit": "Gy"})])
    assert caught.value.problems == ("mae comes in the units Gy, HU",)


@pytest.mark.parametrize(
    ("finder", "fate"),
    [
        ({"metric": "missed", "status": "ok", "value": 0.0}, "lost"),  # the reference has it
        ({"metric": "missed", "status": "ok", "value": 1.0}, "lost"),
        ({"metric": "missed", "status": "undefined"}, "absent"),
        ({"metric": "dice", "status": "ok", "value": 0.0}, "lost"),
        ({"metric": "dice", "status": "ok", "value": 0.5}, "absent"),
    ],
)
def test_what_says_that_the_reference_has_a_structure(finder: dict[str, Any], fate: Fate) -> None:
    said = [row("a", absent_in_reference=True), row("a", **finder)]
    assert fates([case("a")], said)["a"][0] == fate


def test_a_row_says_itself_why_it_is_absent() -> None:
    said = [row("a", absent_in_reference=True, why="no bone in the reference")]
    assert fates([case("a")], said)["a"] == ("absent", "no bone in the reference")


def test_cases_without_a_row() -> None:
    known = [case("raised"), case("left"), case("bare"), case("twice")]
    error = {"metric": "family", "region": "all", "status": "error"}
    rows = [
        row("raised", **error, why="a", family="image"),
        row("twice", **error, why="a", family="image"),
        row("twice", **error, why="b", family="dose"),
    ]
    found = fates(known, rows, excluded={"left": "moved", "raised": "moved"})
    assert found == {
        "raised": ("lost", "the image measures raised, a"),
        "left": ("excluded", "moved"),
        "bare": ("lost", "not measured"),
        "twice": ("lost", "the image measures raised, a, and the dose measures raised, b"),
    }


def test_a_structure_that_nobody_drew_is_absent_by_its_name() -> None:
    measure = Measure(metric="mae", region="structure:Rectum")
    cases = [case("a", structures=("Bladder",)), case("b", structures=("Rectum",))]
    other = row("b", region="body", status="ok", value=1.0, why="")
    found = {one.case: one for one in collect(pd.DataFrame([other]), cases, measure).rows}
    assert (found["a"].fate, found["b"].fate) == ("absent", "lost")
    assert found["a"].why.startswith("Rectum is")


@pytest.mark.parametrize(
    ("coverage", "fate"), [(0.5, "value"), (0.4999, "lost"), (np.nan, "value")]
)
def test_coverage_at_its_limit_counts(coverage: float, fate: Fate) -> None:
    said = [row("a", status="ok", value=1.0, why="", coverage=coverage)]
    assert fates([case("a")], said, min_coverage=0.5)["a"][0] == fate
