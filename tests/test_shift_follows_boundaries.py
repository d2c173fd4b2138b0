"""Errors against the distance of the source image at their boundaries, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from qa_suite.core.records.shift import ErrorFollows
from qa_suite.judging.shift.follows import at_level
from qa_suite.judging.shift.two_groups import DEALS

UP = [(float(n), 2.0 * n) for n in range(10)]
SHUFFLED = [(float(n), float(e)) for n, e in enumerate([4, 9, 1, 6, 3, 8, 0, 5, 7, 2])]
INFERRED = ("rho_low", "rho_high", "p_value", "slope_low", "slope_high")


def level(name: str, pairs: dict[str, list[tuple[float, float]]], **more: Any) -> ErrorFollows:
    seed, confidence = more.pop("seed", 1), more.pop("confidence", 0.95)
    blank = ErrorFollows(metric="mae", region="body", unit="HU", level=name, n=0, **more)
    points = [(site, far, error) for site, told in pairs.items() for far, error in told]
    return at_level(blank, points, confidence, seed)


def sites(pairs: list[tuple[float, float]]) -> dict[str, list[tuple[float, float]]]:
    return {f"S{n}": [pair] for n, pair in enumerate(pairs)}


@pytest.mark.parametrize(("n", "orders"), [(6, 720), (7, 5040)])
def test_of_few_sites_every_order_is_gone_through(n: int, orders: int) -> None:
    """Of all orders, the one that rises throughout and its mirror are as extreme: 2 of n!."""
    assert level("between sites", sites(UP[:n])).p_value == pytest.approx(2 / orders)
    falling = [(far, -error) for far, error in UP[:n]]
    assert level("between sites", sites(falling)).p_value == pytest.approx(2 / orders)


def test_from_eight_on_orders_are_drawn_and_the_observed_one_is_among_them() -> None:
    found = level("between sites", sites(SHUFFLED[:8]))
    assert found.p_value is not None and 0 < found.p_value <= 1
    assert found.p_value * (DEALS + 1) == pytest.approx(round(found.p_value * (DEALS + 1)))
    assert found == level("between sites", sites(SHUFFLED[:8]))  # by their seed
    assert found.p_value != level("between sites", sites(SHUFFLED[:8]), seed=2).p_value
    least = level("between sites", sites(UP)).p_value  # 2 of 3.6 million: hardly ever drawn
    assert least is not None and 1 / (DEALS + 1) <= least <= 3 / (DEALS + 1)


def test_within_sites_the_sites_own_levels_are_no_association() -> None:
    """Both sites fall within, though the far one lies higher."""
    near = [(float(n), -float(n)) for n in range(5)]
    far = [(100.0 + n, 100.0 - n) for n in range(5)]
    found = level("within sites", {"A": near, "B": far})
    assert (found.n, found.rho, found.slope) == (10, pytest.approx(-1), pytest.approx(-1))
    # each site's order is dealt for itself: 2 of 120 * 120 are as extreme
    assert found.p_value == pytest.approx(2 / 14400, abs=6 / DEALS)
    assert level("patients", {"A": near, "B": far}).rho > 0


def test_a_site_of_one_patient_says_nothing_within_and_something_between() -> None:
    pairs = {"A": UP[:8], "B": [(50.0, 0.0)], "C": [(60.0, 0.0), (61.0, 2.0)]}
    assert level("within sites", pairs).n == 10
    assert level("patients", pairs).n == 11
    assert level("between sites", pairs).n == 3


def test_patients_of_several_sites_are_described_and_not_tested() -> None:
    one = level("patients", {"A": UP})
    several = level("patients", {"A": UP[:5], "B": UP[5:]})
    assert (one.rho, one.slope) == (pytest.approx(1), pytest.approx(2))
    assert (several.rho, several.slope) == (pytest.approx(1), pytest.approx(2))
    assert all(getattr(one, name) is not None for name in INFERRED)
    assert all(getattr(several, name) is None for name in INFERRED)


def test_between_sites_each_weighs_once_by_its_means() -> None:
    """Means (n, 2n) of two or twenty patients alike: the slope is 2."""
    pairs = {
        f"S{n}": [(n - 1.0, 2.0 * n), (n + 1.0, 2.0 * n)] * (1 + 9 * (n == 5)) for n in range(6)
    }
    found = level("between sites", pairs)
    assert (found.n, found.rho, found.slope) == (6, pytest.approx(1), pytest.approx(2))
    assert (found.slope_low, found.slope_high) == pytest.approx((2, 2))


@pytest.mark.parametrize(
    ("pairs", "confidence", "shown"),
    [
        (UP, 0.95, True),
        ([(far, -error) for far, error in UP], 0.95, True),
        (SHUFFLED, 0.95, False),
        (UP, 0.9999, False),  # no p of drawn orders is below 1 in 3000
    ],
)  # fmt: skip
def test_it_is_shown_by_interval_and_test_together(pairs, confidence: float, shown: bool) -> None:
    found = level("patients", {"A": pairs}, confidence=confidence)
    apart = found.rho_low > 0 or found.rho_high < 0
    assert (apart and found.p_value <= 1 - confidence) is shown
    said = found.sentence.partition(" the source's distance")[0]
    assert found.sentence.count(" HU)") == 1  # the unit of the slope's interval
    assert said.endswith(" goes with" if shown else " is not shown to go with")


@pytest.mark.parametrize("magnitude", [False, True])
def test_who_is_left_out_is_counted_in_the_sentence(magnitude: bool) -> None:
    for left_out, told in ((0, None), (1, "1 patient not in it"), (3, "3 patients not in it")):
        found = level("patients", {"A": UP[:7]}, left_out=left_out, magnitude=magnitude)
        assert ("not in it" in found.sentence) is (told is not None)
        assert told is None or told in found.sentence
        assert "(7 patients with both" in found.sentence
        assert found.sentence.startswith("The size of") is magnitude
    assert "(5 sites with both" in level("between sites", sites(UP[:5])).sentence
