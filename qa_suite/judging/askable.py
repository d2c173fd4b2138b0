"""Whether a profile's criteria can be asked of a record, and what the record holds instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

import pandas as pd

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.records import Criterion, Evaluation, Profile
from qa_suite.judging.criteria.measures import WAY
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.tables import distinct

_KEYS = ["metric", "region", "variant"]


def require_askable(profile: Profile, evaluation: Evaluation, measurements: pd.DataFrame) -> None:
    """Refuse a profile whose criteria contradict what the record says of its measures.

    A profile that was read from a file has been held against the registry; one that was made
    otherwise, or by another version of the suite, is held against the record here.

    Raises
    ------
    InputError
        If one criterion bounds what was left out, is in another unit, or bounds the wrong side.
    Problems
        If several do, with all of them.
    """
    units = _units(measurements)
    said = [
        f"The criterion '{criterion.name}' bounds {sentence}"
        for criterion in profile.criteria
        for sentence in _against(criterion, evaluation, units)
    ]
    if len(said) == 1:
        raise InputError(f"{said[0]}.")
    if said:
        raise Problems(f"The profile {profile.name}", said)


def _against(
    criterion: Criterion, evaluation: Evaluation, units: dict[tuple[str, ...], str]
) -> Iterator[str]:
    for one in evaluation.left_out:
        if criterion.metric in one.metrics:
            yield f"{criterion.metric}, which was left out: {one.why}"
    unit = units.get((criterion.metric, criterion.region, criterion.variant))
    if unit is not None and unit != criterion.unit:
        yield f"{criterion.metric} in '{criterion.unit}', but it was measured in '{unit}'"
    better = evaluation.definitions.get(criterion.metric, {}).get("direction")
    wanted = WAY.get(str(better))
    if wanted is not None and wanted != criterion.direction:
        yield (
            f"{criterion.metric} '{criterion.direction}', which passes what is worse: by the "
            f"record it is bounded '{wanted}'"
        )


def _units(measurements: pd.DataFrame) -> dict[tuple[str, ...], str]:
    rows = distinct(measurements, [*_KEYS, "unit"])
    return {tuple(row[:3]): row[3] for row in rows.itertuples(index=False, name=None)}


def held_instead(
    measure: Measure, measurements: pd.DataFrame, metrics: Collection[str] | None = None
) -> str:
    """Say which measures close to one the record holds, where it holds that one for no case.

    Parameters
    ----------
    measure
        Which.
    measurements
        Of the record; at least the rows of that metric.
    metrics
        That the record holds, where the measurements are not all of it.

    Returns
    -------
    str
        Empty where nothing is close to it.
    """
    held = distinct(measurements, _KEYS)
    metric = held[held["metric"] == measure.metric]
    if metric.empty:
        close = difflib.get_close_matches(
            measure.metric, sorted(metrics or set(held["metric"])), n=3
        )
        return f"the record holds {_listed(close)}" if close else ""
    region = metric[metric["region"] == measure.region]
    if region.empty:
        close = _close(measure.region, metric["region"])
        return f"the record holds {measure.metric} in {_listed(close)}"
    close = _close(measure.variant, region["variant"])
    return f"the record holds {measure.metric} in {measure.region} as {_listed(close)}"


def _close(word: str, known: pd.Series) -> list[str]:
    names = sorted(set(known))
    return difflib.get_close_matches(word, names, n=3) or names[:5]


def _listed(names: list[str]) -> str:
    return " or ".join(names)
