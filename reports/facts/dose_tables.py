"""The tables of a plan's doses: the target, gamma, range, causes, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from qa_suite.core.records import Evaluation
from reports.facts.dose_goals import TARGET
from reports.facts.dose_plan import PlanFacts
from reports.facts.dose_spread import Rows, Spread, commonest, spread
from reports.facts.patients import SHOWN
from reports.facts.wording import metric_title, without_value

TARGET_METRICS: Final = {"d98": "D98", "d95": "D95", "d50": "D50", "d2": "D2", "dmean": "Dmean"}
RANGE_METRICS: Final = (
    "wepl_difference_mean",
    "wepl_difference_95",
    "wepl_difference_max",
    "range_error_pct",
    "range_beyond_margin",
)
CAUSES: Final = {
    "outline": "body outline",
    "air": "air inside",
    "soft": "soft tissue",
    "bone": "bone",
}
_PLACES: Final = {"body": "in the body, above the cut-off", "all": "", TARGET: ""}
_SIGNED: Final = ("wepl_difference_mean", "range_error_pct")
Bounded = set[tuple[str, str, str]]
"""Metric, region and variant of what the profile bounds."""


@dataclass(frozen=True, kw_only=True)
class TargetValue:
    """One DVH metric of one target on both images, in Gy; the difference in Gy and in %."""

    reference: float | None
    synthetic: float | None
    difference: float | None
    difference_pct: float | None
    why: str


@dataclass(frozen=True, kw_only=True)
class PatientRow:
    """The target of one case; ``values`` follow ``TARGET_METRICS``."""

    case: str
    site: str
    values: tuple[TargetValue, ...]


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One DVH metric of the target over the patients; ``judged`` where the profile bounds it."""

    name: str
    reference: Spread
    synthetic: Spread
    difference: Spread
    difference_pct: Spread
    judged: bool


@dataclass(frozen=True, kw_only=True)
class GammaSummary:
    """One criterion: pass rates in body and target, and of the bulk-density dose in the body.

    ``voxels`` counts the voxels of the body that were judged, which the pass rates rest on.
    """

    title: str
    voxels: Spread
    body: Spread
    target: Spread
    bulk: Spread
    judged: bool


@dataclass(frozen=True, kw_only=True)
class BeamRange:
    """The range errors of one beam; ``values`` follow ``RANGE_METRICS``."""

    label: str
    values: tuple[Spread, ...]
    judged: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class CauseValues:
    """What one kind of tissue does to the target's mean dose: (case, site, % of prescription)."""

    name: str
    values: tuple[tuple[str, str, float], ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A measure that stands beside the comparison, and how it is to be read."""

    metric: str
    region: str
    title: str
    spread: Spread
    judged: bool


def patient_rows(
    plan: PlanFacts, rows: Rows, cases: Sequence[tuple[str, str]]
) -> tuple[PatientRow, ...]:
    """Put the target's DVH metrics of every case in a row."""
    made = []
    for case, site in cases:
        values = []
        for metric in TARGET_METRICS:
            read = [
                rows.value(case, f"{metric}_{side}", TARGET, plan.key)
                for side in ("reference", "synthetic", "difference", "difference_pct")
            ]
            why = next((reason for _, reason in read if reason), "")
            one, two, change, pct = (value for value, _ in read)
            values.append(
                TargetValue(
                    reference=one, synthetic=two, difference=change, difference_pct=pct, why=why
                )
            )
        made.append(PatientRow(case=case, site=site, values=tuple(values)))
    return tuple(made)


def metric_summaries(plan: PlanFacts, rows: Rows, bounded: Bounded) -> tuple[MetricSummary, ...]:
    """Summarise the target's DVH metrics over the patients."""

    def of(metric: str, side: str) -> Spread:
        return spread(rows.of(f"{metric}_{side}", TARGET, plan.key), "zero")

    return tuple(
        MetricSummary(
            name=name,
            reference=of(metric, "reference"),
            synthetic=of(metric, "synthetic"),
            difference=of(metric, "difference"),
            difference_pct=of(metric, "difference_pct"),
            judged=any(
                (f"{metric}_{side}", TARGET, plan.key) in bounded
                for side in ("reference", "synthetic", "difference", "difference_pct")
            ),
        )
        for metric, name in TARGET_METRICS.items()
    )


def gamma_summaries(plan: PlanFacts, rows: Rows, bounded: Bounded) -> tuple[GammaSummary, ...]:
    """Summarise the pass rates of every criterion."""
    return tuple(
        GammaSummary(
            title=gamma.title,
            voxels=spread(rows.of("gamma_voxels", "body", gamma.variant)),
            body=spread(rows.of("gamma_pass_rate", "body", gamma.variant), "higher"),
            target=spread(rows.of("gamma_pass_rate", TARGET, gamma.variant), "higher"),
            bulk=spread(rows.of("bulk_gamma_pass_rate", "body", gamma.variant), "higher"),
            judged=any(
                ("gamma_pass_rate", region, gamma.variant) in bounded for region in ("body", TARGET)
            ),
        )
        for gamma in plan.gammas
    )


def differently_judged(
    plan: PlanFacts, rows: Rows, cases: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Name the cases whose criteria were judged on different voxels of body or target."""
    return tuple(
        case
        for case, _ in cases
        if any(
            len({rows.value(case, "gamma_voxels", region, g.variant)[0] for g in plan.gammas}) > 1
            for region in ("body", TARGET)
        )
    )


def beam_ranges(plan: PlanFacts, rows: Rows, bounded: Bounded) -> tuple[BeamRange, ...]:
    """Summarise the range errors of every beam that has rows."""
    made = []
    for label in rows.regions("beam:"):
        region = f"beam:{label}"
        values = [
            spread(rows.of(m, region, plan.key), "zero" if m in _SIGNED else "lower")
            for m in RANGE_METRICS
        ]
        marks = [(m, region, plan.key) in bounded for m in RANGE_METRICS]
        made.append(BeamRange(label=label, values=tuple(values), judged=tuple(marks)))
    return tuple(made)


def cause_values(plan: PlanFacts, rows: Rows) -> tuple[CauseValues, ...]:
    """Arrange the causes, and below them the whole difference; nothing where none was asked."""
    wanted = [("cause_dmean", f"cause:{cause}", title) for cause, title in CAUSES.items()]
    found = [(rows.of(metric, region, plan.key), title) for metric, region, title in wanted]
    if all(mine.empty for mine, _ in found):
        return ()
    found.append((rows.of("dmean_difference_pct", TARGET, plan.key), "all of it"))
    return tuple(_cause(mine, title) for mine, title in found)


def _cause(rows: pd.DataFrame, title: str) -> CauseValues:
    """Take the values of one cause; none where one is censored, as their mean is drawn."""
    known, lost = rows[rows["status"] == "ok"], rows[rows["status"] != "ok"]
    why = commonest([without_value(row) for row in lost.itertuples(index=False)])
    if (lost["status"] == "censored").any():
        known = known.iloc[:0]
    values = known[["case", "site", "value"]].sort_values("case")
    return CauseValues(
        name=title,
        values=tuple((str(c), str(s), float(v)) for c, s, v in values.itertuples(index=False)),
        why=why,
    )


def asides(
    plan: PlanFacts, rows: Rows, evaluation: Evaluation, bounded: Bounded
) -> tuple[Aside, ...]:
    """Gather what stands beside the comparison: other tables, bulk densities, SynthRAD, samples."""

    def title(metric: str) -> str:
        return metric_title(metric, evaluation.definitions)

    wanted = [
        ("hlut_dmean", TARGET, f"{plan.key}:{name}", f"{title('hlut_dmean')}: {name}")
        for name in plan.other_hluts
    ]
    wanted += [
        (metric, region, plan.key, title(metric))
        for metric, region in (
            ("bulk_dmean", TARGET),
            ("dose_difference_mean", "body"),
            ("dose_difference_95", "body"),
            ("homogeneity_difference", TARGET),
            ("conformity_paddick_difference", TARGET),
            ("synthrad_dose_mae", "all"),
            ("synthrad_dvh_error", "all"),
            ("scenario_excess_d95", TARGET),
            ("band_d95", TARGET),
            ("band_misses_d95", TARGET),
        )
    ]
    return tuple(
        Aside(
            metric=metric,
            region=_PLACES.get(region, region),
            title=name,
            spread=spread(
                rows.of(metric, region, variant),
                str(evaluation.definitions.get(metric, {}).get("direction", "none")),
            ),
            judged=(metric, region, variant) in bounded,
        )
        for metric, region, variant, name in wanted
        if rows.of(metric, region, variant)["status"].isin(SHOWN).any()
    )
