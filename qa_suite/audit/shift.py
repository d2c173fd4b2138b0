"""What an audit asks of shift: whose images moved where a hospital has a gap, and of whom it is."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from qa_suite.audit.findings import Looked
from qa_suite.core.records import (
    AuditDistances,
    AuditShift,
    BehindGap,
    CaseRecord,
    CellTest,
    FarPatient,
    FollowPlot,
    ModelFacts,
    MovedImage,
    SiteGap,
    TrainingSources,
)
from qa_suite.core.wording import listing, some
from qa_suite.judging.collect import collect
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.shift import (
    Distances,
    error_follows_shift,
    image_moves,
    points_of,
    reference_levels,
    site_protocols,
    source_distances,
    spoken_of,
    whose_shift,
)
from qa_suite.judging.shift.features import FEATURES

APPEARANCE = "appearance"
"""Family of the rows that say what each image looks like."""
_MOST_FEATURES = 3


def shift_of(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    tested: Sequence[tuple[Looked, CellTest | None]],
    model: ModelFacts,
    *,
    confidence: float,
) -> AuditShift | None:
    """Look at what moved, for every gap of a hospital in a primary measure.

    Parameters
    ----------
    measurements, cases
        What is audited.
    tested
        Every measure in every cell, with its test.
    model
        Where it was trained, and what its training images look like if that is registered.
    confidence
        Of each answer as a whole, and of every interval.

    Returns
    -------
    AuditShift or None
        None where the records do not say what the images look like.
    """
    if not (measurements["family"] == APPEARANCE).any():
        return None
    training, sites = model.training_sources, model.training_sites
    moves = image_moves(
        measurements, cases, training=training, training_sites=sites, confidence=confidence
    )
    asked = [(one, test) for one, test in tested if one.group.is_site and one.question.primary]
    gaps = [_gap(one, test) for one, test in asked]
    far = source_distances(
        measurements, cases, training=training, training_sites=sites, confidence=confidence
    )
    measures = list(dict.fromkeys(one.question.measure for one, _ in asked))
    sizes = {one.question.measure for one, _ in asked if one.question.better == "zero"}
    follows = error_follows_shift(
        measurements, cases, measures, far.by_patient, magnitudes=sizes, confidence=confidence
    )
    protocols = site_protocols(
        cases, training=training, training_sites=sites, confidence=confidence
    )
    return AuditShift(
        spoken_of=spoken_of(cases, training=training, training_sites=sites).sentence,
        images=tuple(
            MovedImage(
                image=move.image,
                site=move.site,
                patients=move.patients,
                against=move.against,
                moved=move.moved,
                why=move.why,
                p_adjusted=move.p_adjusted,
                features={f.feature: f.difference_sd for f in move.features[:_MOST_FEATURES]},
                sentence=move.sentence,
            )
            for move in moves
        ),
        whose=tuple(
            BehindGap(
                metric=gap.metric,
                region=gap.region,
                variant=gap.variant,
                site=gap.site,
                answer=found.answer,
                sentence=found.sentence,
            )
            for gap, found in zip(gaps, whose_shift(gaps, moves), strict=True)
        ),
        levels=tuple(
            found.sentence
            for found in reference_levels(measurements, cases, confidence=confidence)
            if found.outside
        ),
        distances=_distances(far),
        protocols=tuple(found.sentence for found in protocols),
        lacking=_lacking(measurements, training),
        plots=tuple(
            _plot(measurements, cases, measure, far, magnitude=measure in sizes)
            for measure in measures
        ),
        follows=tuple(found.sentence for found in follows),
    )


def _distances(far: Distances) -> AuditDistances | None:
    if not far.sites:
        return None
    return AuditDistances(
        against=far.against,
        usual=far.usual,
        limit=far.limit,
        patients=tuple(
            FarPatient(site=one.site, distance=one.distance, unlike=one.unlike)
            for one in far.patients
        ),
        sentences=tuple(one.sentence for one in far.sites),
    )


def _plot(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    measure: Measure,
    far: Distances,
    *,
    magnitude: bool,
) -> FollowPlot:
    values = collect(measurements, cases, measure)
    return FollowPlot(
        metric=measure.metric,
        region=measure.region,
        variant=measure.variant,
        unit=values.unit or "",
        magnitude=magnitude,
        points=tuple(points_of(values, far.by_patient, magnitude=magnitude)),
    )


def _lacking(measurements: pd.DataFrame, training: TrainingSources | None) -> tuple[str, ...]:
    """Say which numbers of the source image older records or registrations do not hold."""
    held = set(zip(measurements["metric"], measurements["region"], strict=True))
    absent = [f.name for f in FEATURES["source"] if (f.metric, f.region) not in held]
    found = []
    if absent:
        found.append(
            f"The records do not tell of the source images: {listing(some(absent))}; "
            "evaluate again with the family 'appearance' for these."
        )
    if training is not None and training.rows:
        told = set(training.features)
        absent = [f.name for f in FEATURES["source"] if f.key not in told]
        if absent:
            found.append(
                "The model's registration does not tell of its training images: "
                f"{listing(some(absent))}; only a model that is trained anew does."
            )
    return tuple(found)


def _gap(one: Looked, test: CellTest | None) -> SiteGap:
    """Write a hospital's gap as the judge does, at the level at which it was tested."""
    found, measure = one.judged, one.question.measure
    gap = test.gap if test is not None else one.to_training or one.to_rest
    return SiteGap(
        metric=measure.metric,
        region=measure.region,
        variant=measure.variant,
        unit=one.question.unit,
        site=one.group.facts.cell,
        in_training=one.group.facts.in_training,
        patients=found.patients,
        censored=found.censored,
        missing=found.missing,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        gap=gap.estimate if gap else None,
        gap_low=gap.low if gap else None,
        gap_high=gap.high if gap else None,
        shifted=test.named if test is not None else None,
        method=gap.method if gap else found.method,
        sentence=found.sentence,
    )
