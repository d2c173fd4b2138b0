"""One measure over a set of cases: who has a value, who has none, and why.

The one place that decides what a missing value means, for judging and for comparing sites:

- *value*: measured;
- *censored*: measured up to the end of a window, a cap or the image: the value is only known
  to be at least, or at most, a bound;
- *refused*: preflight refused the input pair, so the translator was never asked;
- *lost*: the translation failed, the measure raised, was never taken, or is undefined
  although the reference has the region (a structure that the synthetic image lacks, or the
  body itself: a shift beyond the search, an image without structure);
- *absent*: undefined because the reference itself has no such region in this case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.errors import raise_problems
from qa_suite.core.records import CaseRecord
from qa_suite.judging.statistics import patient_means

Fate = Literal["value", "censored", "refused", "lost", "absent"]

NOT_MEASURED = "not measured"
ALWAYS_THERE = ("body", "all")
"""Regions that every measured case has: without a value there, something was not measured."""
FAMILY_METRIC = "family"
"""Metric of the row that stands for a whole family of measures that raised."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The key of a measurement: metric, region and variant."""

    metric: str
    region: str
    variant: str = "default"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One case under one measure."""

    case: str
    patient: str
    site: str
    fate: Fate
    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    why: str = ""
    missed: bool = False
    """Whether it is undefined because the synthetic image misses the reference's structure."""

    @property
    def low(self) -> float:
        """The lowest that the true value can be; -inf where nothing is known."""
        known = self.at_least if self.value is None else self.value
        return -np.inf if known is None else known

    @property
    def high(self) -> float:
        """The highest that the true value can be; inf where nothing is known."""
        known = self.at_most if self.value is None else self.value
        return np.inf if known is None else known


@dataclass(frozen=True, kw_only=True)
class Sample:
    """All cases of a scope under one measure."""

    measure: Measure
    unit: str | None
    rows: tuple[Examined, ...]

    def where(self, keep: Callable[[Examined], bool]) -> Sample:
        """Return the sample of the rows to keep."""
        return Sample(
            measure=self.measure, unit=self.unit, rows=tuple(r for r in self.rows if keep(r))
        )

    def with_misses_as(self, value: float) -> Sample:
        """Return the sample in which a missed structure counts with a value of its own."""
        rows = [replace(row, fate="value", value=value) if row.missed else row for row in self.rows]
        return Sample(measure=self.measure, unit=self.unit, rows=tuple(rows))

    def at(self, *sites: str) -> Sample:
        """Return the sample of the named sites."""
        return self.where(lambda row: row.site in sites)

    def patient_values(self) -> pd.Series:
        """Return one value a patient (the mean of the patient's examinations), by patient.

        A patient with a censored examination has none: see :meth:`patient_bounds`.
        """
        found: dict[str, list[float]] = {}
        for row in self.rows:
            if row.fate == "value" and row.value is not None and row.patient not in self.censored:
                found.setdefault(row.patient, []).append(row.value)
        return patient_means(found)

    def patient_bounds(self) -> pd.DataFrame:
        """Return the lowest and highest that each patient's value can be, by patient.

        Columns ``low`` and ``high``; alike where every examination was measured, infinite
        where a censored one has no bound to that side.
        """
        rows = [row for row in self.rows if row.fate in ("value", "censored")]
        table = pd.DataFrame(
            {
                "patient": [row.patient for row in rows],
                "low": np.asarray([row.low for row in rows], dtype=np.float64),
                "high": np.asarray([row.high for row in rows], dtype=np.float64),
            }
        )
        return table.groupby("patient").mean()

    def reasons(self, *fates: Fate) -> dict[str, str]:
        """Return case to reason for the cases with one of the fates."""
        return {row.case: row.why for row in self.rows if row.fate in fates}

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in alphabetical order."""
        return tuple(sorted({row.site for row in self.rows}))

    @property
    def patients(self) -> frozenset[str]:
        """Every patient of the scope."""
        return frozenset(row.patient for row in self.rows)

    @cached_property
    def censored(self) -> frozenset[str]:
        """Patients with an examination of which only a bound is known."""
        return frozenset(row.patient for row in self.rows if row.fate == "censored")

    @property
    def measured(self) -> frozenset[str]:
        """Patients with at least one value, or a bound of one."""
        return frozenset(row.patient for row in self.rows if row.fate in ("value", "censored"))

    @property
    def refused(self) -> frozenset[str]:
        """Patients of whom every case was refused."""
        return self.patients - {row.patient for row in self.rows if row.fate != "refused"}

    @property
    def missing(self) -> frozenset[str]:
        """Patients with a lost examination, or refused as a whole."""
        return self.refused | {row.patient for row in self.rows if row.fate == "lost"}


def table_problems(measurements: pd.DataFrame, cases: Sequence[CaseRecord]) -> list[str]:
    """Say what is wrong with the two tables of a record, one sentence each."""
    problems = []
    names = pd.Series([case.case for case in cases])
    for case in sorted(names[names.duplicated()].unique()):
        problems.append(f"case {case} is listed twice")
    known = {case.case: case for case in cases}
    for case in sorted(set(measurements["case"]) - set(known)):
        problems.append(f"case {case} was measured but is not in the case table")
    for case, patient, site in sorted(
        set(zip(measurements["case"], measurements["patient"], measurements["site"], strict=True))
    ):
        if case in known and (known[case].patient, known[case].site) != (patient, site):
            problems.append(f"case {case} has another patient or site in its measurements")
    numbers = measurements["value"].astype("float64").to_numpy()
    is_ok = (measurements["status"] == "ok").to_numpy()
    is_censored = (measurements["status"] == "censored").to_numpy()
    low, high = (_bounds(measurements, name) for name in ("at_least", "at_most"))
    unbounded = np.isnan(low) & np.isnan(high)
    keys = ["case", "metric", "region", "variant"]
    for bad, what in (
        (measurements.duplicated(keys).to_numpy(), "is there twice"),
        (is_ok & ~np.isfinite(numbers), "is ok but not a finite number"),
        (~is_ok & ~np.isnan(numbers), "has a value although it is not ok"),
        (is_censored & unbounded, "is censored but has no bound"),
        (~is_censored & ~unbounded, "has a bound although it is not censored"),
        (np.isinf(low) | np.isinf(high), "has a bound that is not finite"),
        (low > high, "is at least more than it is at most"),
    ):
        rows = measurements.loc[bad, ["case", "metric", "region"]]
        for case, metric, region in rows.itertuples(index=False, name=None):
            problems.append(f"{metric} in {region} of case {case} {what}")
    return problems


def require_sound_tables(measurements: pd.DataFrame, cases: Sequence[CaseRecord]) -> None:
    """Raise :class:`~qa_suite.core.errors.Problems` with everything wrong in the two tables."""
    raise_problems("The record", table_problems(measurements, cases))


def collect(measurements: pd.DataFrame, cases: Sequence[CaseRecord], measure: Measure) -> Sample:
    """Gather one measure over the cases, every case with its fate.

    Raises
    ------
    Problems
        If the measure comes in two units.
    """
    here = measurements[
        (measurements["metric"] == measure.metric)
        & (measurements["region"] == measure.region)
        & (measurements["variant"] == measure.variant)
    ]
    units = sorted(set(here["unit"]))
    if len(units) > 1:
        raise_problems("The record", [f"{measure.metric} comes in the units {', '.join(units)}"])
    told = (here["status"], here["value"], here["why"])
    bounds = (_bounds(here, name) for name in ("at_least", "at_most"))
    found = {case: row for case, *row in zip(here["case"], *told, *bounds, strict=True)}
    found_by = _rows_of_the_finder(measurements, measure)
    present, missed = _reference_has(found_by), _synthetic_misses(found_by)
    if measure.region in ALWAYS_THERE:
        present |= {case.case for case in cases}
    errors = _family_errors(measurements)
    rows = [
        _examined(case, found.get(case.case), present, missed, errors.get(case.case, NOT_MEASURED))
        for case in cases
    ]
    return Sample(
        measure=measure,
        unit=units[0] if units else None,
        rows=tuple(sorted(rows, key=lambda row: row.case)),
    )


def _bounds(measurements: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return one of the bounds of censored rows, NaN where there is none."""
    if name not in measurements:  # a table of schema 1
        return np.full(len(measurements), np.nan)
    return np.asarray(measurements[name].astype("float64"))


def _rows_of_the_finder(measurements: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Return ``missed`` and ``dice`` of the region, by the segmenter that the measure is of.

    The variant is the segmenter's name, alone or followed by ``:`` and a setting; without a
    segmenter of that name it is ``default``, the threshold.
    """
    wanted = measurements["metric"].isin(("missed", "dice"))
    here = measurements[wanted & (measurements["region"] == measure.region)]
    for finder in (measure.variant.partition(":")[0], "default"):
        mine = here[here["variant"] == finder]
        if len(mine):
            return mine
    return here


def _reference_has(found: pd.DataFrame) -> frozenset[str]:
    """Return the cases whose reference is known to have the structure of a region.

    There a distance may be undefined because the translator lost the structure, or made one
    where there is none: that is no absence, and must never drop out of a criterion. The
    metric ``missed`` has a value exactly where the reference has the structure; a Dice of
    zero says that at least one image has it.
    """
    here = found[found["status"] == "ok"]
    present = here[
        (here["metric"] == "missed") | ((here["metric"] == "dice") & (here["value"] == 0))
    ]
    return frozenset(present["case"])


def _synthetic_misses(found: pd.DataFrame) -> frozenset[str]:
    """Return the cases whose synthetic image misses the structure that the reference has."""
    is_miss = (found["metric"] == "missed") & (found["status"] == "ok") & (found["value"] == 1)
    return frozenset(found.loc[is_miss, "case"])


def _family_errors(measurements: pd.DataFrame) -> dict[str, str]:
    """Return case to reason where a whole family of measures raised."""
    rows = measurements[
        (measurements["metric"] == FAMILY_METRIC) & (measurements["status"] == "error")
    ]
    reasons: dict[str, str] = {}
    for case, family, why in zip(rows["case"], rows["family"], rows["why"], strict=True):
        text = f"the {family} measures raised, {why}"
        reasons[case] = f"{reasons[case]}, and {text}" if case in reasons else text
    return reasons


def _examined(
    case: CaseRecord,
    row: Sequence[Any] | None,
    present: frozenset[str],
    missed: frozenset[str],
    unmeasured: str,
) -> Examined:
    def fate(name: Fate, why: str = "", value: float | None = None) -> Examined:
        return Examined(
            case=case.case, patient=case.patient, site=case.site, fate=name, value=value, why=why
        )

    if case.status == "refused":
        return fate("refused", case.reason or "refused by preflight")
    if case.status == "failed":
        return fate("lost", f"failed, {case.reason}" if case.reason else "failed")
    if row is None:
        return fate("lost", unmeasured)
    status, value, why, low, high = row
    if status == "ok":
        return fate("value", value=float(value))
    if status == "censored":
        return replace(
            fate("censored", why),
            at_least=None if np.isnan(low) else float(low),
            at_most=None if np.isnan(high) else float(high),
        )
    if status == "undefined" and case.case not in present:
        return fate("absent", why)
    lost = fate("lost", why or status)
    return replace(lost, missed=status == "undefined" and case.case in missed)
