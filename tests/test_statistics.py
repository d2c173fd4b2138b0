"""Intervals: closed forms, independent references, coverage by simulation, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa_suite.core.errors import InputError
from qa_suite.judging.comparisons import (
    holm_levels,
    holm_p_values,
    tost_p_value,
    welch_interval,
    welch_p_value,
)
from qa_suite.judging.hospitals import new_site_interval
from qa_suite.judging.statistics import (
    mean_interval,
    median_interval,
    patient_means,
    proportion_interval,
)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------
# Closed forms and references


def test_mean_interval_by_hand() -> None:
    # n = 4, mean 5, s = sqrt(20/3); t_3(0.975) = 3.182446
    found = mean_interval([2, 4, 6, 8])
    half = 3.182446305284263 * np.sqrt(20 / 3) / 2
    assert found.estimate == 5
    assert found.low == pytest.approx(5 - half, rel=1e-9)
    assert found.high == pytest.approx(5 + half, rel=1e-9)
    assert found.n == 4


def test_mean_interval_agrees_with_scipy() -> None:
    values = rng().normal(60, 8, 11)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = mean_interval(values, confidence=0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_patient_has_no_interval() -> None:
    found = mean_interval([3.0])
    assert (found.estimate, found.low, found.high) == (3, None, None)
    assert found.why == "one patient gives no interval"


@pytest.mark.parametrize(
    ("n", "depth"),
    # Depths of the 95 % interval of the median as tabulated (sign test, two-sided 5 %).
    [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10)],
)
def test_median_interval_depths(n: int, depth: int) -> None:
    values = np.arange(1, n + 1, dtype=float)
    found = median_interval(rng().permutation(values))
    assert (found.low, found.high) == (depth, n + 1 - depth)
    assert found.estimate == (n + 1) / 2
    inside = stats.binom.cdf(n - depth, n, 0.5) - stats.binom.cdf(depth - 1, n, 0.5)
    assert inside >= 0.95


def test_median_of_five_has_no_interval_at_95() -> None:
    assert median_interval([1, 2, 3, 4, 5]).low is None
    assert median_interval([1, 2, 3, 4, 5], confidence=0.9).low == 1


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (9, 10), (3, 17), (1, 1)])
def test_proportion_agrees_with_scipy(k: int, n: int) -> None:
    for side, alternative in (("two", "two-sided"), ("upper", "less")):
        expected = stats.binomtest(k, n, alternative=alternative).proportion_ci(0.95, "exact")
        found = proportion_interval(k, n, side=side)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_proportion_closed_forms() -> None:
    assert proportion_interval(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert proportion_interval(10, 10).low == pytest.approx(0.025 ** (1 / 10))
    assert proportion_interval(0, 10, side="upper").high == pytest.approx(1 - 0.05 ** (1 / 10))
    assert proportion_interval(10, 10, side="upper").low == 0


def test_welch_agrees_with_scipy() -> None:
    a, b = rng(2).normal(5, 3, 7), rng(3).normal(2, 1, 12)
    expected = stats.ttest_ind(a, b, equal_var=False)
    limits = expected.confidence_interval(0.95)
    found = welch_interval(a, b)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert welch_p_value(a, b) == pytest.approx(expected.pvalue)


def test_welch_of_constant_groups() -> None:
    assert welch_p_value([1, 1], [1, 1]) == 1
    assert welch_p_value([2, 2], [1, 1]) == 0
    found = welch_interval([2, 2], [1, 1])
    assert (found.low, found.high) == (1, 1)


@pytest.mark.parametrize(
    ("p_values", "shares"),
    [
        # The k-th smallest of m is held against 0.05 / (m - k + 1) ...
        ([0.01, 0.04, 0.02, 0.005], (3, 1, 2, 4)),
        # ... and all that follow the first one kept against that one's level: 0.03 > 0.05 / 2.
        ([0.01, 0.04, 0.03, 0.005], (3, 2, 2, 4)),
        ([0.9, 0.8], (2, 2)),
        ([0.05], (1,)),
        ([0.025, 0.05], (2, 1)),  # at its level a p value is rejected, and the next one is asked
        ([0.0, 1.0], (2, 1)),
        ([0.01, 0.01], (2, 1)),  # of equals the first one given comes first
        ([], ()),
    ],
)
def test_holm_levels_by_hand(p_values: list[float], shares: tuple[int, ...]) -> None:
    wanted = tuple(1 - 0.05 / share for share in shares)
    assert holm_levels(p_values, confidence=1 - 0.05) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("p", [-0.001, 1.001, np.nan])
def test_p_values_lie_between_nought_and_one(p: float) -> None:
    with pytest.raises(InputError):
        holm_levels([0.5, p])


def adjusted(p_values: list[float]) -> list[float]:
    """Holm's adjusted p values, by their definition."""
    m = len(p_values)
    ordered = sorted(p_values)
    steps = [min(1.0, (m - rank) * p) for rank, p in enumerate(ordered)]
    return [max(steps[: ordered.index(p) + 1]) for p in p_values]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True))
def test_holm_levels_reject_where_holm_rejects(p_values: list[float]) -> None:
    levels = holm_levels(p_values, confidence=0.95)
    for p, level, held in zip(p_values, levels, adjusted(p_values), strict=True):
        if abs(held - 0.05) > 1e-9:
            assert (p <= 1 - level) == (held <= 0.05)


def test_an_interval_within_is_two_one_sided_tests() -> None:
    values = rng(8).normal(1, 2, 25)
    above = stats.ttest_1samp(values, -3, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 3, alternative="less").pvalue
    at_p = mean_interval(values, confidence=1 - 2 * max(above, below))
    assert at_p.low is not None and at_p.high is not None
    assert min(at_p.low + 3, 3 - at_p.high) == pytest.approx(0, abs=1e-6)


def test_a_new_site_is_predicted_from_the_means_of_six() -> None:
    sites = {name: level + np.arange(5.0) for name, level in zip("ABCDEF", range(6), strict=True)}
    found = new_site_interval(sites)
    means = np.arange(6) + 2.0
    half = stats.t.ppf(0.975, 5) * means.std(ddof=1) * np.sqrt(7 / 6)
    assert found.low == pytest.approx(means.mean() - half)
    assert found.high == pytest.approx(means.mean() + half)
    assert found.n == 6


# ---------------------------------------------------------------------------------------
# Coverage: the share of simulated studies whose interval holds the truth


def share(hits: list[bool]) -> float:
    return float(np.mean(hits))


def test_coverage_of_mean_and_welch() -> None:
    source = rng(11)
    mean, welch = [], []
    for _ in range(1500):
        a, b = source.normal(50, 5, 6), source.normal(40, 15, 9)
        one, two = mean_interval(a), welch_interval(a, b)
        assert one.low is not None and one.high is not None
        assert two.low is not None and two.high is not None
        mean.append(one.low <= 50 <= one.high)
        welch.append(two.low <= 10 <= two.high)
    # Three standard errors of a share of 0.95 over 1500 studies are 0.017.
    assert share(mean) == pytest.approx(0.95, abs=0.017)
    assert share(welch) == pytest.approx(0.95, abs=0.02)


def test_coverage_of_exact_intervals_is_at_least_nominal() -> None:
    source = rng(12)
    median, proportion = [], []
    for _ in range(1500):
        one = median_interval(source.lognormal(0, 1, 12))
        two = proportion_interval(int(source.binomial(15, 0.8)), 15)
        assert one.low is not None and one.high is not None
        assert two.low is not None and two.high is not None
        median.append(one.low <= 1 <= one.high)
        proportion.append(two.low <= 0.8 <= two.high)
    assert share(median) > 0.95 - 0.017
    assert share(proportion) > 0.95 - 0.017


def test_coverage_of_the_new_site_prediction() -> None:
    source = rng(13)
    hits = []
    for _ in range(1000):
        truth = source.normal(60, 10, 7)
        observed = [source.normal(site, 8, 10) for site in truth]
        found = new_site_interval({str(i): v for i, v in enumerate(observed[:6])})
        assert found.low is not None and found.high is not None
        hits.append(found.low <= observed[6].mean() <= found.high)
    assert share(hits) == pytest.approx(0.95, abs=0.021)


def test_repeated_examinations_counted_as_patients_would_lose_coverage() -> None:
    """The reason for the rule: five scans of one patient are not five patients."""
    source = rng(14)
    by_patient, by_scan = [], []
    for _ in range(600):
        levels = np.repeat(source.normal(60, 10, 6), 5)
        scans = levels + source.normal(0, 2, levels.size)
        patients = patient_means(dict(zip("abcdef", scans.reshape(6, 5), strict=True)))
        right, wrong = mean_interval(patients), mean_interval(scans)
        for found, hits in ((right, by_patient), (wrong, by_scan)):
            assert found.low is not None and found.high is not None
            hits.append(found.low <= 60 <= found.high)
    assert share(by_patient) > 0.92
    assert share(by_scan) < 0.75


# ---------------------------------------------------------------------------------------
# Patients, and refusals


def test_examinations_are_averaged_before_patients() -> None:
    assert patient_means({"b": [10.0, 20.0], "a": [4.0]}).to_dict() == {"a": 4.0, "b": 15.0}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_patient_without_a_number_is_named(bad: float) -> None:
    with pytest.raises(InputError, match=r"\bb, c\b"):
        patient_means({"c": [bad], "a": [1.0], "b": [1.0, bad]})


@pytest.mark.parametrize(
    "estimate",
    [
        mean_interval,
        median_interval,
        lambda v: welch_interval(v, [1, 2]),
        lambda v: welch_interval([1, 2], v),
        lambda v: welch_p_value(v, [1, 2]),
        lambda v: new_site_interval({"A": v}),
    ],
)
@pytest.mark.parametrize("bad", [[], [1.0, np.nan, 2.0], [1.0, np.inf]])
def test_nothing_steps_over_a_hole(estimate, bad) -> None:
    with pytest.raises(InputError):
        estimate(bad)


@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0, 95])
def test_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence"):
        mean_interval([1, 2], confidence=confidence)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_proportions(k: int, n: int) -> None:
    with pytest.raises(InputError, match="not a proportion"):
        proportion_interval(k, n)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=20),
    st.floats(0.1, 10),
    st.floats(-100, 100),
)
def test_intervals_move_and_scale_with_the_values(
    values: list[float], factor: float, offset: float
) -> None:
    sample = np.array(values)
    for interval in (mean_interval, median_interval):
        plain, moved = interval(sample), interval(sample * factor + offset)
        for before, after in ((plain.low, moved.low), (plain.high, moved.high)):
            assert before is not None
            assert after == pytest.approx(before * factor + offset, rel=1e-6, abs=1e-6)


def test_holm_by_hand() -> None:
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 -> 0.02, 0.03, 0.06, 0.06
    assert holm_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm_p_values([]) == ()


def test_tost_matches_the_interval_inclusion() -> None:
    values = rng(8).normal(1, 2, 25)
    p = tost_p_value(values, low=-3, high=3)
    above = stats.ttest_1samp(values, -3, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 3, alternative="less").pvalue
    assert p == pytest.approx(max(above, below))
    at_p = mean_interval(values, confidence=1 - 2 * p)
    assert at_p.low is not None and at_p.high is not None
    assert min(at_p.low + 3, 3 - at_p.high) == pytest.approx(0, abs=1e-6)
