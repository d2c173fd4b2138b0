"""Shift: which site's images are unlike the others', whether errors follow, and whose shift it is.

Pure functions over the tables of a record. What they look at are the rows of the family
``appearance``: each image's own looks, measured when the case was evaluated. The patient is the
unit of inference throughout; a site with too few patients for an answer gets none, and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_suite.core.records import CaseRecord, ModelFacts, SiteGap
from qa_suite.core.records.shift import ShiftFindings
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.shift.expected import EXPECTED_HU, reference_levels
from qa_suite.judging.shift.features import IMAGES, FeatureTable, feature_table
from qa_suite.judging.shift.follows import error_follows_shift, source_distances
from qa_suite.judging.shift.moves import image_moves, moves_of, source_shifts
from qa_suite.judging.shift.whom import spoken_of
from qa_suite.judging.shift.whose import whose_shift

__all__ = [
    "EXPECTED_HU",
    "IMAGES",
    "FeatureTable",
    "error_follows_shift",
    "feature_table",
    "image_moves",
    "moves_of",
    "reference_levels",
    "shift_findings",
    "source_distances",
    "source_shifts",
    "spoken_of",
    "whose_shift",
]


def shift_findings(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    gaps: Sequence[SiteGap],
    errors: Sequence[Measure],
    model: ModelFacts,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> ShiftFindings:
    """Find all of it for one audit.

    Parameters
    ----------
    measurements, cases
        The tables of what is audited.
    gaps
        Of sites in error measures, each of which is asked whose shift it is.
    errors
        Measures that are held against the source's distance; small is good in each.
    model
        Where it was trained, and what its training images look like if that is registered.
    confidence
        Of each answer as a whole, and of every interval.
    seed
        Of the drawn permutations.
    """
    where: dict[str, Any] = {
        "training": model.training_sources,
        "training_sites": model.training_sites,
    }
    how: dict[str, Any] = {"confidence": confidence, "seed": seed}
    images = image_moves(measurements, cases, **where, **how)
    distances = source_distances(measurements, cases, **where)
    return ShiftFindings(
        spoken_of=spoken_of(cases, **where),
        sources=source_shifts(measurements, cases, **where, **how),
        images=images,
        levels=reference_levels(measurements, cases, confidence=confidence),
        whose=whose_shift(gaps, images),
        follows=error_follows_shift(measurements, cases, errors, distances, **how),
    )
