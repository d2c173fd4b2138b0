"""The simulated audits of docs/audit.md: the arithmetic of the audit, and its promises."""

import numpy as np
import pytest

from benchmarks.audit_rates import STATED, Scenario, holm, many_contrasts, rates
from qa_suite.audit.gaps import contrast
from qa_suite.audit.power import patients_a_site
from qa_suite.judging.comparisons import holm_p_values


def test_many_comparisons_are_those_of_the_audit_one_by_one():
    rng = np.random.default_rng(1)
    site = np.repeat(np.arange(3), 12)
    values, cell = rng.normal(size=(20, 36)), rng.random((20, 36)) < 0.3
    gaps, p = many_contrasts(values, cell, site)
    for run in range(20):
        here, there = (
            {str(s): values[run, (site == s) & (cell[run] == side)] for s in range(3)}
            for side in (True, False)
        )
        one = contrast(here, there, least=5)
        assert one is not None
        assert (gaps[run], p[run]) == pytest.approx((one.gap, one.p))


def test_holm_rejects_what_its_adjusted_p_values_say():
    rng = np.random.default_rng(2)
    p = rng.random((50, 8)) ** 4
    for row, rejected in zip(p, holm(p), strict=True):
        assert list(rejected) == [one <= 0.05 for one in holm_p_values(list(row))]


def test_a_comparison_that_is_none_takes_no_part():
    assert holm(np.array([[0.04, np.nan, 0.9]])).tolist() == [[False, False, False]]
    assert holm(np.array([[0.04, np.nan, np.nan]])).tolist() == [[True, False, False]]


def test_the_stated_number_of_patients_is_what_the_verb_says():
    asked = {"size_in_sd": 2.0, "measures": 3, "sites": 8, "training_sites": 2, "strata": 12}
    assert patients_a_site(**asked) == STATED


def test_clean_audits_seldom_name_anybody_and_a_bad_site_is_named():
    clean = rates(Scenario(words="", patients=10), runs=1000)
    assert clean.anybody <= 0.05
    bad = rates(Scenario(words="", patients=20, site=2.0), runs=1000)
    assert bad.planted is not None and bad.others is not None
    assert bad.planted >= 0.95
    assert bad.others <= 0.05
