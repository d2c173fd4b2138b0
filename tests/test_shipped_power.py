"""A good model passes at the numbers of patients that the shipped profiles ask for."""

from __future__ import annotations

import pytest

from benchmarks.simulations.good_models import passes
from qa_suite.judging.criteria import list_profiles

PLANNED = [p for p in list_profiles() if p.planned is not None and p.name != "descriptive"]
RUNS = 4000
"""Of which 80 % of all means together is known to about a per cent and a half."""


@pytest.mark.parametrize("profile", PLANNED, ids=lambda profile: profile.name)
def test_eight_of_ten_good_models_pass_all_means(profile):
    """Of each kind of measure with the population that its interval suits best."""
    best, _ = passes(profile, RUNS)
    assert best >= 0.78
