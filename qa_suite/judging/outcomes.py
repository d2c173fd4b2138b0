"""Where numbers and intervals stand to a bound; touching a bound is on its good side. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from qa_suite.core.records import Criterion, Outcome

Direction = Literal["at_most", "at_least", "within"]


def meets(criterion: Criterion, value: float, bound: float) -> bool:
    """Say whether one number is on the good side of a bound (the bound itself is good)."""
    if criterion.direction == "at_most":
        return value <= bound
    if criterion.direction == "at_least":
        return value >= bound
    return abs(value) <= bound


def interval_outcome(criterion: Criterion, low: float, high: float) -> Outcome:
    """Hold an interval against the criterion's bound."""
    bound, direction = criterion.bound, criterion.direction
    if criterion.statistic == "fraction_within":
        direction = "at_least"
    good = (-float("inf"), bound)
    if direction == "at_least":
        good = (bound, float("inf"))
    elif direction == "within":
        good = (-bound, bound)
    if good[0] <= low and high <= good[1]:
        return "pass"
    return "fail" if high < good[0] or low > good[1] else "inconclusive"


def overall_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail if anything fails, else inconclusive if anything is, else pass; nothing is no pass."""
    found = set(outcomes)
    if "fail" in found:
        return "fail"
    return "inconclusive" if "inconclusive" in found or not found else "pass"
