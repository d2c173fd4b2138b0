"""What is usual: control limits of every check, learnt from the held-out cohort."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from qa_suite.checkup.charts import MIN_VALUES, Limits, Scale, control_limits
from qa_suite.judging.patient_values import Measure
from qa_suite.metrics.reference_free import FAMILY
from qa_suite.metrics.run import METRICS

LOGARITHMIC = frozenset(
    {
        "histogram_distance",
        "ood_distance",
        "slice_jump",
        "noise_level",
        "cycle_error",
        "sample_disagreement",
        "streak_index",
        "slice_agreement_drop",
    }
)
"""Positive, skewed to the right: twice as much is as usual as half as much."""

RESOLUTION: Mapping[str, float] = {
    "air_error": 3.0,
    "fat_level": 3.0,
    "muscle_level": 3.0,
    "implausible_voxels": 0.01,
    "cut_body": 0.1,
    "void_filled": 2.0,
    "source_body_dice": 0.002,
    "source_contour_distance": 0.3,
    "source_contour_distance_95": 1.0,
    "source_contour_bias": 0.3,
    "slice_lag": 5.0,
}
"""Least half-width of the limits, in the measure's unit: a smaller difference means nothing."""

NOT_CHARTED = frozenset({"ood_percentile"})
"""A rank is spread evenly from 0 to 100: limits of three standard deviations lie beyond."""


def limits_of(measurements: pd.DataFrame, *, family: str = FAMILY) -> dict[Measure, Limits]:
    """Learn the control limits of every measure of a family.

    One value a patient: that of the first of his cases in the order of their names, since a
    mean of several would vary less than the single examination that is held against it.

    Parameters
    ----------
    measurements
        The columns of :class:`~qa_suite.core.records.Measurement`, of the held-out cohort.
    family
        Whose measures.

    Returns
    -------
    dict
        Measures with fewer than :data:`~qa_suite.checkup.charts.MIN_VALUES` values have no
        limits and are left out, and so are those with a censored one, whose spread is not known.
    """
    first = measurements.groupby("patient")["case"].min()
    table = measurements[measurements["case"].isin(set(first))]
    patients = table["patient"].nunique()
    table = table[table["family"] == family].sort_values("case", kind="stable")
    limits = {}
    for (metric, region, variant), rows in table.groupby(["metric", "region", "variant"]):
        values = [float(v) for v in rows.loc[rows["status"] == "ok", "value"]]
        unknown = metric in NOT_CHARTED or (rows["status"] == "censored").any()
        if unknown or len(values) < MIN_VALUES:
            continue
        key = Measure(metric=str(metric), region=str(region), variant=str(variant))
        limits[key] = control_limits(
            values,
            scale=scale_of(key.metric, values),
            missing=patients - len(values),
            resolution=RESOLUTION.get(key.metric, 0.0),
            lowest=lowest_of(key.metric),
        )
    return limits


def lowest_of(metric: str) -> float | None:
    """Return the lowest value that a measure can have, by its registry entry; None without."""
    span = METRICS[metric].facts.range if metric in METRICS else ""
    return float(span[1 : span.index(",")]) if span.startswith("[") else None


def scale_of(metric: str, values: list[float]) -> Scale:
    """Return the scale of a measure's chart; a zero among the values has no logarithm."""
    return "log" if metric in LOGARITHMIC and min(values) > 0 else "linear"
