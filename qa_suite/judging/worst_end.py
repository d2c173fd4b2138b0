"""Where every patient lies at the worst end of what a measure can be: that fails. Pure.

Alike values have no interval of their mean, since no spread tells how far it is known, and so
leave their bound undecided. At the worst end of the declared range it is no question of spread: a
Dice of 0, an event or a missed structure in every patient is the worst that could have been found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from qa_suite.core.measure_kinds import end_slack
from qa_suite.core.records import Criterion, Reason
from qa_suite.core.wording import count, stated
from qa_suite.judging.outcomes import meets
from qa_suite.judging.patient_values import PatientValues


def alike_at_worst_end(
    criterion: Criterion, values: PatientValues, *, share: float | None = None
) -> Reason | None:
    """Say that all values are alike and as bad as can be; None where they are not.

    Parameters
    ----------
    criterion, values
        What is asked of whom; of one with a ``missed_penalty``, with the misses counted.
    share
        Of patients who meet the limit, where one is asked and it is known.
    """
    n = len(values.measured)
    if criterion.statistic == "fraction_within" and share == 0:
        return _reason(f"not one of {count(n, 'patient')} meets the limit")
    rows = [row for row in values.rows if row.fate in ("value", "censored")]
    if criterion.missed_penalty is not None and all(row.missed for row in rows):
        return _reason(f"the structure is missed in all of {count(n, 'patient')}")
    for end, to_high in _worst_ends(criterion, values):
        nearest = (row.low if to_high else -row.high for row in rows)
        limit = (end if to_high else -end) - end_slack(end)
        if all(value >= limit for value in nearest):
            where = stated(end, criterion.unit)
            return _reason(f"the worst that it can be, {where}, in all of {count(n, 'patient')}")
    return None


def _worst_ends(criterion: Criterion, values: PatientValues) -> Iterator[tuple[float, bool]]:
    """Yield the finite ends of the range on the bad side, each with whether it is the high one."""
    limit = criterion.bound if criterion.per_patient_bound is None else criterion.per_patient_bound
    ends = (("at_least", values.kind.low, False), ("at_most", values.kind.high, True))
    for direction, end, is_high in ends:
        asked = criterion.direction in (direction, "within")
        if asked and math.isfinite(end) and not meets(criterion, end, limit):
            yield end, is_high


def _reason(words: str) -> Reason:
    return Reason(code="alike_at_worst_end", words=words)
