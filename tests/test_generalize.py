"""Site gaps: planted shifts are found and named, absent ones are not, on planted tables."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qa_suite.core.errors import Problems
from qa_suite.core.records import CaseRecord, SiteGap
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.site_gaps import GapMeasure, site_gaps

MAE = GapMeasure(measure=Measure(metric="mae", region="body"), better="lower")
HOME = ("A", "B")

Tables = tuple[pd.DataFrame, list[CaseRecord]]


def tables(
    values: Mapping[str, Mapping[str, float] | np.ndarray | list[float]], metric: str = "mae"
) -> Tables:
    """Return a table of one metric: site to the values of its patients."""
    cases, rows = [], []
    for site, numbers in values.items():
        named = (
            numbers
            if isinstance(numbers, Mapping)
            else {f"{site}{i}": float(v) for i, v in enumerate(numbers)}
        )
        for patient, value in named.items():
            case = f"{site}-{patient}"
            cases.append(
                CaseRecord(case=case, patient=patient, site=site, split="test", status="evaluated")
            )
            rows.append(
                {
                    "case": case,
                    "patient": patient,
                    "site": site,
                    "family": "image",
                    "metric": metric,
                    "region": "body",
                    "variant": "default",
                    "value": value,
                    "unit": "HU",
                    "status": "ok",
                    "why": "",
                }
            )
    return pd.DataFrame(rows), cases


def gaps(
    data: Tables, *measures: GapMeasure, training: tuple[str, ...] = HOME
) -> dict[str, SiteGap]:
    found = site_gaps(*data, measures or (MAE,), training_sites=training)
    return {gap.site: gap for gap in found}


def draw(mean: float, n: int, seed: int, spread: float = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, n)


A, B, C = draw(50, 8, 1), draw(51, 8, 2), draw(80, 6, 3)


def test_gap_abroad_is_against_the_pooled_training_patients() -> None:
    found = gaps(tables({"A": A, "B": B, "C": C}))["C"]
    home = np.concatenate([A, B])
    assert (found.in_training, found.patients, found.unit) == (False, 6, "HU")
    assert found.gap == pytest.approx(C.mean() - home.mean())
    assert found.estimate == pytest.approx(C.mean())
    own = stats.ttest_1samp(C, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((own.low, own.high))
    assert found.shifted is True
    # The smallest of three p values: its interval stands at 1 - 0.05 / 3.
    limits = stats.ttest_ind(C, home, equal_var=False).confidence_interval(1 - 0.05 / 3)
    assert (found.gap_low, found.gap_high) == pytest.approx((limits.low, limits.high))
    assert "Holm over 3 gaps" in found.method and re.search(r"\bC\b", found.sentence)


def test_home_sites_are_compared_with_the_other_home_sites_alone() -> None:
    found = gaps(tables({"A": A, "B": B, "C": C}))
    assert found["A"].gap == pytest.approx(A.mean() - B.mean())
    assert found["B"].gap == pytest.approx(B.mean() - A.mean())
    assert (found["A"].shifted, found["B"].shifted) == (False, False)
    assert found["A"].gap_low < 0 < found["A"].gap_high


def test_only_home_site_has_nothing_to_be_compared_with() -> None:
    found = gaps(tables({"A": A, "C": C}), training=("A",))
    assert (found["A"].gap, found["A"].shifted) == (None, None)
    assert (found["A"].gap_low, found["A"].gap_high) == (None, None)
    assert found["C"].shifted is True


def test_black_box_compares_every_site_with_all_others() -> None:
    found = gaps(tables({"A": A, "B": B, "C": C}), training=())
    assert found["C"].gap == pytest.approx(C.mean() - np.concatenate([A, B]).mean())
    assert found["A"].gap == pytest.approx(A.mean() - np.concatenate([B, C]).mean())
    assert found["C"].shifted is True
    assert not found["C"].in_training


def test_better_abroad_is_no_shift_to_the_worse() -> None:
    found = gaps(tables({"A": A, "B": B, "C": draw(20, 6, 3)}))["C"]
    assert found.gap_high is not None and found.gap_high < 0
    assert found.shifted is False
    assert found.gap < found.gap_high


@pytest.mark.parametrize(
    ("better", "abroad", "shifted"),
    [("higher", 20, True), ("higher", 80, False), ("lower", 20, False), ("lower", 80, True)],
)
def test_worse_side_follows_the_metric(better, abroad: float, shifted: bool) -> None:
    measure = GapMeasure(measure=MAE.measure, better=better)
    found = gaps(tables({"A": A, "B": B, "C": draw(abroad, 6, 3)}), measure)["C"]
    assert found.shifted is shifted


@pytest.mark.parametrize(("abroad", "shifted"), [(-30, True), (40, True), (1, False)])
def test_bias_is_worse_away_from_zero(abroad: float, shifted: bool) -> None:
    measure = GapMeasure(measure=MAE.measure, better="zero")
    data = tables({"A": draw(5, 8, 1), "B": draw(6, 8, 2), "C": draw(abroad, 6, 3)})
    assert gaps(data, measure)["C"].shifted is shifted


def test_one_patient_has_no_interval_and_the_sentence_says_so() -> None:
    found = gaps(tables({"A": A, "B": B, "C": [200.0]}))["C"]
    assert (found.patients, found.low, found.gap_low, found.shifted) == (1, None, None, None)
    assert found.gap is not None
    assert "no interval: too few for an interval, 1 of 2 patients needed" in found.sentence


def test_site_without_any_value_is_there() -> None:
    table, cases = tables({"A": A, "B": B, "C": C})
    cases = [
        c.model_copy(update={"status": "failed", "reason": "stopped"}) if c.site == "C" else c
        for c in cases
    ]
    found = gaps((table[table["site"] != "C"], cases))["C"]
    assert (found.patients, found.missing, found.estimate) == (0, 6, None)
    assert (found.gap, found.shifted) == (None, None)


def test_missing_patients_are_counted_and_named() -> None:
    table, cases = tables({"A": A, "B": B, "C": C})
    table.loc[table["case"] == "C-C0", ["value", "status", "why"]] = [np.nan, "error", "NaN voxel"]
    found = gaps((table, cases))["C"]
    assert (found.patients, found.missing) == (5, 1)
    assert "No value: C-C0: NaN voxel." in found.sentence


def test_patient_seen_at_both_sites_stands_on_one_side_only() -> None:
    both = {"A": {"p1": 50.0, "p2": 52.0, "p3": 54.0}, "B": {"p1": 51.0, "p4": 53.0, "p5": 40.0}}
    found = gaps(tables(both))
    assert found["A"].gap == pytest.approx(52 - 46.5)


def test_several_examinations_are_one_patient() -> None:
    table, cases = tables({"A": A, "B": B, "C": C})
    again = table[table["case"] == "C-C0"].assign(case="C-again")
    cases.append(cases[-6].model_copy(update={"case": "C-again"}))
    found = gaps((pd.concat([table, again], ignore_index=True), cases))["C"]
    assert found.patients == 6
    assert found.estimate == pytest.approx(C.mean())


def test_nan_is_refused() -> None:
    table, cases = tables({"A": A, "B": B})
    table.loc[0, "value"] = np.nan
    with pytest.raises(Problems, match="not a finite number"):
        gaps((table, cases))


def test_holm_keeps_false_alarms_of_a_whole_call_below_the_level() -> None:
    """No site is shifted here: the share of audits that name one must stay near 5 %."""
    source = np.random.default_rng(5)
    alarms = 0
    for _ in range(120):
        data = tables({site: source.normal(50, 5, 6) for site in "ABCDE"})
        found = site_gaps(*data, [MAE], training_sites=HOME)
        alarms += any(gap.shifted for gap in found)
    assert alarms / 120 <= 0.05 + 0.04


def test_order_is_by_measure_then_site_and_repeatable() -> None:
    data = tables({"C": C, "A": A, "B": B})
    other = GapMeasure(measure=Measure(metric="rmse", region="body"), better="lower")
    first = site_gaps(*data, [other, MAE], training_sites=HOME)
    assert [(g.metric, g.site) for g in first] == [(m, s) for m in ("rmse", "mae") for s in "ABC"]
    assert first == site_gaps(*data, [other, MAE], training_sites=HOME)


@pytest.mark.parametrize(
    ("here", "there", "compared"), [(2, 2, True), (1, 2, False), (2, 1, False), (3, 2, True)]
)
def test_two_patients_on_either_side_are_enough(here: int, there: int, compared: bool) -> None:
    data = tables({"A": [1.0, 2.0, 4.0][:there], "C": [7.0, 9.0, 8.0][:here]})
    found = gaps(data, training=("A",))["C"]
    assert (found.gap_low is not None) is compared
    assert (found.shifted is not None) is compared


def test_nothing_is_compared_with_censored_patients() -> None:
    table, cases = tables({"A": [1.0, 2.0, 4.0], "C": [7.0, 9.0, 8.0]})
    table["at_least"] = np.nan
    table.loc[table["case"] == "A-A0", ["value", "status", "at_least"]] = [np.nan, "censored", 1.0]
    found = gaps((table, cases), training=("A",))["C"]
    assert (found.gap, found.shifted, found.estimate) == (None, None, 8.0)
