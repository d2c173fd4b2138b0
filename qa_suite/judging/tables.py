"""What cannot be true in the tables of a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.errors import raise_problems
from qa_suite.core.records import CaseRecord

_MOST = np.iinfo(np.int64).max


def table_problems(measurements: pd.DataFrame, cases: Sequence[CaseRecord]) -> list[str]:
    """Say what is wrong with the two tables of a record, one sentence each."""
    known = {case.case: case for case in cases}
    return [*case_problems(cases), *row_problems(measurements, known)]


def case_problems(cases: Sequence[CaseRecord]) -> list[str]:
    """Say which cases are listed twice."""
    names = Counter(case.case for case in cases)
    return [f"case {case} is listed twice" for case in sorted(names) if names[case] > 1]


def row_problems(measurements: pd.DataFrame, known: Mapping[str, CaseRecord]) -> list[str]:
    """Say what is wrong with measurements of the known cases, by name, one sentence each."""
    problems = []
    told = distinct(measurements, ["case", "patient", "site"])
    for case in sorted(set(told["case"]) - set(known)):
        problems.append(f"case {case} was measured but is not in the case table")
    for case, patient, site in sorted(told.itertuples(index=False, name=None)):
        if case in known and (known[case].patient, known[case].site) != (patient, site):
            problems.append(f"case {case} has another patient or site in its measurements")
    numbers = measurements["value"].astype("float64").to_numpy()
    is_ok = (measurements["status"] == "ok").to_numpy()
    is_censored = (measurements["status"] == "censored").to_numpy()
    low, high = (bounds_of(measurements, name) for name in ("at_least", "at_most"))
    unbounded = np.isnan(low) & np.isnan(high)
    keys = ["case", "metric", "region", "variant"]
    for bad, what in (
        (together(measurements, keys).duplicated().to_numpy(), "is there twice"),
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


def together(measurements: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return a whole number for each row, alike exactly where all of the columns are.

    Texts are compared once each, and then their numbers: a record of a thousand cases has half a
    million rows of a few hundred different texts.
    """
    numbers = np.zeros(len(measurements), dtype=np.int64)
    for column in columns:
        codes, words = pd.factorize(measurements[column], use_na_sentinel=False)
        numbers = numbers * max(len(words), 1) + codes
        if len(words) and numbers.size and numbers.max() > _MOST // 1_000_000:
            numbers, _ = pd.factorize(numbers)  # so that the next column fits too
    return pd.Series(numbers)


def distinct(measurements: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return what stands in some columns, each combination once, in the order of the rows."""
    first = ~together(measurements, columns).duplicated().to_numpy()
    return measurements.loc[first, list(columns)]


def require_sound_tables(measurements: pd.DataFrame, cases: Sequence[CaseRecord]) -> None:
    """Raise :class:`~qa_suite.core.errors.Problems` with everything wrong in the two tables."""
    raise_problems("The record", table_problems(measurements, cases))


def bounds_of(measurements: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return ``at_least``, ``at_most`` or ``coverage`` of every row, NaN where there is none."""
    if name not in measurements:  # an old table
        return np.full(len(measurements), np.nan)
    return np.asarray(measurements[name].astype("float64"))
