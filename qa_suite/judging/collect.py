"""One measure over a set of cases: who has a value, who has none, and why.

The one place that decides what a missing value means, for judging and for comparing sites:

- *value*: measured;
- *censored*: measured up to the end of a window, a cap or the image: the value is only known
  to be at least, or at most, a bound;
- *refused*: preflight refused the input pair, so the translator was never asked;
- *lost*: the translation failed, the measure raised, was never taken, was taken in too little of
  its region, or is undefined for any reason but the reference (a structure that the synthetic
  image lacks, a shift beyond the search, an image without structure);
- *absent*: proven from the reference, which has no such region in this case, or no such structure
  delineated: there was nothing to measure, whatever the translator did;
- *excluded*: measured, and left out by a rule of the profile. What was refused or lost is not
  excluded: a failure never leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.core.errors import raise_problems
from qa_suite.core.record_files import ABSENT
from qa_suite.core.records import CaseRecord
from qa_suite.core.wording import percent, stated
from qa_suite.judging.askable import held_instead
from qa_suite.judging.patient_values import Examined, Fate, Measure, PatientValues
from qa_suite.judging.tables import bounds_of

NOT_MEASURED = "not measured"
ALWAYS_THERE = ("body", "all")
"""Regions that every measured case has: without a value there, something was not measured."""
FAMILY_METRIC = "family"
"""Metric of the row that stands for a whole family of measures that raised."""
FINDERS = ("missed", "dice")
"""Metrics that say whether reference and synthetic image have a structure."""
_STRUCTURE = "structure:"


def collect(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    measure: Measure,
    *,
    excluded: Mapping[str, str] | None = None,
    min_coverage: float = 0.0,
    metrics: Collection[str] | None = None,
) -> PatientValues:
    """Gather one measure over the cases, every case with its fate.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation.
    measure
        Which.
    excluded
        Case to reason, of those that the profile leaves out.
    min_coverage
        Share of the region that must have been measured; a value of less is lost.
    metrics
        That the record holds, where it holds more than the given measurements.

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
    told = (here[name].tolist() for name in ("status", "value", "why"))
    numbers = (bounds_of(here, name).tolist() for name in ("at_least", "at_most", "coverage"))
    rows_told = zip(*told, *numbers, strict=True)
    found = dict(zip(here["case"].tolist(), rows_told, strict=True))
    found_by = _rows_of_the_finder(measurements, measure)
    known = _Known(
        region=measure.region,
        absent=_proven_absent(here, found_by, cases, measure),
        missed=_synthetic_misses(found_by),
        errors=_family_errors(measurements),
        excluded=excluded or {},
        min_coverage=min_coverage,
    )
    rows = [_examined(case, found.get(case.case), known) for case in cases]
    return PatientValues(
        measure=measure,
        unit=units[0] if units else None,
        rows=tuple(sorted(rows, key=lambda row: row.case)),
        held_instead=held_instead(measure, measurements, metrics) if here.empty else "",
    )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of the cases beside their rows of the measure."""

    region: str
    absent: frozenset[str]
    missed: frozenset[str]
    errors: Mapping[str, str]
    excluded: Mapping[str, str]
    min_coverage: float


UNSAID = (
    "This evaluation was recorded before a measure said whether the reference has its region and "
    "the case table which structures are delineated: a value that is undefined counts as lost, but "
    "where 'missed' has none; evaluate again to tell them apart."
)


def unsaid(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord], regions: Iterable[str]
) -> tuple[str, ...]:
    """Say what an old record cannot tell of what is absent; nothing of a record of today."""
    undefined = measurements[measurements["status"] == "undefined"]
    drawn = any(region.startswith(_STRUCTURE) for region in regions) and any(
        case.structures is None for case in cases if case.status == "evaluated"
    )
    return (UNSAID,) if drawn or not _said(undefined).all() else ()


def _said(measurements: pd.DataFrame) -> pd.Series:
    """Whether each undefined row says if it is so by the reference; old ones do not."""
    if ABSENT not in measurements:
        return pd.Series(False, index=measurements.index)
    return measurements[ABSENT].notna()


def _proven_absent(
    here: pd.DataFrame, found_by: pd.DataFrame, cases: Sequence[CaseRecord], measure: Measure
) -> frozenset[str]:
    """Return the cases whose reference is proven to have nothing to measure in the region.

    A row says so itself. In an old record it does not, and the one proof is ``missed``, which has
    no value exactly where the reference lacks the structure. A structure that the images of a case
    have no delineation of is absent there. Nothing is, where the record also says the opposite.
    """
    if measure.region in ALWAYS_THERE:
        return frozenset()
    said = _said(here)
    proven = set(here.loc[here[ABSENT].eq(True), "case"]) if ABSENT in here else set()
    lacking = (found_by["metric"] == "missed") & (found_by["status"] == "undefined")
    proven |= set(found_by.loc[lacking, "case"]) & set(here.loc[~said, "case"])
    if measure.region.startswith(_STRUCTURE):
        name = measure.region.removeprefix(_STRUCTURE)
        undrawn = {c.case for c in cases if c.structures is not None and name not in c.structures}
        proven |= undrawn - set(here["case"])
    return frozenset(proven) - _reference_has(found_by)


def _rows_of_the_finder(measurements: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Return ``missed`` and ``dice`` of the region, by the segmenter that the measure is of.

    The variant is the segmenter's name, alone or followed by ``:`` and a setting; without a
    segmenter of that name it is ``default``, the threshold.
    """
    wanted = measurements["metric"].isin(FINDERS)
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


def _examined(case: CaseRecord, row: Sequence[Any] | None, known: _Known) -> Examined:
    def fate(name: Fate, why: str = "", value: float | None = None) -> Examined:
        return Examined(
            case=case.case, patient=case.patient, site=case.site, fate=name, value=value, why=why
        )

    excluded = known.excluded.get(case.case)
    if case.status == "refused":
        return fate("refused", case.reason or "refused by preflight")
    if case.status == "failed":
        return fate("lost", f"failed, {case.reason}" if case.reason else "failed")
    if row is None:
        return _without_a_row(case, known, fate)
    status, value, why, low, high, coverage = row
    if status == "error":
        return fate("lost", why or status)
    if excluded is not None:
        return fate("excluded", excluded)
    if status != "undefined" and coverage < known.min_coverage:
        least = stated(100 * known.min_coverage, "%")
        return fate("lost", f"measured in {percent(coverage)} of its region, less than {least}")
    if status == "ok":
        return fate("value", value=float(value))
    if status == "censored":
        return replace(
            fate("censored", why),
            at_least=None if np.isnan(low) else float(low),
            at_most=None if np.isnan(high) else float(high),
        )
    if case.case in known.absent:
        return fate("absent", why)
    return replace(fate("lost", why or status), missed=case.case in known.missed)


def _without_a_row(
    case: CaseRecord, known: _Known, fate: Callable[[Fate, str], Examined]
) -> Examined:
    """Say what became of a case that has no row of the measure at all."""
    if case.case in known.errors:
        return fate("lost", known.errors[case.case])
    if case.case in known.excluded:
        return fate("excluded", known.excluded[case.case])
    if case.case in known.absent:
        return fate("absent", f"{known.region.removeprefix(_STRUCTURE)} is not delineated")
    return fate("lost", NOT_MEASURED)
