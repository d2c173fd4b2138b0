"""Measures by site and patient, as the distributions draw them: taken from the record."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from qa_suite.core.records import Criterion, Evaluation, Verdict
from reports.facts.patients import SHOWN, PatientValue, over_patients
from reports.facts.wording import without_value

STANDARD_PLOTS = (("mae", "body"), ("me", "body"), ("mae", "bone"), ("dice", "seg:Bone"))
"""What the distributions always show; every other measure of the profile follows."""


@dataclass(frozen=True, kw_only=True)
class SiteValues:
    """One measure of the patients of one site, and the cases without it: (case, what is said)."""

    site: str
    in_training: bool
    values: tuple[PatientValue, ...]
    without: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One measure over all sites, with the bounds that the profile sets on it."""

    metric: str
    region: str
    variant: str
    unit: str
    criteria: tuple[Criterion, ...]
    sites: tuple[SiteValues, ...]


def distributions(
    table: pd.DataFrame, evaluation: Evaluation, verdict: Verdict
) -> tuple[Distribution, ...]:
    """Arrange the standard measures, those bounded and those described by the profile.

    ``table`` holds the measurements to show, excluded cases left out.
    """
    judged = [(c.metric, c.region) for c in verdict.profile.criteria]
    described = [(d.metric, d.region) for d in verdict.profile.describe]
    plots = []
    for metric, region in dict.fromkeys((*STANDARD_PLOTS, *judged, *described)):
        criteria = tuple(
            c for c in verdict.profile.criteria if (c.metric, c.region) == (metric, region)
        )
        rows = table[(table["metric"] == metric) & (table["region"] == region)]
        variants = dict.fromkeys(c.variant for c in criteria)
        variants |= dict.fromkeys(
            d.variant for d in verdict.profile.describe if (d.metric, d.region) == (metric, region)
        )
        for variant in variants or sorted(set(rows["variant"]))[:1]:
            chosen = rows[rows["variant"] == variant]
            if chosen.empty:
                continue
            plots.append(
                Distribution(
                    metric=metric,
                    region=region,
                    variant=variant,
                    unit=str(chosen["unit"].iloc[0]),
                    criteria=tuple(c for c in criteria if c.variant == variant),
                    sites=tuple(
                        _site_values(chosen[chosen["site"] == site], site, evaluation)
                        for site in evaluation.cohort.sites
                    ),
                )
            )
    return tuple(plots)


def _site_values(rows: pd.DataFrame, site: str, evaluation: Evaluation) -> SiteValues:
    """Arrange one site's patients; several examinations of a patient show as their mean."""
    missing = rows[~rows["status"].isin(SHOWN)]
    values = over_patients(rows.itertuples(index=False))
    said = [(str(row.case), without_value(row)) for row in missing.itertuples(index=False)]
    return SiteValues(
        site=site,
        in_training=site in evaluation.model.training_sites,
        values=tuple(sorted(values, key=lambda value: (value.known, value.cases))),
        without=tuple(sorted(said)),
    )
