"""How many patients a profile needs: known answers, and a simulation of what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qa_suite.core.errors import InputError
from qa_suite.judging.power import all_must_meet, chance_to_pass, hospitals_needed, patients_needed


def test_one_convention_and_what_others_would_need():
    assert all_must_meet(0.95) == 72  # two-sided 95 %: 0.95^72 = 0.0249
    assert all_must_meet(0.95, confidence=0.9) == 59  # one-sided 95 %: 0.95^59 = 0.0485
    assert all_must_meet(0.95, confidence=0.9, misses=1) == 93  # 92 of 93


def test_the_chance_to_pass_is_the_power_of_a_t_test():
    """Cohen 1988, exercise 2.5, as R's package pwr has it: d = 0.2, n = 60, 10 % two-sided.

    Its 0.4556 counts both tails; the wrong one holds less than 0.001.
    """
    assert chance_to_pass(60, sd_inside=0.2, confidence=0.9) == pytest.approx(0.4556, abs=0.001)


def test_a_good_model_rarely_passes_many_findings_of_five_patients():
    assert chance_to_pass(5, sd_inside=2) ** 33 == pytest.approx(0.043, abs=0.001)


@pytest.mark.parametrize("findings", [1, 4, 33, 60])
def test_the_number_is_the_fewest_that_reaches_the_power(findings):
    n = patients_needed(findings)
    assert chance_to_pass(n, sd_inside=2) ** findings >= 0.8
    assert n == 5 or chance_to_pass(n - 1, sd_inside=2) ** findings < 0.8


def test_more_is_asked_of_a_worse_model_a_higher_power_and_more_findings():
    assert patients_needed(33) == 8
    assert patients_needed(33, sd_inside=1) > 20
    assert patients_needed(33, power=0.95) > patients_needed(33)
    assert patients_needed(33, confidence=0.99) > patients_needed(33)
    assert [patients_needed(f) for f in range(1, 61)] == sorted(
        patients_needed(f) for f in range(1, 61)
    )


def test_simulated_profiles_pass_as_often_as_was_said():
    n, findings, runs = patients_needed(12), 12, 1500
    values = np.random.default_rng(5).normal(-2.0, 1.0, (runs, findings, n))
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    passed = (values.mean(axis=-1) + half < 0).all(axis=-1).mean()
    assert passed >= 0.8 - 3 * np.sqrt(0.8 * 0.2 / runs)


def test_hospitals_as_such_need_more_than_two_deviations():
    with pytest.raises(InputError, match="never shown"):
        hospitals_needed(sd_inside=1.9)
    k = hospitals_needed(sd_inside=3)
    means = np.random.default_rng(6).normal(-3.0, 1.0, (4000, k))
    half = stats.t.ppf(0.975, k - 1) * means.std(axis=1, ddof=1) * np.sqrt(1 + 1 / k)
    assert (means.mean(axis=1) + half < 0).mean() >= 0.8 - 0.02


@pytest.mark.parametrize("wrong", [{"power": 1.0}, {"confidence": 0.4}, {"sd_inside": 0.0}])
def test_impossible_questions_are_refused(wrong):
    with pytest.raises(InputError):
        patients_needed(5, **wrong)
    with pytest.raises(InputError):
        patients_needed(0)
