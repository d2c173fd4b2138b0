"""Rows of the dose over the patients: their mean and range, and why some have no value."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import pandas as pd

from qa_suite.core.wording import count as count_of
from reports.facts.patients import SHOWN, censored_text, over_patients, range_text, worst_patient
from reports.facts.wording import without_value

NOT_RECORDED: Final = "undefined: no such measurement was recorded"

_Key = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One number over the patients, a patient's examinations averaged first.

    ``mean``, ``low`` and ``high`` are None where no patient has a value; ``why`` says what became
    of it and the commonest reason. Where a patient is censored there is no mean either, and
    ``censored`` says how many are and from where to where all lie. ``worst`` names the cases of
    the worst patient, where one side is worse.
    """

    unit: str
    patients: int
    mean: float | None
    low: float | None
    high: float | None
    worst: str
    missing: int
    why: str
    censored: str = ""


def spread(rows: pd.DataFrame, direction: str = "none") -> Spread:
    """Summarise the rows of one metric, region and variant over the patients."""
    lost = rows[~rows["status"].isin(SHOWN)]
    values = over_patients(rows.itertuples(index=False))
    unit = str(rows["unit"].iloc[0]) if len(rows) else ""
    censored = censored_text(values)
    numbers = [] if censored else [value.low for value in values]
    worst = worst_patient(values, direction) if len(values) > 1 else None
    return Spread(
        unit=unit,
        patients=len(values),
        mean=fmean(numbers) if numbers else None,
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        worst=worst.cases if worst else "",
        missing=len(lost),
        censored=f"{censored}: {range_text(values, unit)}" if censored else "",
        why=commonest([without_value(row) for row in lost.itertuples(index=False)]),
    )


def commonest(reasons: Sequence[str]) -> str:
    """Return the reason that is given most often, and how many others there are."""
    if not reasons:
        return NOT_RECORDED
    counts = sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0]))
    more = f" (and {count_of(len(counts) - 1, 'other reason')})" if len(counts) > 1 else ""
    return f"{counts[0][0]}{more}"


class Rows:
    """The dose rows of a record, found by metric, region and variant."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ["metric", "region", "variant"]
        self._by_key: dict[Any, pd.DataFrame] = dict(list(table.groupby(keys, sort=True)))
        self._empty = table.iloc[:0]
        self._values: dict[_Key, tuple[float | None, str]] = {}
        self._censored: set[_Key] = set()
        self._remarks: dict[_Key, str] = {}
        rows: Any = table.itertuples(index=False)
        for row in rows:
            found = float(row.value) if row.status == "ok" else None
            said = "" if row.status == "ok" else without_value(row)
            self._values[row.case, row.metric, row.region, row.variant] = (found, said)
            if row.status == "ok" and row.why:
                self._remarks[row.case, row.metric, row.region, row.variant] = row.why
            if row.status == "censored":
                self._censored.add((row.case, row.metric, row.region, row.variant))

    def of(self, metric: str, region: str, variant: str) -> pd.DataFrame:
        """Return the rows of all cases; none where there is no such measurement."""
        return self._by_key.get((metric, region, variant), self._empty)

    def value(self, case: str, metric: str, region: str, variant: str) -> tuple[float | None, str]:
        """Return a case's value, or None and what is said in its place."""
        return self._values.get((case, metric, region, variant), (None, NOT_RECORDED))

    def is_censored(self, case: str, metric: str, region: str, variant: str) -> bool:
        """Whether only a bound of a case's value is known."""
        return (case, metric, region, variant) in self._censored

    def prescribed_by(self, case: str, variant: str) -> str:
        """Return where a case's prescription comes from; empty where the record does not say."""
        return self._remarks.get((case, "prescribed_dose", "target", variant), "")

    def prescription_gy(self, case: str, variant: str, otherwise: float) -> float:
        """Return the prescription that a case's percentages are of; ``otherwise`` without a row."""
        recorded, _ = self.value(case, "prescribed_dose", "target", variant)
        return otherwise if recorded is None else recorded

    def regions(self, start: str) -> list[str]:
        """Return the names of all regions of a kind, without its prefix, sorted."""
        found = {region for _, region, _ in self._by_key if region.startswith(start)}
        return sorted(region.removeprefix(start) for region in found)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Dose measures without a value, for one reason."""

    status: str
    why: str
    measures: str
    count: int
    cases: tuple[str, ...]


def problems(table: pd.DataFrame) -> tuple[Problem, ...]:
    """Group what has no value by reason, errors first; metrics are named once."""
    lost = table[~table["status"].isin(SHOWN)]
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in lost.itertuples(index=False):
        groups[str(row.status), str(row.why)].append(row)
    return tuple(
        Problem(
            status=status,
            why=why,
            measures=_measures(rows),
            count=len(rows),
            cases=tuple(sorted({str(row.case) for row in rows})),
        )
        for (status, why), rows in sorted(groups.items())
    )


def _measures(rows: Sequence[Any], most: int = 4) -> str:
    metrics = list(dict.fromkeys(str(row.metric) for row in rows))
    regions = list(dict.fromkeys(str(row.region).removeprefix("structure:") for row in rows))
    shown = metrics[:most] + (
        [f"{count_of(len(metrics) - most, 'more metric')}"] if len(metrics) > most else []
    )
    places = regions[:most] + ([f"{len(regions) - most} more"] if len(regions) > most else [])
    return f"{', '.join(shown)} in {', '.join(places)}"
