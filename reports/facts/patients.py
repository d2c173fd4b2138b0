"""One measure over the patients: a value each, or what is known of one that is censored."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from qa_suite.core.wording import brief, number, suffix

SHOWN: Final = ("ok", "censored")
"""Status of the rows that say something of a value."""


@dataclass(frozen=True, kw_only=True)
class PatientValue:
    """One patient: the mean of the examinations, or between what it lies.

    ``cases`` names them. ``low`` and ``high`` are alike where every examination was measured,
    and infinite to the side that nothing is known of.
    """

    cases: str
    low: float
    high: float

    @property
    def censored(self) -> bool:
        """Whether only bounds are known."""
        return self.low != self.high

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """At least and at most."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return low, high

    @property
    def known(self) -> float:
        """The value, or the bound that is known of it: where it is drawn."""
        low, high = self.bounds
        return self.low if low is not None else float(high or 0.0)

    def text(self, unit: str = "") -> str:
        """Write it with its unit: ``9.81 mm``, ``≥ 10 mm``."""
        said = brief(*self.bounds) if self.censored else number(self.low)
        return f"{said}{suffix(unit)}".replace(" ", "\N{NO-BREAK SPACE}")

    def mildest(self, direction: str) -> float:
        """Return how bad it is proven to be: larger is worse; ``direction`` is the better side."""
        if direction == "zero":
            return abs(min(max(0.0, self.low), self.high))
        return self.low if direction == "lower" else -self.high


def over_patients(rows: Iterable[Any]) -> list[PatientValue]:
    """Average each patient's examinations; patients in the order of their names.

    Parameters
    ----------
    rows
        With the columns of :class:`~qa_suite.core.records.Measurement` as attributes, of one
        measure.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if row.status in SHOWN:
            found[str(row.patient)].append(row)
    return [
        PatientValue(
            cases=", ".join(sorted(str(row.case) for row in mine)),
            low=fmean(_end(row, "at_least", -math.inf) for row in mine),
            high=fmean(_end(row, "at_most", math.inf) for row in mine),
        )
        for _, mine in sorted(found.items())
    ]


def worst_patient(values: Sequence[PatientValue], direction: str) -> PatientValue | None:
    """Return the patient who is proven the worst; None without a better side, or all alike.

    Equally bad ones are told apart by being censored, and then by name, so that the same
    record names the same patient.
    """
    alike = len(values) > 1 and len({(v.low, v.high) for v in values}) == 1
    if direction not in ("lower", "higher", "zero") or not values or alike:
        return None
    return min(values, key=lambda v: (-v.mildest(direction), not v.censored, v.cases))


def range_text(values: Sequence[PatientValue], unit: str) -> str:
    """Write from where to where the values lie: ``from 1.2 to ≥ 10 mm``."""
    low, high = min(values, key=lambda v: v.low), max(values, key=lambda v: v.high)
    return f"from {low.text()} to {high.text(unit)}"


def censored_text(values: Sequence[PatientValue]) -> str:
    """Say how many patients are censored; empty where none is."""
    count = sum(value.censored for value in values)
    return f"{count} of {len(values)} censored" if count else ""


def _end(row: Any, side: str, otherwise: float) -> float:
    if row.status == "ok":
        return float(row.value)
    bound: float | None = getattr(row, side)
    return otherwise if bound is None or math.isnan(bound) else float(bound)
