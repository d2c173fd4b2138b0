"""Which images moved, against answers that somebody else can confirm, and planted shifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.shift_cohorts import case_of, cohort, measurement, sizes, tables
from qa_suite.core.records import SiteGap, TrainingSources
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.shift import (
    EXPECTED_HU,
    error_follows_shift,
    feature_table,
    image_moves,
    reference_levels,
    source_distances,
    source_shifts,
    spoken_of,
    whose_shift,
)
from qa_suite.judging.shift.features import FEATURES
from qa_suite.judging.shift.two_groups import DEALS, contrast
from qa_suite.judging.site_gaps import GapMeasure, site_gaps

MAE = Measure(metric="mae", region="body")


def compare(here, there, others=(), least=1e-9):
    columns = [np.asarray(x, dtype=float).reshape(len(x), -1) for x in (here, there, *others)]
    one, other, *rest = columns
    width = np.full(one.shape[1], least)
    return contrast(one, other, rest, width, confidence=0.95, seed=1)


@pytest.mark.parametrize("shift", [0.0, 0.8, 1.6])
def test_the_p_value_of_one_feature_is_that_of_students_test(shift):
    rng = np.random.default_rng(12)
    here, there = rng.normal(shift, 1, 12), rng.normal(0, 1, 15)
    told = stats.ttest_ind(here, there)
    found = compare(here, there)
    assert found.statistic == pytest.approx(abs(told.statistic))
    assert found.p_value == pytest.approx(told.pvalue, abs=0.02)
    assert found.p_value == found.p_values[0]


def test_the_difference_is_in_standard_deviations_pooled_over_every_site():
    here, there, third = [1.0, 3.0], [6.0, 8.0, 10.0], [0.0, 1.0, 2.0, 3.0]
    found = compare(here, there, [third])
    squares = sum(np.var(g) * len(g) for g in (here, there, third))
    assert found.difference[0] == pytest.approx((2 - 8) / np.sqrt(squares / 6))
    assert found.low[0] < found.difference[0] < found.high[0]


def test_each_feature_is_adjusted_for_the_others():
    rng = np.random.default_rng(5)
    here, there = rng.normal(size=(8, 6)), rng.normal(size=(8, 6))
    here[:, 0] += 1.2
    alone, among = compare(here[:, :1], there[:, :1]), compare(here, there)
    assert among.p_values[0] >= alone.p_values[0]
    assert among.p_value == min(among.p_values)


def test_a_feature_that_was_not_measured_takes_no_part():
    rng = np.random.default_rng(5)
    here, there = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    lost = here.copy()
    lost[:7, 1] = np.nan
    found = compare(lost, there)
    assert np.isnan(found.difference[1]) and np.isfinite(found.difference[0])
    assert found.p_value == pytest.approx(compare(here[:, :1], there[:, :1]).p_value, abs=0.02)


def test_a_protocol_without_spread_is_no_shift_by_rounding_and_one_by_design():
    same = np.full(6, np.log(1.2))
    rounded = compare(same + np.log(1.001), same, least=0.01)
    assert rounded.difference[0] == pytest.approx(0.1, rel=0.01)
    assert rounded.p_value > 0.5
    assert compare(same + np.log(1.5), same, least=0.01).p_value == 1 / (DEALS + 1)


@pytest.mark.parametrize(
    ("planted", "answer"),
    [
        ({}, "none shown"),
        ({("D", "source"): {"source_level": 3.0, "source_span": 3.0}}, "source"),
        ({("D", "reference"): {"tissue_hu@fat": -3.0, "tissue_hu@bone": 3.0}}, "reference"),
        ({("D", "synthetic"): {"tissue_hu": 3.0}}, "synthetic"),
        (
            {("D", "source"): {"source_noise": 3.0}, ("D", "synthetic"): {"image_noise": 3.0}},
            "source",
        ),
        (
            {("D", "source"): {"source_level": 3.0}, ("D", "reference"): {"tissue_hu": 3.0}},
            "several",
        ),
    ],
)
@pytest.mark.parametrize("training", [("A", "B"), ()])
def test_what_was_planted_is_named(planted, answer, training):
    rows, cases = cohort(
        sizes("ABCD", 15), np.random.default_rng(8), planted=planted, error={"D": 2.0}
    )
    gaps = site_gaps(
        rows, cases, [GapMeasure(measure=MAE, better="lower")], training_sites=training
    )
    moves = image_moves(rows, cases, training_sites=training)
    found = {one.site: one for one in whose_shift(gaps, moves)}
    assert found["D"].answer == answer, found["D"].sentence
    clean = {one.site for one in moves if one.moved} - {"D"}
    assert not clean


def test_a_hospital_that_images_like_one_of_the_trainings_is_no_shift():
    """A and B image as far apart as can be; D is like B, C like neither."""
    apart = {"source_level": 6.0, "source_sharpness": -6.0}
    planted = {("B", "source"): apart, ("D", "source"): apart, ("C", "source"): {"source_level": 3}}
    rows, cases = cohort(sizes("ABCD", 12), np.random.default_rng(2), planted=planted)
    found = {m.site: m for m in source_shifts(rows, cases, training_sites=("A", "B"))}
    assert (found["C"].moved, found["D"].moved, found["D"].against) == (True, False, "B")
    assert (
        found["C"].features[0].feature == "signal level" and "signal level" in found["C"].sentence
    )
    for home in "AB":  # nobody can say whether they are like their own training
        assert found[home].moved is None and "registration says nothing" in found[home].why


def registered(rows: pd.DataFrame, cases, sites: str) -> TrainingSources:
    table = feature_table(rows, cases, "source")
    back = np.where([f.ratio for f in table.features], np.exp(table.values), table.values)
    by_site = {s: back[np.array(table.sites) == s] for s in sites}
    return TrainingSources(
        features=tuple(feature.key for feature in table.features),
        rows={s: tuple(tuple(map(float, row)) for row in found) for s, found in by_site.items()},
        protocols={s: {"field_strength_t": {"1.5": 9}, "sequence": {"T1": 9}} for s in sites},
    )


def test_registered_images_judge_the_training_sites_too():
    rng = np.random.default_rng(4)
    training = registered(*cohort(sizes("AB", 12), rng), "AB")
    moved = {("B", "source"): {"source_noise": 3.0}}
    rows, cases = cohort(sizes("ABC", 12), rng, planted=moved)
    found = {m.site: m for m in source_shifts(rows, cases, training=training)}
    assert [found[s].moved for s in "ABC"] == [False, True, False]
    assert all(m.basis == "registered" for m in found.values())
    assert found["B"].in_training and found["B"].against in ("A", "B")


def test_few_patients_get_no_answer_and_say_why():
    rows, cases = cohort({"A": 9, "B": 2, "C": 1}, np.random.default_rng(1))
    found = {m.site: m for m in source_shifts(rows, cases)}
    assert found["C"].moved is None and "1 patient of it" in found["C"].why
    assert found["B"].moved is None and "3 are needed" in found["B"].why
    assert (found["A"].moved, found["A"].against) == (None, "") and found["A"].why
    rows, cases = cohort({"A": 3, "B": 3}, np.random.default_rng(1))
    assert all(m.moved is None and m.why for m in source_shifts(rows, cases))


def test_renaming_sites_and_reordering_rows_change_no_p_value():
    rows, cases = cohort(sizes("ABC", 7), np.random.default_rng(3))
    before = [m.p_value for m in image_moves(rows, cases)]
    after = [m.p_value for m in image_moves(rows.sample(frac=1, random_state=1), cases[::-1])]
    assert before == after


def test_a_case_that_was_not_evaluated_has_no_part():
    rows, cases = cohort(sizes("AB", 6), np.random.default_rng(3))
    refused = [c.model_copy(update={"status": "refused"}) if c.site == "A" else c for c in cases]
    assert set(feature_table(rows, refused, "source").sites) == {"B"}


# --- errors and distance ---------------------------------------------------------------------


def follow(pairs: dict[str, list[tuple[float, float]]]):
    """Errors and distances by hand, by site."""
    rows, cases, distances = [], [], {}
    for site, told in pairs.items():
        for number, (distance, error) in enumerate(told):
            who = {"case": f"{site}{number}", "patient": f"{site}{number}", "site": site}
            cases.append(case_of(**who))
            rows.append(measurement(who, "mae", "body", "default", error, "HU", "image"))
            distances[site, who["patient"]] = distance
    table = pd.DataFrame([row.model_dump() for row in rows])
    found = error_follows_shift(table, cases, [MAE], distances)
    return {one.level: one for one in found}


def test_correlation_and_slope_are_those_of_scipy():
    rng = np.random.default_rng(6)
    x = rng.normal(3, 1, 20)
    y = 5 * x + rng.normal(0, 4, 20)
    told = follow({"A": list(zip(x, y, strict=True))})["patients"]
    assert told.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    line = stats.linregress(x, y)
    half = stats.t.ppf(0.975, 18) * line.stderr
    assert (told.slope, told.slope_low, told.slope_high) == pytest.approx(
        (line.slope, line.slope - half, line.slope + half)
    )
    assert told.p_value == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.01)


def test_sites_alone_are_told_from_patients_within_them():
    """Between sites error rises with distance; within each it falls: both are said."""
    rng = np.random.default_rng(7)
    pairs = {}
    for number, site in enumerate("ABCDEFG"):
        x = rng.normal(0, 0.3, 6)
        pairs[site] = [(2 * number + d + 5, 30 * number - 20 * d + 80) for d in x]
    told = follow(pairs)
    assert told["within sites"].rho == pytest.approx(-1)
    assert told["within sites"].slope == pytest.approx(-20)
    assert told["between sites"].rho == pytest.approx(1)
    assert told["between sites"].p_value == pytest.approx(2 / 5040)
    assert told["patients"].rho > 0.9 and told["patients"].p_value is None
    assert "described and not tested" in told["patients"].sentence
    assert all("not a cause" in told[f"{at} sites"].sentence for at in ("within", "between"))


def test_too_few_are_told_nothing_of():
    told = follow({"A": [(1, 2), (2, 3), (3, 5)], "B": [(1, 2)]})
    assert all((one.rho, one.slope, one.p_value) == (None, None, None) for one in told.values())


def test_a_planted_shift_is_a_distance():
    moved = {("C", "source"): {"source_level": 4.0, "source_noise": 4.0}}
    rows, cases = cohort(sizes("ABC", 8), np.random.default_rng(9), planted=moved)
    far = source_distances(rows, cases, training_sites=("A", "B")).by_patient
    usual = np.mean([d for (site, _), d in far.items() if site != "C"])
    assert np.mean([d for (site, _), d in far.items() if site == "C"]) > 1.5 * usual
    assert len(far) == 24


# --- the reference's own levels, and whom it speaks of ----------------------------------------


def test_the_expected_levels_hold_of_virtual_ct_at_120_kv_and_fat_at_80_does_not():
    from qa_suite.lab.phantom.materials import hounsfield

    names = {"air": "air", "fat": "adipose", "muscle": "muscle"}
    for tissue, expected in EXPECTED_HU.items():
        assert expected.low_hu < hounsfield(names[tissue], 120.0) < expected.high_hu
        assert expected.source
    assert hounsfield("adipose", 80.0) < EXPECTED_HU["fat"].low_hu


def test_a_site_whose_fat_lies_outside_is_named_with_its_tube_voltage():
    planted = {("B", "reference"): {"tissue_hu@fat": -11.0}}  # 44 HU: as at 80 kV
    rows, cases = cohort(sizes("AB", 6), np.random.default_rng(1), planted=planted)
    kv = {"A": 120.0, "B": 80.0}
    cases = [c.model_copy(update={"strata": {"tube_voltage_kv": kv[c.site]}}) for c in cases]
    found = {(c.site, c.tissue): c for c in reference_levels(rows, cases)}
    assert {key for key, check in found.items() if check.outside} == {("B", "fat")}
    assert "80.0 kV" in found["B", "fat"].sentence and "outside" in found["B", "fat"].sentence
    none = rows[rows["metric"] != "tissue_hu"]
    assert reference_levels(none, cases) == ()


def test_the_sentence_says_who_is_in_it_and_who_is_not():
    strata = {"field_strength_t": 3.0, "sequence": "T1", "scan_interval_days": 4, "sex": "F"}
    cases = [
        case_of(f"c{n}", f"p{n}", site, strata=strata | {"scan_interval_days": n})
        for n, site in enumerate("AAB")
    ]
    cases.append(case_of("r", "pr", "Z", status="refused", strata={"field_strength_t": 7.0}))
    sources = TrainingSources(
        features=(),
        rows={},
        protocols={"A": {"field_strength_t": {"1.5": 4, "3": 2}, "sequence": {"T2": 6}}},
    )
    found = spoken_of(cases, training=sources, training_sites=("A", "C"))
    assert (found.patients, found.sites, found.days) == (3, ("A", "B"), (0, 2))
    assert found.not_tested == {"field_strength_t": ("1.5",), "sequence": ("T2",)}
    assert found.not_trained == {"sequence": ("T1",)}
    for words in (
        "3 patients of 2 sites (A and B)",
        "field strengths 3 T (3)",
        "scans 0 to 2 days apart",
        "Not in it, though trained on: training site C; field strengths 1.5 T; sequences T2.",
        "In it, though never trained on: sequences T1 (2 at A, 1 at B).",
        "Not recorded: ",
    ):
        assert words in found.sentence, found.sentence
    assert "does not say" in spoken_of(cases).sentence


def test_a_gap_that_is_not_shown_asks_nothing():
    gap = SiteGap(
        metric="mae", region="body", unit="HU", site="A", in_training=False, patients=5, missing=0,
        estimate=60, low=50, high=70, gap=1, gap_low=-4, gap_high=6, method="m", sentence="s",
    )  # fmt: skip
    assert [w.answer for w in whose_shift([gap], ())] == ["no gap shown"]
    shown = gap.model_copy(update={"gap_low": 0.5})
    assert [w.answer for w in whose_shift([shown], ())] == ["cannot be told"]


def test_the_drawn_tables_are_those_of_the_drawn_records():
    rows, cases = cohort(sizes("AB", 300), np.random.default_rng(1))
    drawn = tables(sizes("AB", 300), np.random.default_rng(2), {})
    for image, table in drawn.items():
        read = feature_table(rows, cases, image)
        assert read.features == table.features
        np.testing.assert_allclose(
            read.values.std(axis=0), table.values.std(axis=0), rtol=0.15, atol=1e-9
        )


def test_every_feature_is_named_once():
    for features in FEATURES.values():
        assert len({f.name for f in features}) == len(features)
        assert replace(features[0]) == features[0]
