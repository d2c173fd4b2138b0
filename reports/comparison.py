"""The model beside what it must beat (baseline) and what nobody can beat (floor).

Only differences and quotients of recorded numbers: the mean over the patients of a site, of
the patients who have a value in every evaluation that is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

COMPARED = (("mae", "body"), ("mae", "bone"))
ALL_SITES = "all sites"


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One site and one measure: means over the same patients in every evaluation.

    ``improvement`` is 1 − (model − floor)/(baseline − floor), or 1 − model/baseline where no
    floor was evaluated; None with the reason in ``why`` where that has no meaning.
    ``better_in`` counts the patients in whom the model's error is below the baseline's.
    """

    site: str
    metric: str
    region: str
    unit: str
    patients: int
    not_common: int
    model: float | None
    floor: float | None
    baseline: float | None
    improvement: float | None
    above_floor: bool
    better_in: int | None
    why: str


def compare(
    model: pd.DataFrame,
    sites: tuple[str, ...],
    *,
    floor: pd.DataFrame | None,
    baseline: pd.DataFrame | None,
) -> tuple[ComparisonRow, ...]:
    """Compare measurements of one cohort, site by site and over all sites.

    Parameters
    ----------
    model, floor, baseline
        Measurements as :func:`qa_suite.records.read_measurements` returns them.
    sites
        The sites of the cohort, in the order wanted.

    Returns
    -------
    tuple of ComparisonRow
        Empty where neither a floor nor a baseline was evaluated.
    """
    if floor is None and baseline is None:
        return ()
    rows = []
    for metric, region in COMPARED:
        columns = {"model": _by_patient(model, metric, region)}
        if floor is not None:
            columns["floor"] = _by_patient(floor, metric, region)
        if baseline is not None:
            columns["baseline"] = _by_patient(baseline, metric, region)
        named = model[(model["metric"] == metric) & (model["region"] == region)]
        if named.empty:
            continue
        joined = pd.DataFrame(columns)
        common = joined.dropna()
        site_of = named.drop_duplicates("patient").set_index("patient")["site"]
        unit = str(named["unit"].iloc[0])
        for site in (*sites, ALL_SITES):
            patients = site_of.index if site == ALL_SITES else site_of.index[site_of == site]
            here = common[common.index.isin(patients)]
            rows.append(_row(site, metric, region, unit, here, len(patients) - len(here)))
    return tuple(rows)


def _by_patient(table: pd.DataFrame, metric: str, region: str) -> pd.Series:
    """Return the mean over each patient's examinations; a missing one leaves the patient out."""
    rows = table[(table["metric"] == metric) & (table["region"] == region)]
    if rows.empty:
        return pd.Series(dtype="float64")
    rows = rows[rows["variant"] == sorted(set(rows["variant"]))[0]]
    whole = rows.groupby("patient")["status"].agg(lambda status: bool((status == "ok").all()))
    means = rows.groupby("patient")["value"].mean()
    return means[whole[whole].index]


def _row(
    site: str, metric: str, region: str, unit: str, values: pd.DataFrame, not_common: int
) -> ComparisonRow:
    means = {name: float(values[name].mean()) for name in values} if len(values) else {}
    model, floor, baseline = (means.get(name) for name in ("model", "floor", "baseline"))
    improvement, why = _improvement(model, floor, baseline)
    better = None
    if "baseline" in values and len(values):
        better = int((values["model"] < values["baseline"]).sum())
    return ComparisonRow(
        site=site,
        metric=metric,
        region=region,
        unit=unit,
        patients=len(values),
        not_common=not_common,
        model=model,
        floor=floor,
        baseline=baseline,
        improvement=improvement,
        above_floor=floor is not None,
        better_in=better,
        why=why,
    )


def _improvement(
    model: float | None, floor: float | None, baseline: float | None
) -> tuple[float | None, str]:
    if model is None:
        return None, "no patient has a value in every evaluation"
    if baseline is None:
        return None, "no baseline was evaluated"
    lowest = floor or 0.0
    if baseline <= lowest:
        return None, "the baseline is not above the floor"
    return 1 - (model - lowest) / (baseline - lowest), ""
