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

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.core.errors import raise_problems
from qa_suite.core.records import CaseRecord
from qa_suite.judging.askable import held_instead
from qa_suite.judging.patient_values import Examined, Fate, Measure, PatientValues
from qa_suite.judging.tables import bounds_of

NOT_MEASURED = "not measured"
ALWAYS_THERE = ("body", "all")
"""Regions that every measured case has: without a value there, something was not measured."""
FAMILY_METRIC = "family"
"""Metric of the row that stands for a whole family of measures that raised."""


def collect(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord], measure: Measure
) -> PatientValues:
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
    bounds = (bounds_of(here, name) for name in ("at_least", "at_most"))
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
    return PatientValues(
        measure=measure,
        unit=units[0] if units else None,
        rows=tuple(sorted(rows, key=lambda row: row.case)),
        held_instead=held_instead(measure, measurements) if here.empty else "",
    )


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
