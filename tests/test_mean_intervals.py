"""Intervals of a mean by kind: known answers, properties, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulations.peers import BEGIN, END, part_of, put
from benchmarks.simulations.populations import COUNT, POSITIVE, SHARE, SIGNED
from benchmarks.simulations.vectorised import limits, predictions
from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.judging.generalised_limits import cube_upper, log_margin, log_upper
from qa_suite.judging.hospitals import (
    mean_over_hospitals,
    median_over_hospitals,
    new_site_interval,
    share_over_hospitals,
)
from qa_suite.judging.mean_intervals import mean_interval_by_kind
from qa_suite.judging.statistics import median_interval, proportion_interval

EVENT = MeasureKind(kind="event", low=0, high=1)
MAE = np.array([52.0, 48, 61, 55, 44, 58, 50, 49])
DICE = np.array([0.9, 0.92, 0.85, 0.88, 0.91, 0.93, 0.9, 0.87])


def test_signed_values_have_students_interval():
    found = mean_interval_by_kind(MAE, SIGNED)
    expected = stats.ttest_1samp(MAE, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_events_have_exact_limits_also_where_none_occurred():
    found = mean_interval_by_kind([0.0] * 10, EVENT)
    expected = stats.binomtest(0, 10).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_log_normal_limit_is_that_of_simulated_pivots():
    """By the definition of Krishnamoorthy and Mathew 2003, section 2, drawn a million times."""
    rng, n, s = np.random.default_rng(1), 8, 0.5
    u = rng.chisquare(n - 1, 1_000_000) / (n - 1)
    pivots = -rng.normal(size=u.size) * s / np.sqrt(u * n) + s**2 / (2 * u)
    assert log_margin(s, n, 0.975) == pytest.approx(np.quantile(pivots, 0.975), rel=0.01)


def test_the_cube_limit_is_that_of_simulated_pivots():
    rng, n = np.random.default_rng(2), 8
    values = rng.gamma(2, 1, n)
    roots = np.cbrt(values)
    spread = roots.std(ddof=1) / np.sqrt(rng.chisquare(n - 1, 1_000_000) / (n - 1))
    mean = roots.mean() - rng.normal(size=spread.size) * spread / np.sqrt(n)
    expected = np.quantile(mean**3 + 3 * mean * spread**2, 0.975)
    assert cube_upper(values, 0.975) == pytest.approx(expected, rel=0.01)


def test_little_spread_leaves_students_interval_whatever_the_kind():
    sample = 100 + 0.01 * (MAE - MAE.mean())
    plain, found = mean_interval_by_kind(sample, SIGNED), mean_interval_by_kind(sample, POSITIVE)
    assert found.low == plain.low
    assert found.high == pytest.approx(plain.high, abs=1e-4)
    assert log_upper(sample, 0.975) == pytest.approx(plain.high, abs=1e-3)


@pytest.mark.parametrize(("kind", "sample"), [(POSITIVE, MAE), (SHARE, DICE), (SIGNED, MAE - 52)])
def test_order_changes_nothing_and_more_confidence_is_wider(kind, sample):
    found = mean_interval_by_kind(sample, kind)
    turned = mean_interval_by_kind(sample[::-1], kind)
    assert (found.low, found.high) == pytest.approx((turned.low, turned.high))
    surer = mean_interval_by_kind(sample, kind, confidence=0.99)
    assert surer.low < found.low < found.estimate < found.high < surer.high


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_positive_values_scale(factor):
    found, scaled = (mean_interval_by_kind(MAE * f, POSITIVE) for f in (1, factor))
    assert (scaled.low, scaled.high) == pytest.approx((found.low * factor, found.high * factor))


def test_bounded_values_mirror_and_stay_between_their_ends():
    found, mirrored = (mean_interval_by_kind(v, SHARE) for v in (DICE, 1 - DICE))
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))
    near = mean_interval_by_kind([0.99, 1.0, 0.98, 0.985, 0.99, 0.98], SHARE)
    assert 0 < near.low < near.estimate < near.high <= 1


@pytest.mark.parametrize(
    ("kind", "sample", "why"),
    [
        (POSITIVE, [5.0] * 9, "alike"),
        (SHARE, [1.0] * 9, "alike"),
        (SIGNED, [0.0] * 9, "alike"),
        (COUNT, [0.0] * 9, "alike"),
        (POSITIVE, [1.0, 2, 3, 4], "4 of 5 patients"),
        (SHARE, [0.9, 0.8, 0.85, 0.7], "4 of 5 patients"),
        (SIGNED, [1.0], "1 of 2 patients"),
        (POSITIVE, [1.0, 1, 1, 1, 1, 1, 1, 30], "scatter too much"),
        (SHARE, [1.0, 1, 1, 1, 1, 1, 1, 0.4], "scatter too much"),
    ],
)
def test_outside_its_region_there_is_none_and_the_reason_says_so(kind, sample, why):
    found = mean_interval_by_kind(sample, kind)
    assert (found.low, found.high) == (None, None)
    assert why in found.why and found.why in found.method


def test_the_interval_of_skewed_values_reaches_as_far_as_they_do():
    values = [0.1, -0.2, 0.3, 0, -0.1, 0.2, -0.3, 0.1, 40]
    found = mean_interval_by_kind(values, SIGNED)
    assert stats.skewtest(values).pvalue < 0.01
    assert (found.low, found.high) == (pytest.approx(-5.79, abs=0.01), 40)
    mirrored = mean_interval_by_kind([-value for value in values], SIGNED)
    assert (mirrored.low, mirrored.high) == (-40, -found.low)
    even = mean_interval_by_kind(values[:-1], SIGNED)
    assert even.high < max(values[:-1]), "Student's t alone"


@pytest.mark.parametrize(
    ("mean", "sd", "n"), [(0.8, 0.05, 8), (0.95, 0.02, 8), (0.9, 0.03, 24), (0.85, 0.02, 12)]
)
def test_good_translators_lie_inside(mean, sd, n):
    size = mean * (1 - mean) / sd**2 - 1
    rng = np.random.default_rng(3)
    dice = limits(rng.beta(mean * size, (1 - mean) * size, (500, n)), SHARE)
    mae = limits(np.exp(rng.normal(4, 0.3, (500, n))), POSITIVE)
    assert dice[2].mean() > 0.99 and mae[2].mean() > 0.99


@pytest.mark.parametrize("kind", [SIGNED, POSITIVE, SHARE, COUNT])
def test_the_simulated_intervals_are_those_of_the_judge(kind):
    rng = np.random.default_rng(4)
    samples = rng.poisson(3, (20, 9)).astype(float) if kind is COUNT else rng.beta(6, 2, (20, 9))
    low, high, decided = limits(samples, kind)
    for sample, *ends, has in zip(samples, low, high, decided, strict=True):
        found = mean_interval_by_kind(sample, kind)
        assert (found.low is not None) == has
        if has:
            assert (found.low, found.high) == pytest.approx(tuple(ends), rel=5e-3)


@pytest.mark.parametrize("kind", [SIGNED, POSITIVE, SHARE, COUNT])
def test_the_simulated_predictions_are_those_of_the_judge(kind):
    rng = np.random.default_rng(7)
    samples = (
        rng.poisson(3, (5, 7, 6)).astype(float) if kind is COUNT else rng.beta(6, 2, (5, 7, 6))
    )
    low, high, decided = predictions(samples, kind)
    assert decided.all()
    for study, *ends in zip(samples, low, high, strict=True):
        found = new_site_interval({str(n): row for n, row in enumerate(study)}, kind=kind)
        assert (found.low, found.high) == pytest.approx(tuple(ends))


def test_the_part_beside_other_packages_is_put_in_its_place_and_stays():
    part = f"{BEGIN}one{END}\n"
    page = put("# Page\n", part)
    assert part_of(page) == part
    assert put(page + "more\n", f"{BEGIN}two{END}\n") == f"# Page\n\n{BEGIN}two{END}\nmore\n"
    assert put("# New\n", part_of("# Page\n")) == "# New\n"


@pytest.mark.parametrize("kind", [POSITIVE, SHARE])
def test_a_model_at_its_bound_rarely_passes(kind):
    rng, runs = np.random.default_rng(5), 4000
    gamma = kind is POSITIVE
    samples = rng.lognormal(0, 0.4, (runs, 8)) if gamma else rng.beta(18, 2, (runs, 8))
    truth = np.exp(0.08) if gamma else 0.9
    low, high, decided = limits(samples, kind)
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)
    assert (decided & (low > truth)).mean() <= most
    assert (decided & (high < truth)).mean() <= most


# --- hospitals -------------------------------------------------------------------------------


def test_hospitals_are_the_sample_of_a_pooled_mean():
    sites = np.repeat(list("abcdefg"), 4)
    values = np.arange(28.0) % 7 + np.repeat(np.arange(7.0), 4)
    means = values.reshape(7, 4).mean(axis=1)
    found = mean_over_hospitals(values, sites, SIGNED)
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_likeness_within_hospitals_widens_a_share_and_none_is_almost_exact():
    sites = np.repeat(np.arange(10), 10)
    spread = np.tile([1.0, 0, 1, 1, 1, 1, 1, 1, 1, 1], 10)
    alike = np.repeat([1.0, 1, 1, 1, 1, 1, 1, 1, 1, 0], 10)
    exact = proportion_interval(90, 100)
    plain, clustered = (share_over_hospitals(v, sites) for v in (spread, alike))
    assert plain.estimate == clustered.estimate == exact.estimate == 0.9
    assert clustered.low < plain.low <= exact.low
    assert share_over_hospitals(np.ones(100), sites).low is None


def test_a_median_over_hospitals_is_never_surer_than_over_patients():
    values = np.random.default_rng(6).normal(0, 1, 60) + np.repeat(np.arange(6.0), 10)
    found, plain = (
        median_over_hospitals(values, np.repeat(np.arange(6), 10)),
        median_interval(values),
    )
    assert found.low < plain.low < found.estimate < plain.high < found.high


def test_a_new_site_has_never_an_interval_of_no_width():
    alike = {str(n): [50.0, 51, 52, 53, 54] for n in range(8)}
    found = new_site_interval(alike)
    assert (found.estimate, found.low, found.high) == (52, None, None) and found.why
    unlike = alike | {"8": list(np.linspace(50, 54, 40))}
    assert new_site_interval(unlike).low is None  # also with numbers unlike
    unlike["9"] = [50.1, 51, 52, 53, 54]
    found = new_site_interval(unlike)
    assert found.high - found.low > 1  # the patients' own spread remains
    assert "Knapp-Hartung" in found.method
