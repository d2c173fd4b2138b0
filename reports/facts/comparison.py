"""The model beside what it must beat (baseline) and what nobody can beat (floor).

Only differences and quotients of recorded numbers. Cases that have a value in every
evaluation compared are averaged to patients, and patients to sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qa_suite.core.record_files import read_evaluation, read_measurements
from qa_suite.core.wording import count
from reports.facts.wording import measure_title, quantity, share

COMPARED = (("mae", "body"), ("mae", "bone"), ("suv_mae", "lesions"))
ALL_SITES = "all sites"


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One site and one measure: means over the same patients in every evaluation.

    ``improvement`` is 1 − (model − floor)/(baseline − floor), or 1 − model/baseline where no
    floor was evaluated; None with the reason in ``why`` where that has no meaning.
    ``better_in`` counts the patients in whom the model's error is below the baseline's, and
    ``not_common`` those who lack a value in one of the evaluations.
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
        Measurements as :func:`qa_suite.core.records.read_measurements` returns them.
    sites
        The sites of the cohort, in the order wanted.

    Returns
    -------
    tuple of ComparisonRow
        Empty where neither a floor nor a baseline was evaluated.
    """
    tables = {"model": model, "floor": floor, "baseline": baseline}
    given = {name: table for name, table in tables.items() if table is not None}
    if len(given) < 2:
        return ()
    rows = []
    for metric, region in COMPARED:
        named = _rows(model, metric, region)
        if named.empty:
            continue
        unit = str(named["unit"].iloc[0])
        joined = pd.DataFrame({name: _by_case(t, metric, region) for name, t in given.items()})
        common = joined.reindex(named["case"]).dropna()
        unknown = {c for t in given.values() for c in _censored_cases(t, metric, region)}
        facts = named.drop_duplicates("case").set_index("case")
        for site in (*sites, ALL_SITES):
            here = facts if site == ALL_SITES else facts[facts["site"] == site]
            cases = common[common.index.isin(here.index)]
            patients = cases.groupby(here["patient"].reindex(cases.index)).mean()
            left = here["patient"].nunique() - len(patients)
            key = (site, metric, region, unit)
            lost = here["patient"][here.index.isin(unknown)].nunique()
            rows.append(_no_mean(key, lost, left) if lost else _row(key, patients, left))
    return tuple(rows)


def comparison_lines(
    folder: Path, *, floor: Path | None = None, baseline: Path | None = None
) -> list[str]:
    """Say the comparison of an evaluation with its companions in plain lines.

    Parameters
    ----------
    folder, floor, baseline
        Evaluation folders of the model, the oracle and the translator to beat, of one cohort.
    """
    evaluation = read_evaluation(folder)
    rows = compare(
        read_measurements(folder),
        evaluation.cohort.sites,
        floor=None if floor is None else read_measurements(floor),
        baseline=None if baseline is None else read_measurements(baseline),
    )
    return [_line(row, home=row.site in evaluation.model.training_sites) for row in rows]


def _line(row: ComparisonRow, *, home: bool) -> str:
    where = f"{row.site}{' (trained on)' if home else ''}"
    parts = [
        f"{name} {quantity(value, row.unit)}"
        for name in ("floor", "model", "baseline")
        if (value := getattr(row, name)) is not None
    ]
    gain = row.why if row.improvement is None else share(row.improvement)
    above = " above the floor" if row.floor is not None else ""
    what = measure_title(row.metric, row.region)
    numbers = ", ".join(parts) or "no values"
    return f"{what}, {where}: {numbers}; improvement{above} {gain} (n = {row.patients})".replace(
        "\N{NO-BREAK SPACE}", " "
    )


def _rows(table: pd.DataFrame, metric: str, region: str) -> pd.DataFrame:
    """Return the rows of one measure, of its first variant."""
    rows = table[(table["metric"] == metric) & (table["region"] == region)]
    return rows[rows["variant"] == rows["variant"].min()]


def _by_case(table: pd.DataFrame, metric: str, region: str) -> pd.Series:
    rows = _rows(table, metric, region)
    return rows[rows["status"] == "ok"].set_index("case")["value"].astype("float64")


def _censored_cases(table: pd.DataFrame, metric: str, region: str) -> list[str]:
    rows = _rows(table, metric, region)
    return [str(case) for case in rows[rows["status"] == "censored"]["case"]]


def _no_mean(key: tuple[str, str, str, str], censored: int, not_common: int) -> ComparisonRow:
    site, metric, region, unit = key
    return ComparisonRow(
        site=site,
        metric=metric,
        region=region,
        unit=unit,
        patients=0,
        not_common=not_common,
        model=None,
        floor=None,
        baseline=None,
        improvement=None,
        better_in=None,
        why=f"no mean: {count(censored, 'patient')} censored",
    )


def _row(key: tuple[str, str, str, str], patients: pd.DataFrame, not_common: int) -> ComparisonRow:
    means = {name: float(patients[name].mean()) for name in patients} if len(patients) else {}
    model, floor, baseline = (means.get(name) for name in ("model", "floor", "baseline"))
    improvement, why = _improvement(model, floor, baseline)
    better = None
    if baseline is not None:
        better = int((patients["model"] < patients["baseline"]).sum())
    site, metric, region, unit = key
    return ComparisonRow(
        site=site,
        metric=metric,
        region=region,
        unit=unit,
        patients=len(patients),
        not_common=not_common,
        model=model,
        floor=floor,
        baseline=baseline,
        improvement=improvement,
        better_in=better,
        why=why,
    )


def _improvement(
    model: float | None, floor: float | None, baseline: float | None
) -> tuple[float | None, str]:
    if model is None:
        return None, "undefined: no patient has a value in every evaluation"
    if baseline is None:
        return None, "undefined: no baseline was evaluated"
    lowest = floor or 0.0
    if baseline <= lowest:
        return None, "undefined: the baseline is not above the floor"
    return 1 - (model - lowest) / (baseline - lowest), ""
