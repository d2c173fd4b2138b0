"""Values that are all near the best end of their range pass where no interval can be given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.judging.best_end import LARGEST_SHARE, NEAR, fewest
from qa_suite.judging.findings import apply_criterion
from tests.judged_values import RULES, criterion, numbered

GAMMA = MeasureKind(kind="bounded", low=0, high=100)
MAE = MeasureKind(kind="positive", low=0)
COUNT = MeasureKind(kind="count", low=0)
ME = MeasureKind(kind="signed")
ASKED = {"direction": "at_least", "bound": 95.0}


def outcome_of(kind: MeasureKind, held: list[Any], **asked: Any) -> tuple[str, list[str]]:
    sample = replace(numbered(*held), kind=kind)
    (found,) = apply_criterion(criterion(**asked), sample, RULES)
    return found.outcome, [reason.code for reason in found.reasons]


@pytest.mark.parametrize(
    ("kind", "held", "asked"),
    [
        (GAMMA, [100.0] * 8, ASKED),
        (GAMMA, [100.0] * 11 + [99.5], ASKED),  # scattered, and at the edge of what is near
        (GAMMA, [0.0] * 8, {"direction": "at_most", "bound": 5.0}),
        (MAE, [0.0] * 8, {"bound": 2.0}),
        (MAE, [0.0] * 30 + [0.2], {"bound": 2.0}),
        (COUNT, [0.0] * 8, {"bound": 1.0}),
    ],
)
def test_all_near_the_best_end_pass(kind, held, asked):
    assert outcome_of(kind, held, **asked) == ("pass", ["near_best_end"])


@pytest.mark.parametrize(
    ("kind", "held", "asked"),
    [
        (GAMMA, [100.0] * 7, ASKED),  # one too few
        (GAMMA, [100.0] * 11 + [99.4], ASKED),  # not near
        (GAMMA, [99.0] * 8, ASKED),  # alike, and not at an end
        (GAMMA, [100.0] * 11 + [60.0], ASKED),
        (GAMMA, [100.0] * 8 + ["lost"], ASKED),
        (GAMMA, [100.0] * 8 + [(0.0, 100.0)], ASKED),
        (GAMMA, [100.0] * 8 + [(99.9, 100.0)], ASKED),  # a mean over one is undecided
        (GAMMA, [100.0] * 8, {**ASKED, "min_patients": 9}),
        (GAMMA, [100.0] * 8, {**ASKED, "bound": 100.0}),  # the bound is the end
        (GAMMA, [100.0] * 8, {**ASKED, "confidence": 0.99}),
        (ME, [0.0] * 8, {"direction": "within", "bound": 20.0}),  # no end to be at
    ],
)
def test_anything_less_stays_undecided(kind, held, asked):
    outcome, codes = outcome_of(kind, held, **asked)
    assert outcome == "inconclusive"
    assert "near_best_end" not in codes


def test_where_there_is_an_interval_it_decides():
    held = list(np.linspace(99.5, 100, 8))
    assert outcome_of(GAMMA, held, **ASKED) == ("pass", [])


@pytest.mark.parametrize("variation", [0.5, 1.0, 2.0, 2.5])
def test_a_model_at_its_bound_is_hardly_ever_near_the_end_in_everybody(variation):
    """What the rule presumes, by the distribution function: distances of mean 1, gamma."""
    shape = variation**-2
    near = stats.gamma.cdf(NEAR, shape, scale=1 / shape)
    assert near <= LARGEST_SHARE
    assert near ** fewest(0.95) <= 0.025


def test_rare_failures_that_lie_as_far_off_as_is_presumed():
    """Share s at the end, the others 2.5 times the way to the bound away: the mean is the bound."""
    assert pytest.approx(LARGEST_SHARE) == 1 - 1 / 2.5
    assert LARGEST_SHARE ** fewest(0.95) <= 0.025 < LARGEST_SHARE ** (fewest(0.95) - 1)
    assert fewest(0.95) == 8
