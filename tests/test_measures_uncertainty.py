"""Uncertainty: known answers with normal errors, orders by hand, and every empty case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Curve, Pair, Value
from qa_suite.metrics.uncertainty.family import NO_STD, predicted_std, uncertainty
from qa_suite.metrics.uncertainty.interval import NO_INTERVAL
from qa_suite.metrics.uncertainty.metrics import OF_STD, observed_coverage
from qa_suite.metrics.uncertainty.ranks import area, ordered, rank_correlation, remaining_error
from qa_suite.metrics.uncertainty.settings import UncertaintySettings

SHAPE = (60, 50, 40)
GRID = Grid(shape=SHAPE, spacing_mm=(2, 2, 3))
SETTINGS = UncertaintySettings()
REGIONS = ("body", "air", "soft", "bone")
ORDER = ("error_std_rank", "sparsification_error")


def volume(array, quantity="HU"):
    array = np.asarray(array, dtype=np.float32)
    return Volume(
        array=array, grid=Grid(shape=array.shape, spacing_mm=(2, 2, 3)), quantity=quantity
    )


@pytest.fixture
def rng():
    return np.random.default_rng(20265)


@pytest.fixture
def reference(rng):
    """Air, soft tissue and bone, a third each."""
    return np.repeat([-900.0, 30.0, 700.0], 20)[:, None, None] + rng.normal(0, 5, SHAPE)


def pair(reference, error, std=None, samples=(), mask=None, quantity="HU"):
    synthetic = volume(reference + error, quantity)
    return Pair(
        reference=volume(reference, quantity),
        synthetic=synthetic,
        mask=np.ones(synthetic.array.shape, dtype=bool) if mask is None else mask,
        prediction=Prediction(
            mean=synthetic,
            std=None if std is None else volume(std, quantity),
            samples=tuple(volume(sample, quantity) for sample in samples),
        ),
    )


def measured(*args, **more):
    """Return what is said of the std; the interval has tests of its own."""
    return {
        (v.metric, v.region): v
        for v in uncertainty(pair(*args, **more), SETTINGS)
        if isinstance(v, Value) and not v.metric.startswith("interval_")
    }


def curves(*args, **more):
    found = uncertainty(pair(*args, **more), SETTINGS)
    return {c.curve: c for c in found if isinstance(c, Curve)}


# --- size: normal errors with a known σ


@pytest.fixture
def sigma(rng):
    return np.exp(rng.normal(3, 0.6, SHAPE))


def test_the_right_std(reference, sigma, rng):
    rows = measured(reference, sigma * rng.standard_normal(SHAPE), sigma)
    for region, voxels in zip(REGIONS, (120_000, 40_000, 40_000, 40_000), strict=True):
        spread = 4 / np.sqrt(voxels)
        assert rows["coverage_68", region].value == pytest.approx(0.6827, abs=0.47 * spread)
        assert rows["coverage_95", region].value == pytest.approx(0.95, abs=0.22 * spread)
        assert rows["calibration_error", region].value < 0.5 * spread
        assert rows["std_ratio", region].value == pytest.approx(0, abs=2)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_std_that_is_off_by_a_factor(reference, sigma, rng, factor):
    """Halved, ±σ holds what ±σ/2 holds of a normal distribution: 38.3 %."""
    rows = measured(reference, sigma * rng.standard_normal(SHAPE), factor * sigma)
    expected = 2 * stats.norm.cdf(factor) - 1
    assert rows["coverage_68", "body"].value == pytest.approx(expected, abs=0.006)
    assert rows["coverage_95", "body"].value == pytest.approx(
        2 * stats.norm.cdf(1.96 * factor) - 1, abs=0.006
    )
    assert rows["std_ratio", "body"].value == pytest.approx(100 * (1 / factor - 1), abs=2)
    levels = np.array(SETTINGS.levels)
    held = 2 * stats.norm.cdf(factor * stats.norm.ppf((1 + levels) / 2)) - 1
    error = np.abs(held - levels).mean()
    assert rows["calibration_error", "body"].value == pytest.approx(error, abs=0.004)
    calibration = curves(reference, sigma * rng.standard_normal(SHAPE), factor * sigma)
    np.testing.assert_allclose(calibration["calibration"].x, levels)
    np.testing.assert_allclose(calibration["calibration"].y, held, atol=0.006)


def test_a_bias_is_an_error_that_the_std_must_hold():
    rows = measured(np.zeros((4, 4, 4)), np.full((4, 4, 4), -30.0), np.full((4, 4, 4), 20.0))
    assert rows["coverage_68", "body"].value == 0
    assert rows["coverage_95", "body"].value == 1
    assert rows["std_ratio", "body"].value == pytest.approx(50)


def test_a_wrong_tissue_is_named(reference, sigma, rng):
    std = sigma.copy()
    std[40:] /= 4
    rows = measured(reference, sigma * rng.standard_normal(SHAPE), std)
    assert rows["std_ratio", "bone"].value == pytest.approx(300, abs=10)
    assert rows["std_ratio", "soft"].value == pytest.approx(0, abs=2)


def test_coverage_counts_the_limit_itself():
    error, std = np.array([0.0, 1.0, 2.0, 3.0]), np.ones(4)
    found = observed_coverage(error, std, np.array([0.5, 1.0, 2.5]))
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75])


def test_scaling_both_changes_nothing(reference, sigma, rng):
    error = sigma * rng.standard_normal(SHAPE)
    one, other = (measured(reference * 0, f * error, f * sigma) for f in (1, 4))
    for metric in OF_STD:
        assert other[metric, "body"].value == pytest.approx(one[metric, "body"].value)


# --- order


def test_the_oracle_orders_perfectly(reference, rng):
    error = rng.normal(0, 50, SHAPE).astype(np.float32)
    synthetic = volume(reference + error).array
    actual = np.abs(synthetic - volume(reference).array)
    rows = measured(reference, error, np.maximum(actual, 1e-4) * 3)
    assert rows["error_std_rank", "body"].value == pytest.approx(1, abs=1e-6)
    assert rows["sparsification_error", "body"].value == pytest.approx(0, abs=1e-6)


def test_the_reverse_is_worse_than_chance(reference, rng):
    error = rng.normal(0, 50, SHAPE)
    rows = measured(reference, error, 1e4 / (np.abs(error) + 1))
    assert rows["error_std_rank", "body"].value == pytest.approx(-1, abs=1e-5)
    assert rows["sparsification_error", "body"].value > 1.5


def test_chance_orders_nothing(reference, rng):
    rows = measured(reference, rng.normal(0, 50, SHAPE), rng.uniform(10, 90, SHAPE))
    assert rows["error_std_rank", "body"].value == pytest.approx(0, abs=4 / np.sqrt(120_000))
    assert rows["sparsification_error", "body"].value == pytest.approx(1, abs=0.02)


def test_the_right_std_orders_somewhat(reference, sigma, rng):
    rows = measured(reference, sigma * rng.standard_normal(SHAPE), sigma)
    assert 0.3 < rows["error_std_rank", "body"].value < 0.7
    assert 0.2 < rows["sparsification_error", "body"].value < 0.8


def test_sparsification_by_hand():
    errors, shares = np.array([1.0, 2.0, 3.0, 10.0]), np.array([0, 0.25, 0.5, 0.75])
    by_std = ordered(np.array([4.0, 1.0, 2.0, 3.0]))  # takes away 1, 10, 3
    np.testing.assert_allclose(
        remaining_error(errors, by_std, shares), np.array([4, 5, 2.5, 2]) / 4
    )
    np.testing.assert_allclose(
        remaining_error(errors, ordered(errors), shares), np.array([4, 2, 1.5, 1]) / 4
    )
    assert area(shares, np.array([1.0, 0.5, 0.5, 0.0])) == pytest.approx(0.375)


def test_equal_stds_count_by_their_expectation():
    errors, shares = np.array([1.0, 3.0, 4.0, 8.0]), np.array([0, 0.25, 0.5, 0.75])
    tied = ordered(np.array([1.0, 1.0, 2.0, 2.0]))  # 1, 3 in any order, then 4, 8
    expected = np.array([4, (2 + 2 + 6) / 3, 2, 2]) / 4
    np.testing.assert_allclose(remaining_error(errors, tied, shares), expected)
    np.testing.assert_allclose(
        remaining_error(errors[::-1], ordered(np.array([2.0, 2, 1, 1])), shares), expected
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), size=st.integers(2, 60), kinds=st.integers(2, 12))
def test_rank_correlation_is_that_of_scipy(seed, size, kinds):
    rng = np.random.default_rng(seed)
    one, two = (rng.integers(0, kinds, size).astype(float) for _ in range(2))
    if ordered(one).constant or ordered(two).constant:
        return
    expected = stats.spearmanr(one, two).statistic
    assert rank_correlation(ordered(one), ordered(two)) == pytest.approx(expected)


def test_more_voxels_than_are_ranked(reference, sigma, rng):
    error = sigma * rng.standard_normal(SHAPE)
    whole = pair(reference, error, sigma)
    few = UncertaintySettings(most_ranked=20_000)
    rows = {
        s.most_ranked: {
            (v.metric, v.region): v for v in uncertainty(whole, s) if isinstance(v, Value)
        }
        for s in (SETTINGS, few)
    }
    for metric in OF_STD:
        one, other = rows[200_000][metric, "body"], rows[20_000][metric, "body"]
        assert other.value == pytest.approx(one.value, abs=0.03 if metric in ORDER else 0)
        assert one.coverage == 1
        assert other.coverage == pytest.approx(1 / 6 if metric in ORDER else 1)
    again = uncertainty(whole, few)
    assert [v for v in again if isinstance(v, Value)] == list(rows[20_000].values())


# --- from samples


def test_the_std_of_samples(reference, rng):
    samples = [reference + rng.normal(0, 20, SHAPE) for _ in range(5)]
    mean = np.mean(samples, axis=0)
    found, count = predicted_std(pair(reference, mean - reference, samples=samples))
    assert count == 5
    np.testing.assert_allclose(found, np.std(samples, axis=0, ddof=1).ravel(), rtol=1e-4)
    rows = measured(reference, mean - reference, samples=samples)
    assert rows["std_samples", "body"].value == 5
    assert rows["coverage_68", "body"].status == "ok"


@pytest.mark.parametrize("count", [2, 4, 8])
def test_few_samples_cover_less_even_if_they_are_right(rng, count):
    """The table of docs/measures/uncertainty.md: Student's t with n - 1, and 1 + 1/n."""
    draws = rng.normal(0, 20, (count + 1, *SHAPE))
    samples = draws[1:] + 100
    rows = measured(draws[0] + 100, samples.mean(axis=0) - draws[0] - 100, samples=samples)
    for metric, multiple in (("coverage_68", 1.0), ("coverage_95", 1.96)):
        expected = 2 * stats.t.cdf(multiple / np.sqrt(1 + 1 / count), count - 1) - 1
        assert rows[metric, "body"].value == pytest.approx(expected, abs=0.006)


def test_a_stated_std_comes_first(reference, rng):
    samples = [reference + rng.normal(0, 20, SHAPE) for _ in range(2)]
    found, count = predicted_std(pair(reference, 1, std=np.full(SHAPE, 7.0), samples=samples))
    assert count == 0 and (found == 7).all()
    rows = measured(reference, 1, std=np.full(SHAPE, 7.0), samples=samples)
    assert "states its std itself" in rows["std_samples", "body"].why


# --- what has no value


def keys():
    return {("std_samples", "body"), *((m, r) for m in OF_STD for r in REGIONS)}


@pytest.mark.parametrize("samples", [0, 1])
def test_no_std(reference, samples):
    rows = measured(reference, 1, samples=[reference] * samples)
    assert set(rows) == keys()
    assert {(v.status, v.why) for v in rows.values()} == {("undefined", NO_STD)}
    bare = Pair(
        reference=volume(reference), synthetic=volume(reference), mask=np.ones(SHAPE, dtype=bool)
    )
    assert {v.why for v in uncertainty(bare, SETTINGS)} == {NO_STD, NO_INTERVAL}


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_std_that_is_not_a_positive_number(reference, sigma, wrong):
    sigma[50, 3, 3] = wrong  # in bone
    rows = measured(reference, 1.0, sigma)
    assert set(rows) == keys()
    for metric in OF_STD:
        for region in ("body", "bone"):
            assert rows[metric, region].status == "error"
            assert "std of 1 of" in rows[metric, region].why
        assert rows["coverage_68", "soft"].status == "ok"
    assert not curves(reference, 1.0, sigma)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_images_that_are_not_finite(reference, sigma, wrong):
    error = np.ones(SHAPE)
    error[50, 3, 3] = wrong
    rows = measured(reference, error, sigma)
    assert rows["coverage_68", "bone"].status == "error"
    assert rows["coverage_68", "soft"].status == "ok"
    reference[50, 3, 3] = wrong
    rows = measured(reference, 0, sigma)
    assert {rows[m, r].status for m in OF_STD for r in REGIONS} == {"error"}


def test_samples_that_are_infinite_are_an_error(reference):
    samples = [reference.copy() for _ in range(3)]
    samples[1][0, 0, 0] = np.inf
    rows = measured(reference, 1, samples=samples)
    assert rows["coverage_68", "air"].status == "error"


def test_a_constant_std_puts_nothing_in_order(reference, rng):
    rows = measured(reference, rng.normal(0, 20, SHAPE), np.full(SHAPE, 20.0))
    for metric in ORDER:
        assert "same in all voxels" in rows[metric, "body"].why
    assert rows["coverage_68", "body"].value == pytest.approx(0.6827, abs=0.006)
    assert set(curves(reference, rng.normal(0, 20, SHAPE), np.full(SHAPE, 20.0))) == {"calibration"}


def test_a_constant_error_has_no_order(sigma):
    rows = measured(np.zeros(SHAPE), 0.0, sigma)
    assert rows["coverage_68", "body"].value == 1
    assert rows["std_ratio", "body"].value == -100
    for metric in ORDER:
        assert rows[metric, "body"].why.startswith("the error is the same")


def test_empty_regions(reference, sigma):
    mask = np.zeros(SHAPE, dtype=bool)
    rows = measured(reference, 1, sigma, mask=mask)
    assert set(rows) == keys()
    assert {v.status for v in rows.values()} == {"undefined"}
    mask[25:35] = True
    rows = measured(reference, np.indices(SHAPE)[0] * 1.0, sigma, mask=mask)
    assert rows["coverage_68", "bone"].status == "undefined"
    assert rows["coverage_68", "soft"].status == "ok"
    one = np.zeros(SHAPE, dtype=bool)
    one[30, 3, 3] = True
    rows = measured(reference, 1, sigma, mask=one)
    assert rows["error_std_rank", "body"].status == "undefined"
    assert rows["coverage_68", "body"].status == "ok"


def test_two_voxels_are_enough_for_no_area_and_no_crash():
    rows = measured(np.zeros((1, 1, 2)), np.array([[[1.0, 2.0]]]), np.array([[[1.0, 2.0]]]))
    assert rows["error_std_rank", "body"].value == pytest.approx(1)
    assert rows["sparsification_error", "body"].value == pytest.approx(0)


def test_quantities_without_bands_have_a_body_only(rng):
    reference = rng.uniform(0, 5, (6, 6, 6))
    rows = measured(
        reference,
        0.1 * rng.standard_normal((6, 6, 6)),
        rng.uniform(0.1, 0.3, (6, 6, 6)),
        quantity="SUVbw",
    )
    assert {region for _, region in rows} == {"body"}


def test_a_std_of_something_else_is_refused(reference, sigma):
    one = pair(reference, 1, sigma)
    wrong = Prediction(mean=one.synthetic, std=volume(sigma, "arbitrary"))
    with pytest.raises(InputError, match="the std in arbitrary"):
        uncertainty(
            Pair(reference=one.reference, synthetic=one.synthetic, mask=one.mask, prediction=wrong),
            SETTINGS,
        )
    wrong = Prediction(mean=one.synthetic, std=volume(sigma[1:]))
    with pytest.raises(GeometryError, match="the std"):
        uncertainty(
            Pair(reference=one.reference, synthetic=one.synthetic, mask=one.mask, prediction=wrong),
            SETTINGS,
        )


def test_levels_must_make_sense():
    for levels in ((0.5, 0.4), (0.0, 0.5), (0.5, 1.0)):
        with pytest.raises(ValidationError, match="levels must increase"):
            UncertaintySettings(levels=levels)
