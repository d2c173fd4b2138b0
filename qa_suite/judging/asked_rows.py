"""The rows that a profile asks of a record, taken from its tables part by part.

Every row is read and held against the rules of :mod:`qa_suite.judging.tables`, and those that no
criterion and no built-in rule asks for are let go: memory is that of what is asked, not of the
record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qa_suite.core.record_files import ABSENT, measurement_parts
from qa_suite.core.records import CaseRecord, Profile
from qa_suite.core.table_parts import joined
from qa_suite.judging.collect import FAMILY_METRIC, FINDERS
from qa_suite.judging.criteria.built_in import BEYOND_TABLE, TOO_GOOD_METRICS
from qa_suite.judging.dose_line import TOLD_METRICS
from qa_suite.judging.examinations import COST
from qa_suite.judging.tables import case_problems, row_problems


@dataclass(frozen=True, kw_only=True)
class AskedRows:
    """What judging reads of the measurements."""

    rows: pd.DataFrame
    """Those that are asked, in the order of the table."""
    alike: pd.DataFrame
    """All rows of the cases that may be copies of each other."""
    metrics: Collection[str]
    """Every metric that the record holds of the given cases."""


def metrics_asked(profile: Profile) -> frozenset[str]:
    """Return the metrics that a profile, or a rule built into every verdict, asks for."""
    own = (*(one.metric for one in profile.criteria), *(one.metric for one in profile.describe))
    built_in = (*TOO_GOOD_METRICS, *FINDERS, *TOLD_METRICS, FAMILY_METRIC, BEYOND_TABLE)
    return frozenset((*own, *built_in))


def asked_rows(
    folder: Path, profile: Profile, cases: Sequence[CaseRecord], judged: Sequence[CaseRecord]
) -> AskedRows | None:
    """Read the rows that a profile asks of a record.

    Parameters
    ----------
    folder
        Of an evaluation.
    profile
        The criteria.
    cases, judged
        The case table, and those of it that are judged.

    Returns
    -------
    AskedRows or None
        None where the tables contradict themselves, or the rows of a case do not stand together:
        then only the whole table can tell.
    """
    reading = _Reading(metrics_asked(profile), cases, {case.case for case in judged})
    if case_problems(cases):
        return None
    for name, part in measurement_parts(folder):
        if not reading.takes(name, part):
            return None
    if not reading.kept:
        return None
    alike = reading.alike()
    return AskedRows(
        rows=joined(reading.kept),
        alike=_rows_of(folder, alike) if alike else reading.kept[0].iloc[:0],
        metrics=frozenset(reading.held),
    )


def asked_of(
    measurements: pd.DataFrame, profile: Profile, judged: Sequence[CaseRecord]
) -> AskedRows:
    """Return the rows that a profile asks of a whole table that is at hand."""
    inside = measurements["case"].isin({case.case for case in judged})
    return AskedRows(
        rows=measurements[_is_asked(measurements, metrics_asked(profile))],
        alike=measurements,
        metrics=frozenset(measurements.loc[inside, "metric"].unique()),
    )


def _is_asked(rows: pd.DataFrame, metrics: Collection[str]) -> pd.Series:
    """Say which rows are asked: of these metrics, or undefined without saying by which image."""
    silent = rows["status"] == "undefined"
    if ABSENT in rows:
        silent &= rows[ABSENT].isna()
    return rows["metric"].isin(metrics) | silent


class _Reading:
    """What is remembered between the parts."""

    def __init__(
        self, metrics: Collection[str], cases: Sequence[CaseRecord], judged: Collection[str]
    ) -> None:
        self._metrics, self._judged = metrics, judged
        self._known = {case.case: case for case in cases}
        self._met: dict[str, set[str]] = defaultdict(set)
        self._of_file: dict[str, set[str]] = defaultdict(set)
        self._sums: dict[tuple[int, int], list[str]] = defaultdict(list)
        self.kept: list[pd.DataFrame] = []
        self.held: set[str] = set()

    def takes(self, name: str, part: pd.DataFrame) -> bool:
        """Take what is asked of a part; false where it needs the whole table to be judged."""
        codes = part["case"].cat.codes.to_numpy()
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else codes
        here = [str(case) for case in part["case"].iloc[starts]]
        if len(set(here)) < len(here) or not self._met[name].isdisjoint(here):
            return False
        self._met[name].update(here)
        self._of_file[name].update(part["metric"].unique())
        others = (found for file, found in self._of_file.items() if file != name)
        if not self._of_file[name].isdisjoint(set().union(*others)):
            return False
        if row_problems(part, self._known):
            return False
        self._sum_up(part, here, starts)
        self.kept.append(part[_is_asked(part, self._metrics)])
        self.held.update(part.loc[part["case"].isin(self._judged), "metric"].unique())
        return True

    def _sum_up(self, part: pd.DataFrame, here: list[str], starts: np.ndarray) -> None:
        """Sum the bits of each case's values: cases alike in every value have the same sum."""
        counts = (part["family"] != COST).to_numpy()
        values = part["value"].to_numpy(np.float64) + 0.0
        values[np.isnan(values)] = np.nan
        bits = np.where(counts, values.view(np.uint64), np.uint64(0))
        for case, rows, total in zip(
            here,
            np.add.reduceat(counts, starts, dtype=np.int64) if here else (),
            np.add.reduceat(bits, starts) if here else (),
            strict=True,
        ):
            if rows and case in self._judged:
                self._sums[int(rows), int(total)].append(case)

    def alike(self) -> set[str]:
        """Return the cases that may repeat another one."""
        return {case for found in self._sums.values() if len(found) > 1 for case in found}


def _rows_of(folder: Path, cases: Collection[str]) -> pd.DataFrame:
    """Return every row of some cases."""
    return joined([part[part["case"].isin(cases)] for _, part in measurement_parts(folder)])
