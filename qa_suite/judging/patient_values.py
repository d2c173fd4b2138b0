"""One measure over a set of patients: who has a value, who has none, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from qa_suite.core.measure_kinds import UNKNOWN_KIND, MeasureKind
from qa_suite.core.records import Criterion
from qa_suite.judging.outcomes import Direction
from qa_suite.judging.statistics import patient_means

Fate = Literal["value", "censored", "refused", "lost", "absent", "excluded"]
"""What became of a case under a measure; :mod:`qa_suite.judging.collect` decides it."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The key of a measurement: metric, region and variant."""

    metric: str
    region: str
    variant: str = "default"

    @classmethod
    def of(cls, criterion: Criterion) -> Measure:
        """Return the measure that a criterion bounds."""
        return cls(metric=criterion.metric, region=criterion.region, variant=criterion.variant)


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
class PatientValues:
    """All cases of a scope under one measure."""

    measure: Measure
    unit: str | None
    rows: tuple[Examined, ...]
    held_instead: str = ""
    """Where the record holds the measure for no case: which ones close to it it holds."""
    kind: MeasureKind = UNKNOWN_KIND
    """Of the measure, as the record has it; it decides the interval of a mean."""

    def where(self, keep: Callable[[Examined], bool]) -> PatientValues:
        """Return the values of the rows to keep."""
        return replace(self, rows=tuple(row for row in self.rows if keep(row)))

    def with_misses_as(self, value: float) -> PatientValues:
        """Return the values in which a missed structure counts with a value of its own."""
        rows = [replace(row, fate="value", value=value) if row.missed else row for row in self.rows]
        return replace(self, rows=tuple(rows))

    def at(self, *sites: str) -> PatientValues:
        """Return the values of the named sites."""
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

        Columns ``low`` and ``high``; alike where every examination was measured. Where a censored
        one has no bound to a side it is the end of the measure's range, infinite where there is
        none.
        """
        rows = [row for row in self.rows if row.fate in ("value", "censored")]
        ends = np.array([(row.low, row.high) for row in rows], dtype=np.float64).reshape(-1, 2)
        bound = np.array([row.value is None for row in rows], dtype=bool)
        ends[bound] = np.clip(ends[bound], self.kind.low, self.kind.high)
        table = pd.DataFrame({"patient": [row.patient for row in rows]})
        table[["low", "high"]] = ends
        return table.groupby("patient").mean()

    def worst_bounds(self, direction: Direction) -> pd.DataFrame:
        """Return the lowest and highest that each patient's *worst* examination can be.

        As :meth:`patient_bounds`. Where the good side is around zero they are magnitudes.
        """
        rows = [row for row in self.rows if row.fate in ("value", "censored")]
        low, high = (np.array([getattr(r, end) for r in rows], float) for end in ("low", "high"))
        if direction == "within":
            low, high = (
                np.where((low <= 0) & (high >= 0), 0.0, np.minimum(np.abs(low), np.abs(high))),
                np.maximum(np.abs(low), np.abs(high)),
            )
        table = pd.DataFrame({"patient": [row.patient for row in rows], "low": low, "high": high})
        patients = table.groupby("patient")
        return patients.min() if direction == "at_least" else patients.max()

    @property
    def examinations(self) -> dict[str, int]:
        """Patient to how many examinations have a value, or a bound."""
        return dict(Counter(r.patient for r in self.rows if r.fate in ("value", "censored")))

    def patient_hospitals(self) -> dict[str, str]:
        """Return the hospital of each patient with a value, by which patients resemble each other.

        Hospitals that share a patient are one: to which of them he belongs nothing but their names
        would tell.
        """
        rows = [row for row in self.rows if row.fate in ("value", "censored")]
        of = {row.site: row.site for row in rows}
        for _ in of:  # at the latest after so many turns nothing moves any more
            together: dict[str, str] = {}
            for row in rows:
                together[row.patient] = min(together.get(row.patient, of[row.site]), of[row.site])
            for row in rows:
                of[row.site] = min(of[row.site], together[row.patient])
        return {row.patient: of[row.site] for row in rows}

    def reasons(self, *fates: Fate) -> dict[str, str]:
        """Return case to reason for the cases with one of the fates."""
        return {row.case: row.why for row in self.rows if row.fate in fates}

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in alphabetical order."""
        return tuple(sorted({row.site for row in self.rows}))

    @property
    def at_sites(self) -> frozenset[str]:
        """The sites with at least one value, or a bound of one."""
        return frozenset(row.site for row in self.rows if row.fate in ("value", "censored"))

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
    def lost(self) -> frozenset[str]:
        """Patients of whom an examination was lost, and none has a value or a bound of it."""
        found = frozenset(row.patient for row in self.rows if row.fate == "lost")
        return found - self.measured

    @property
    def refused(self) -> frozenset[str]:
        """Patients of whom every case that is not excluded was refused."""
        found = {row.patient for row in self.rows if row.fate == "refused"}
        others = {row.patient for row in self.rows if row.fate not in ("refused", "excluded")}
        return frozenset(found - others)

    @property
    def excluded(self) -> frozenset[str]:
        """Patients of whom the profile excludes a case: leaving out the worst one is choosing."""
        return frozenset(row.patient for row in self.rows if row.fate == "excluded")

    @property
    def absent(self) -> frozenset[str]:
        """Patients of whom no examination has the region in its reference."""
        found = {row.patient for row in self.rows if row.fate == "absent"}
        others = ("value", "censored", "lost")
        return frozenset(found - {row.patient for row in self.rows if row.fate in others})

    @property
    def asked(self) -> frozenset[str]:
        """Patients whose translator was asked and who are not excluded."""
        out = ("refused", "excluded")
        return frozenset(row.patient for row in self.rows if row.fate not in out)

    @property
    def missing(self) -> frozenset[str]:
        """Patients with a lost examination, or refused as a whole."""
        return self.refused | {row.patient for row in self.rows if row.fate == "lost"}
