"""Tables of what lies exactly at a bound, just within and just beyond, for every rule of judging.

Values are such that each line can be confirmed by hand: the bound itself is on its good side.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from qa_suite.judging.estimates import estimate, gravest, mildest
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.hospitals import new_site_interval
from qa_suite.judging.outcomes import interval_outcome, meets
from qa_suite.judging.statistics import median_interval, proportion_interval
from tests.judged_values import (
    DIRECTIONS,
    INF,
    RULES,
    criterion,
    examined,
    found_in,
    numbered,
    values,
)

# --- one number, and one interval


@pytest.mark.parametrize(
    ("direction", "value", "good"),
    [
        ("at_most", 4.999, True),
        ("at_most", 5.0, True),
        ("at_most", 5.001, False),
        ("at_most", -INF, True),
        ("at_least", 5.001, True),
        ("at_least", 5.0, True),
        ("at_least", 4.999, False),
        ("at_least", INF, True),
        ("within", 5.0, True),
        ("within", -5.0, True),
        ("within", 5.001, False),
        ("within", -5.001, False),
    ],
)
def test_a_number_at_its_bound_meets_it(direction: str, value: float, good: bool) -> None:
    assert meets(criterion(direction), value, 5.0) is good


@pytest.mark.parametrize(
    ("direction", "low", "high", "outcome"),
    [
        ("at_most", 4, 5, "pass"),
        ("at_most", 5, 5, "pass"),
        ("at_most", 5, 5.001, "inconclusive"),
        ("at_most", 5.001, 6, "fail"),
        ("at_most", -INF, 5, "pass"),
        ("at_least", 5, 6, "pass"),
        ("at_least", 5, INF, "pass"),
        ("at_least", 4.999, 5, "inconclusive"),
        ("at_least", 4, 4.999, "fail"),
        ("within", -5, 5, "pass"),
        ("within", -5.001, 5, "inconclusive"),
        ("within", -5, 5.001, "inconclusive"),
        ("within", 5, 6, "inconclusive"),
        ("within", -6, -5, "inconclusive"),
        ("within", 5.001, 6, "fail"),
        ("within", -6, -5.001, "fail"),
    ],
)
def test_an_interval_that_touches_its_bound(
    direction: str, low: float, high: float, outcome: str
) -> None:
    assert interval_outcome(criterion(direction), low, high) == outcome


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.8, 1.0, "pass"),
        (0.79, 1.0, "inconclusive"),
        (0.5, 0.8, "inconclusive"),
        (0, 0.79, "fail"),
    ],
)
def test_a_share_is_to_be_at_least_its_bound_whatever_each_patient_is_held_to(
    direction: str, low: float, high: float, outcome: str
) -> None:
    share = criterion(direction, statistic="fraction_within", per_patient_bound=3.0, bound=0.8)
    assert interval_outcome(share, low, high) == outcome


@pytest.mark.parametrize(
    ("direction", "known", "best", "worst"),
    [
        ("at_most", (3.0, None), 3.0, INF),
        ("at_most", (None, 3.0), -INF, 3.0),
        ("at_most", (2.0, 3.0), 2.0, 3.0),
        ("at_least", (3.0, None), INF, 3.0),
        ("at_least", (None, 3.0), 3.0, -INF),
        ("at_least", (2.0, 3.0), 3.0, 2.0),
        ("within", (3.0, None), 3.0, INF),
        ("within", (None, -3.0), -3.0, -INF),
        ("within", (None, 3.0), 0.0, -INF),
        ("within", (-2.0, 3.0), 0.0, 3.0),
        ("within", (-3.0, 2.0), 0.0, -3.0),
        ("within", (-3.0, -2.0), -2.0, -3.0),
        ("at_most", 4.0, 4.0, 4.0),
        ("at_least", 4.0, 4.0, 4.0),
        ("within", -4.0, -4.0, -4.0),
    ],
)
def test_the_best_and_the_worst_that_an_examination_can_be(
    direction: str, known: Any, best: float, worst: float
) -> None:
    row = examined("a1", known)
    assert (mildest(criterion(direction), row), gravest(criterion(direction), row)) == (best, worst)


# --- the worst patient


WORST = [
    # direction, cases, outcome, the worst, sites
    ("at_most", {"a1": 4.0, "b1": 5.0}, "pass", "b1", ("B",)),
    ("at_most", {"a1": 4.0, "b1": 5.001}, "fail", "b1", ("B",)),
    ("at_most", {"a1": 6.0, "b1": 7.0}, "fail", "b1", ("A", "B")),
    ("at_most", {"a1": 6.0, "b1": 6.0}, "fail", "a1", ("A", "B")),  # of equals the first
    ("at_most", {"a1": 4.0, "b1": 4.0}, "pass", "a1", ("A",)),
    ("at_most", {"a1": 4.0, "b1": (4.0, None)}, "inconclusive", "b1", ("B",)),  # a bound goes first
    ("at_most", {"a1": 4.0, "b1": (None, 5.0)}, "pass", "a1", ("A",)),
    ("at_most", {"a1": 4.0, "b1": (None, 5.001)}, "inconclusive", "a1", ("A",)),
    ("at_most", {"a1": 4.0, "b1": (5.0, None)}, "inconclusive", "b1", ("B",)),
    ("at_most", {"a1": 4.0, "b1": (5.001, None)}, "fail", "b1", ("B",)),
    ("at_least", {"a1": 5.0, "b1": 6.0}, "pass", "a1", ("A",)),
    ("at_least", {"a1": 4.999, "b1": 6.0}, "fail", "a1", ("A",)),
    ("at_least", {"a1": 6.0, "b1": (None, 5.0)}, "inconclusive", "b1", ("B",)),
    ("at_least", {"a1": 6.0, "b1": (5.0, None)}, "pass", "a1", ("A",)),
    ("within", {"a1": -5.0, "b1": 4.0}, "pass", "a1", ("A",)),
    ("within", {"a1": -5.001, "b1": 5.0}, "fail", "a1", ("A",)),
    ("within", {"a1": -4.0, "b1": 4.0}, "pass", "a1", ("A",)),
    # A case without a value takes a pass away and never a fail, nor is it the worst.
    ("at_most", {"a1": 4.0, "b1": 5.0, "b2": "lost"}, "inconclusive", "b1", ("B",)),
    ("at_most", {"a1": 4.0, "b1": 5.001, "b2": "lost"}, "fail", "b1", ("B",)),
    ("at_most", {"a1": 4.0, "b1": 5.0, "b2": "absent"}, "pass", "b1", ("B",)),
    ("at_least", {"a1": 6.0, "b1": 7.0, "b2": "lost"}, "inconclusive", "a1", ("A",)),
    # One patient of four refused is a quarter: not more than that.
    ("at_most", {"a1": 4, "a2": 3, "a3": 2, "b1": "refused"}, "pass", "a1", ("A",)),
    ("at_most", {"a1": 4, "a2": 3, "b1": "refused"}, "inconclusive", "a1", ("A",)),
    ("at_most", {"a1": 6, "a2": 3, "b1": "refused"}, "fail", "a1", ("A",)),
]


@pytest.mark.parametrize(("direction", "cases", "outcome", "worst", "sites"), WORST)
def test_the_worst_patient(
    direction: str, cases: dict[str, Any], outcome: str, worst: str, sites: tuple[str, ...]
) -> None:
    asked = criterion(direction, scope="worst_patient", statistic=DIRECTIONS[direction])
    found = found_in(asked, values(**cases))
    assert (found.outcome, found.scope_name, found.sites) == (outcome, worst, sites)
    held = cases[worst]
    bounds = held if isinstance(held, tuple) else (None, None)
    value = None if isinstance(held, tuple) else held
    assert (found.estimate, found.at_least, found.at_most) == (value, *bounds)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("extreme", ["max", "min"])
def test_an_extreme_is_the_worst_patient_in_every_scope(extreme: str) -> None:
    direction = {"max": "at_most", "min": "at_least"}[extreme]
    asked = criterion(direction, statistic=extreme, scope="each_site", bound=5.0)
    here = {"a1": 4.0, "a2": 6.0, "b1": 5.0}
    found = {f.scope_name: f for f in apply_criterion(asked, values(**here), RULES)}
    assert {name: f.outcome for name, f in found.items()} == {"A": "fail", "B": "pass"}
    assert found["A"].estimate == {"max": 6.0, "min": 4.0}[extreme]


@pytest.mark.parametrize(
    ("cases", "missing_it"),
    [
        ({"a1": 6.0, "a2": 4.0}, None),  # one alone is the worst that is named
        ({"a1": 6.0, "a2": 7.0, "b1": 4.0}, "2 of 3"),
        ({"a1_1": 6.0, "a1_2": 7.0, "b1": 4.0}, None),  # two examinations of one patient
    ],
)
def test_patients_who_miss_a_bound_are_counted(
    cases: dict[str, Any], missing_it: str | None
) -> None:
    sentence = found_in(criterion(scope="worst_patient", statistic="max"), values(**cases)).sentence
    assert re.findall(r"\d+ of \d+(?= patients)", sentence) == ([missing_it] if missing_it else [])


# --- what takes a pass away


def near(value: float, patients: int) -> list[float]:
    """Values about one, as none alike have an interval."""
    return [value + 0.01 * (-1) ** n for n in range(patients)]


@pytest.mark.parametrize(
    ("patients", "required", "value", "outcome"),
    [
        (3, 3, 4.0, "pass"),
        (3, 4, 4.0, "inconclusive"),
        (3, 3, 6.0, "fail"),
        (3, 4, 6.0, "inconclusive"),  # too few for a mean to fail either
        (2, 2, 4.0, "pass"),
        (1, 1, 4.0, "inconclusive"),  # no interval from one patient
    ],
)
def test_the_least_number_of_patients(
    patients: int, required: int, value: float, outcome: str
) -> None:
    found = found_in(criterion(min_patients=required), numbered(*near(value, patients)))
    assert (found.outcome, found.patients) == (outcome, patients)


@pytest.mark.parametrize(
    ("patients", "required", "value", "outcome"),
    [(3, 3, 5.0, "pass"), (2, 3, 5.0, "inconclusive"), (2, 3, 6.0, "fail")],
)
def test_too_few_patients_do_not_excuse_the_worst(
    patients: int, required: int, value: float, outcome: str
) -> None:
    asked = criterion(scope="worst_patient", statistic="max", min_patients=required)
    assert found_in(asked, numbered(*[value] * patients)).outcome == outcome


@pytest.mark.parametrize(
    ("refused", "measured", "limit", "outcome"),
    [
        (1, 3, 0.25, "pass"),
        (1, 3, 0.24, "inconclusive"),
        (2, 6, 0.25, "pass"),
        (3, 6, 0.25, "inconclusive"),
        (0, 3, 0.0, "pass"),
        (1, 9, 0.0, "inconclusive"),
        (9, 2, 1.0, "pass"),
    ],
)
def test_the_share_that_preflight_may_refuse(
    refused: int, measured: int, limit: float, outcome: str
) -> None:
    cases: dict[str, Any] = {f"a{n}": value for n, value in enumerate(near(4.0, measured))}
    cases |= {f"b{n}": "refused" for n in range(refused)}
    found = found_in(criterion(), values(**cases), Rules(max_refused_fraction=limit))
    assert (found.outcome, found.missing) == (outcome, refused)


def test_a_patient_of_whom_one_examination_was_refused_is_not_refused() -> None:
    sample = values(a1_1=4.0, a1_2="refused", a2="refused", a3=4.0)
    assert (sample.refused, sample.missing) == ({"a2"}, {"a2"})
    assert sample.measured == {"a1", "a3"} and sample.patients == {"a1", "a2", "a3"}
    lost = values(a1_1=4.0, a1_2="lost", a2="absent")
    assert (lost.refused, lost.missing, lost.measured) == (frozenset(), {"a1"}, {"a1"})


@pytest.mark.parametrize("seen", ["a1", "a3"])
def test_a_patient_of_the_training_takes_a_pass_away_and_no_fail(seen: str) -> None:
    rules = Rules(max_refused_fraction=1, seen_in_training=frozenset({seen}))
    good, bad = values(a1=4.0, a2=4.01, a3=4.0), values(a1=6.0, a2=6.01, a3=6.0)
    assert found_in(criterion(), good, rules).outcome == "inconclusive"
    assert found_in(criterion(), bad, rules).outcome == "fail"
    assert found_in(criterion(), values(a2=4.0, a4=4.01), rules).outcome == "pass"


# --- ranks, ties and ends


@pytest.mark.parametrize(
    ("n", "rank"),
    [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (14, 3), (15, 4), (17, 5), (20, 6), (25, 8)],
)
def test_ranks_of_the_exact_median_interval(n: int, rank: int) -> None:
    """As tabulated for 95 %, for example by Hahn and Meeker: from x_(rank) to x_(n+1-rank)."""
    found = median_interval(np.arange(1, n + 1)[::-1])
    assert (found.low, found.high) == (rank, n + 1 - rank)
    assert found.estimate == (n + 1) / 2


@pytest.mark.parametrize(
    ("n", "confidence", "ends"),
    [
        (6, 1 - 2 / 64, (1, 6)),  # both tails are 1/64: at the level itself there is an interval
        (6, 1 - 1.9 / 64, (None, None)),
        (7, 1 - 2 * 8 / 128, (2, 6)),  # P(B < 2) = (1 + 7) / 128
        (7, 1 - 2 * 7.9 / 128, (1, 7)),
        (5, 0.95, (None, None)),
        (5, 0.9, (1, 5)),
        (2, 0.95, (None, None)),
        (1, 0.95, (None, None)),
    ],
)
def test_the_median_interval_at_its_level(
    n: int, confidence: float, ends: tuple[float | None, float | None]
) -> None:
    found = median_interval(np.arange(1, n + 1), confidence=confidence)
    assert (found.low, found.high, found.n) == (*ends, n)


@pytest.mark.parametrize(
    ("found", "value", "low", "high"),
    [
        ([1.0] * 6, 1.0, 1.0, 1.0),
        ([1, 1, 1, 2, 2, 2], 1.5, 1, 2),
        ([1, 2, 2, 2, 2, 2, 2, 2, 9], 2, 2, 2),  # the second of each end
        # The unknown lies beyond: it keeps its rank.
        ([1, 2, 3, 4, 5, (6.0, None)], 3.5, 1, None),
        ([(None, 1.0), 2, 3, 4, 5, 6], 3.5, None, 6),
        ([1, 2, 3, 4, 5, 6, 7, 8, (9.0, None)], 5, 2, 8),
        ([(None, 1.0), 2, 3, 4, 5, 6, 7, 8, 9], 5, 2, 8),
        ([1, 2, 3, 4, 5, 6, 7, 8, (8.0, None)], 5, 2, 8),
        ([1, 2, 3, 4, 5, 6, 7, (7.0, 8.0), 9], 5, 2, 8),
    ],
)
def test_medians_with_ties_and_unknown_ends(
    found: list[Any], value: float, low: float | None, high: float | None
) -> None:
    result = found_in(criterion(statistic="median", bound=100), numbered(*found))
    assert (result.estimate, result.low, result.high) == (value, low, high)


@pytest.mark.parametrize(
    ("found", "at_least", "at_most"),
    [
        ([1, 2, 3, (3.0, None), (3.0, None), (3.0, None)], 3.0, None),
        ([(None, 3.0), (None, 3.0), (None, 3.0), 3, 4, 5], None, 3.0),
        ([1, 2, (2.0, 4.0), (2.0, 6.0), 7, 8], 2.0, 5.0),
        ([(None, 3.0), (3.0, None)], None, None),
        ([(None, None)], None, None),
    ],
)
def test_a_median_that_the_unknown_moves(
    found: list[Any], at_least: float | None, at_most: float | None
) -> None:
    result = estimate(criterion(statistic="median"), numbered(*found))
    assert (result.value, result.at_least, result.at_most) == (None, at_least, at_most)


@pytest.mark.parametrize(
    ("direction", "found", "fewest", "most"),
    [
        ("at_most", [4, 5, 5.001], 2, 2),
        ("at_least", [4.999, 5, 6], 2, 2),
        ("within", [-5.001, -5, 0, 5, 5.001], 3, 3),
        ("at_most", [(None, 5.0), (5.0, None), (5.001, None), (None, 5.001)], 1, 3),
        ("at_least", [(5.0, None), (None, 5.0), (None, 4.999), (4.999, None)], 1, 3),
        ("within", [(-5.0, 5.0), (5.0, None), (5.001, None), (None, -5.0), (None, -5.001)], 1, 3),
        ("within", [(-5.001, 5.0), (-5.0, 5.001)], 0, 2),
    ],
)
def test_the_share_that_meets_a_limit(
    direction: str, found: list[Any], fewest: int, most: int
) -> None:
    share = criterion(direction, statistic="fraction_within", per_patient_bound=5.0, bound=0.5)
    result = estimate(share, numbered(*found))
    n = len(found)
    if fewest == most:
        assert (result.value, result.at_least, result.at_most) == (most / n, None, None)
    else:
        assert (result.value, result.at_least, result.at_most) == (None, fewest / n, most / n)
    assert result.low == proportion_interval(fewest, n).low
    assert result.high == proportion_interval(most, n).high


@pytest.mark.parametrize(
    ("met", "n", "side", "low", "high"),
    [
        (0, 5, "two", 0.0, 1 - 0.025 ** (1 / 5)),
        (5, 5, "two", 0.025 ** (1 / 5), 1.0),
        (0, 5, "upper", 0.0, 1 - 0.05 ** (1 / 5)),
        (5, 5, "upper", 0.0, 1.0),
        (1, 1, "two", 0.025, 1.0),
        (0, 1, "two", 0.0, 0.975),
    ],
)
def test_proportions_at_their_ends(met: int, n: int, side: Any, low: float, high: float) -> None:
    found = proportion_interval(met, n, side=side)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.estimate, found.n) == (met / n, n)


@pytest.mark.parametrize(("sites", "has_interval"), [(1, False), (5, False), (6, True), (7, True)])
def test_a_new_site_needs_six(sites: int, has_interval: bool) -> None:
    found = new_site_interval({str(n): [n + 0.1 * m for m in range(5)] for n in range(sites)})
    assert (found.low is not None, found.n) == (has_interval, sites)


@pytest.mark.parametrize(("patients", "has_interval"), [(1, False), (4, False), (5, True)])
def test_a_new_site_needs_five_patients_of_each(patients: int, has_interval: bool) -> None:
    by_site = {str(n): [n + 0.1 * m for m in range(5)] for n in range(6)}
    by_site["6"] = [3 + 0.1 * m for m in range(patients)]
    found = new_site_interval(by_site)
    assert found.low is not None if has_interval else "fewer than 5 patients" in found.why
