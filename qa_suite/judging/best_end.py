"""Where every patient lies near the best end of what a measure can be: that passes. Pure.

Alike values have no interval of their mean, and nor have values of which most lie at an end and a
few a little off it: the spread tells nothing. A gamma pass rate of 100 % in every patient would
leave its bound of 95 % undecided, and one of 99 to 100 % would meet it. So where no interval can
be given, and every examination lies within a tenth of the way from the best end of the declared
range to the bound, the bound is met.

What is presumed: of a model whose mean is exactly at the bound at most :data:`LARGEST_SHARE` of the
patients lie so near the end. That is so for distances from the end that are distributed as gamma
with a coefficient of variation up to 2.5, and where a few patients lie off the end by up to 2.5
times the way to the bound. All of n patients then do in at most ``LARGEST_SHARE ** n`` of studies,
and n follows from the confidence: 8 for a two-sided 95 %.
"""

from __future__ import annotations

import math

from qa_suite.core.measure_kinds import end_slack
from qa_suite.core.records import Criterion, Reason
from qa_suite.core.wording import count, stated
from qa_suite.judging.patient_values import PatientValues

NEAR = 0.1
"""Of the way from the best end to the bound: nearer is near."""
LARGEST_SHARE = 0.6
"""Of the patients of a model at the bound, most that may lie near the best end."""


def fewest(confidence: float) -> int:
    """Return of how many patients all must lie near the best end."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(LARGEST_SHARE))


def near_best_end(criterion: Criterion, values: PatientValues, units: int) -> Reason | None:
    """Say that all values are nearly as good as can be; None where they are not.

    Parameters
    ----------
    criterion, values
        The mean of what.
    units
        What the finding counts: patients, or the hospitals that are its sample.
    """
    best = values.kind.high if criterion.direction == "at_least" else values.kind.low
    way = abs(best - criterion.bound)
    if (
        criterion.statistic != "mean"
        or criterion.direction == "within"
        or not 0 < way < math.inf
        or values.lost
        or values.censored  # a mean that contains a censored value is undecided
        or units < fewest(criterion.confidence)
    ):
        return None
    limit = NEAR * way + end_slack(best)
    rows = [row for row in values.rows if row.fate == "value"]
    if not all(abs(end - best) <= limit for row in rows for end in (row.low, row.high)):
        return None
    away, n = stated(NEAR * way, criterion.unit), count(len(values.measured), "patient")
    return Reason(
        code="near_best_end",
        words=f"within {away} of the best that it can be, {stated(best, criterion.unit)}, in all "
        f"of {n}",
    )
