"""Shifts at their boundaries: whose it is, expected levels, tags, features, and what is pooled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.shift_cohorts import case_of, measurement
from qa_suite.core.records import SiteGap, TrainingSources
from qa_suite.core.records.shift import ErrorFollows, ImageMove
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.shift import error_follows_shift, feature_table, reference_levels, whose_shift
from qa_suite.judging.shift.features import FEATURES, on_scale
from qa_suite.judging.shift.follows import at_level
from qa_suite.judging.shift.moves import registered_rows
from qa_suite.judging.shift.tags import counted, summed, value_of, values_of, words_of
from qa_suite.judging.shift.whom import spoken_of

IMAGES = ("source", "reference", "synthetic")


def gap(**more: Any) -> SiteGap:
    facts = {
        "metric": "mae", "region": "bone", "variant": "v", "unit": "HU", "site": "A",
        "in_training": False, "patients": 5, "missing": 0, "estimate": 60, "low": 50, "high": 70,
        "gap": 5, "gap_low": 1, "gap_high": 9, "method": "m", "sentence": "s",
    }  # fmt: skip
    return SiteGap.model_validate(facts | more)


def move(image: str, moved: bool | None, site: str = "A") -> ImageMove:
    return ImageMove.model_validate(
        {"image": image, "site": site, "in_training": False, "patients": 9,
         "basis": "other sites", "moved": moved}
    )  # fmt: skip


# ---------------------------------------------------------------------------------------
# Whose shift it is


@pytest.mark.parametrize(
    ("moved", "answer"),
    [
        ("---", "none shown"),
        ("x--", "source"), ("x-x", "source"),
        ("-x-", "reference"), ("--x", "synthetic"),
        ("xx-", "several"), ("-xx", "several"), ("xxx", "several"),
        ("???", "cannot be told"), ("--?", "cannot be told"), ("?--", "cannot be told"),
        ("?x-", "reference"), ("x??", "source"), ("x?x", "source"), ("?xx", "several"),
    ],
)  # fmt: skip
def test_the_table_of_answers(moved, answer):
    told = {"x": True, "-": False, "?": None}
    moves = [move(image, told[sign]) for image, sign in zip(IMAGES, moved, strict=True)]
    (found,) = whose_shift([gap()], [*moves, move("source", True, "B")])
    assert found.answer == answer
    assert found.moved == tuple(i for i, s in zip(IMAGES, moved, strict=True) if s == "x")
    assert found.unknown == tuple(i for i, s in zip(IMAGES, moved, strict=True) if s == "?")
    assert (found.metric, found.region, found.variant, found.site) == ("mae", "bone", "v", "A")
    untold = [one for one, sign in zip(moves, moved, strict=True) if sign != "?"]
    (same,) = whose_shift([gap()], untold)  # an image without a row was not tested either
    assert (same.answer, same.unknown) == (found.answer, found.unknown)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"gap_low": 0}, "no gap shown"), ({"gap_low": 0.01}, "source"),
        ({"gap": -5, "gap_low": -9, "gap_high": 0}, "no gap shown"),
        ({"gap": -5, "gap_low": -9, "gap_high": -0.01}, "source"),
        ({"gap": None}, "cannot be told"), ({"gap_low": None}, "cannot be told"),
        ({"gap_high": None}, "cannot be told"),
    ],
)  # fmt: skip
def test_a_gap_is_shown_where_its_interval_has_no_zero(change, answer):
    moves = [move("source", True), move("reference", False), move("synthetic", False)]
    (found,) = whose_shift([gap(**change)], moves)
    assert found.answer == answer and found.moved == ("source",) and "mae" in found.sentence.lower()


# ---------------------------------------------------------------------------------------
# Features and expected levels


def test_features_are_compared_as_they_are_made():
    """HU by differences, believed from 2 HU (bone: 10) on; textures by factors from 2 % on."""
    least = {"air": 2.0, "fat": 2.0, "muscle": 2.0, "bone": 10.0}
    for image in ("reference", "synthetic"):
        made = feature_table(pd.DataFrame(rows()), [], image).features
        assert {one.variant for one in made} == {image}
        hu = {one.region: (one.least, one.ratio) for one in made if one.metric == "tissue_hu"}
        assert hu == {tissue: (least[tissue], False) for tissue in least}
        rest = {one.key: (one.least, one.ratio) for one in made if one.metric != "tissue_hu"}
        keys = ("image_noise@body", "edge_steepness@fat", "edge_steepness@bone")
        assert rest == dict.fromkeys(keys, (0.02, True))


def test_logarithms_are_of_positive_numbers_alone():
    ratio = next(one for one in FEATURES["source"] if one.ratio)
    plain = next(one for one in FEATURES["source"] if not one.ratio)
    assert on_scale(ratio, math.e) == pytest.approx(1) and on_scale(ratio, 1) == 0
    assert math.isnan(on_scale(ratio, 0)) and math.isnan(on_scale(ratio, -1))
    assert [on_scale(plain, value) for value in (-1, 0, 2)] == [-1, 0, 2]


def rows(fat: dict[str, list[float]] | None = None) -> list[dict[str, Any]]:
    found = []
    for site, values in (fat or {"A": [-100.0]}).items():
        for number, value in enumerate(values):
            who = {"case": f"{site}{number}", "patient": f"{site}{number}", "site": site}
            row = measurement(who, "tissue_hu", "fat", "reference", value, "HU", "image")
            found.append(row.model_dump())
    return found


@pytest.mark.parametrize(
    ("values", "mean", "outside"),
    [
        ([], None, None),
        ([-80.0], -80.0, None),
        ([-100.0, -101.0, -102.0], -101.0, False),
        ([-80.0, -80.5, -79.5], -80.0, True),  # above -89
        ([-140.0, -140.5, -139.5], -140.0, True),  # below -123
        ([-88.0, -90.0, -86.0], -88.0, False),  # the interval reaches in
    ],
)
def test_a_site_is_outside_where_its_whole_interval_is(values, mean, outside):
    sites = {"A": values, "B": [-100.0, -101.0]}
    cases = [
        case_of(f"{s}{n}", f"{s}{n}", s, strata={"tube_voltage_kv": 120.0, "reference_contrast": c})
        for s, told in (sites | {"A": values or [0]}).items()
        for n, c in zip(range(len(told)), ("yes", "no", "yes"), strict=False)
    ]
    found = {
        (one.site, one.tissue): one for one in reference_levels(pd.DataFrame(rows(sites)), cases)
    }
    assert len(found) == 2 * 3
    one = found["A", "fat"]
    assert (one.patients, one.mean_hu, one.outside) == (len(values), mean, outside)
    assert one.tube_voltages == ("120.0",) and (one.expected.low_hu, one.expected.high_hu) == (
        -123,
        -89,
    )
    assert found["A", "air"].patients == 0 and found["A", "air"].outside is None
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
        assert (one.low_hu, one.high_hu) == pytest.approx((mean - half, mean + half))
    else:
        assert (one.low_hu, one.high_hu) == (None, None)
    agents = {0: 1, 1: 1}.get(len(values), 2)
    assert f"{agents} patient" in one.sentence.rpartition(" with a contrast")[0][-12:]


def test_a_registration_is_read_on_the_scale_of_the_features():
    features = FEATURES["source"][:3]
    asymmetry = next(one for one in features if not one.ratio)
    training = TrainingSources(
        features=(asymmetry.key, features[0].key, "unknown@body"),
        rows={"A": ((0.5, math.e, 9.0), (None, None, 9.0)), "empty": ()},
    )
    found = registered_rows(training, features)
    assert list(found) == ["A"]
    expected = np.full((2, 3), np.nan)
    expected[0, 0], expected[0, features.index(asymmetry)] = 1.0, 0.5
    np.testing.assert_allclose(found["A"], expected)


# ---------------------------------------------------------------------------------------
# Tags


def test_tags_are_texts_and_patients_count_once_at_each_value():
    told = {"field_strength_t": 1.5, "sequence": "T1", "echo_time_ms": 100.0, "sex": ""}
    case = case_of("c1", "p1", "A", strata=told | {"implant": "unknown", "age_band": 60})
    tags = (*told, "implant", "age_band", "ct_kernel")
    assert [value_of(case, tag) for tag in tags] == ["1.5", "T1", "100", None, None, "60", None]
    later = case_of("c0", "p1", "A", examination="2", strata={"sequence": "T2"})
    first = case_of("c9", "p1", "A", examination="1", strata={"sequence": "unknown"})
    other = case_of("c5", "p2", "A", strata={})
    assert values_of([later, first, other], "sequence") == {"p1": "T2", "p2": None}
    assert values_of([case, later], "sequence")["p1"] in ("T1", "T2")
    assert counted([case, later, first, other], "sequence") == {"T1": 1, "T2": 1}
    same = [case_of(f"d{n}", f"p{n % 2}", "A", strata={"sequence": "T2"}) for n in range(4)]
    assert counted([*same, case], "sequence") == {"T1": 1, "T2": 2}


def test_what_sites_register_is_summed_tag_by_tag():
    protocols = {
        "A": {"sequence": {"T1": 4, "T2": 1}, "field_strength_t": {"3": 5}},
        "B": {"sequence": {"T1": 2}},
    }
    assert summed(protocols) == {"sequence": {"T1": 6, "T2": 1}, "field_strength_t": {"3": 5}}
    assert summed({}) == {}
    assert words_of("field_strength_t", ["1.5", "3"]) == "field strengths 1.5 T, 3 T"
    assert words_of("flip_angle_deg", ["90"]) == "flip angles 90°"
    assert words_of("sequence", ["T1"]) == "sequences T1"


def test_patients_without_a_tag_are_counted_and_days_are_the_extremes():
    cases = [
        case_of("a", "p1", "A", strata={"sequence": "T1", "scan_interval_days": 3, "sex": "F"}),
        case_of("b", "p2", "A", strata={"sequence": "T2", "scan_interval_days": 0}),
        case_of("c", "p3", "B", strata={"scan_interval_days": "unknown"}),
        case_of("d", "p4", "C", status="failed", strata={"scan_interval_days": 90}),
    ]
    protocols = {"A": {"sequence": {"T1": 3, "FLAIR": 2}, "sex": {"M": 5}}}
    training = TrainingSources(features=(), rows={}, protocols=protocols)
    found = spoken_of(cases, training=training)
    assert (found.patients, found.sites, found.days) == (3, ("A", "B"), (0, 3))
    assert found.tested == {"sequence": {"T1": 1, "T2": 1}, "sex": {"F": 1}}
    assert (found.unknown["sequence"], found.unknown["sex"]) == (1, 2)
    assert "source_kernel" not in found.unknown  # an MR has none
    assert found.not_tested == {"sequence": ("FLAIR",)}  # sexes are no protocol
    assert found.not_trained == {"sequence": ("T2",)}
    nobody = spoken_of([])
    assert (nobody.patients, nobody.sites, nobody.days, nobody.unknown) == (0, (), None, {})


# ---------------------------------------------------------------------------------------
# Errors and distance


def level(name: str, pairs: dict[str, list[tuple[float, float]]], **more: Any) -> ErrorFollows:
    blank = ErrorFollows(metric="mae", region="body", unit="HU", level=name, n=0, **more)
    points = [(site, far, error) for site, told in pairs.items() for far, error in told]
    return at_level(blank, points, 0.95, 1)


LINE = [(float(n), 2.0 * n + (n % 3)) for n in range(9)]


def test_from_eight_patients_or_six_sites_on_it_is_told():
    for count in (7, 8):
        found = level("patients", {"A": LINE[:count]})
        assert found.n == count and (found.rho is None) == (count < 8)
    for count in (5, 6):
        sites = {f"S{n}": [LINE[n], LINE[n]] for n in range(count)}
        found = level("between sites", sites)
        assert found.n == count and (found.rho is None) == (count < 6)
    for count in (8, 9):  # two sites' own levels cost one patient more
        sites = {"A": LINE[:4], "B": LINE[4:count], "alone": LINE[:1]}
        found = level("within sites", sites)
        assert found.n == count and (found.rho is None) == (count < 9)


@pytest.mark.parametrize("flat", [0, 1])
def test_without_a_spread_nothing_is_told(flat):
    same = [(1.0, y) if flat == 0 else (y, 1.0) for _, y in LINE]
    assert level("patients", {"A": same}).rho is None


def test_the_interval_of_spearmans_correlation_is_bonetts_and_wrights():
    """Their standard error: the root of (1 + rho²/2) / (n - 3), on Fisher's scale."""
    pairs = [(float(n), float(y)) for n, y in enumerate([2, 1, 4, 3, 9, 5, 6, 8, 7, 10])]
    found = level("patients", {"A": pairs})
    rho = stats.spearmanr(*zip(*pairs, strict=True)).statistic
    half = stats.norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / (10 - 3))
    assert found.rho == pytest.approx(rho)
    assert found.rho_low == pytest.approx(math.tanh(math.atanh(rho) - half))
    assert found.rho_high == pytest.approx(math.tanh(math.atanh(rho) + half))


def test_within_sites_slope_and_interval_are_those_of_a_level_for_each_site():
    """Against least squares with an intercept of each site, solved plainly."""
    rng = np.random.default_rng(3)
    pairs = {
        site: [(x, 3 * x + own + e) for x, e in rng.normal(size=(5, 2))]
        for site, own in (("A", 0), ("B", 50), ("C", -20))
    }
    found = level("within sites", pairs)
    x, y = np.array([p for told in pairs.values() for p in told]).T
    design = np.column_stack([x, np.kron(np.eye(3), np.ones((5, 1)))])
    beta, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = math.sqrt(rest[0] / 11 * np.linalg.inv(design.T @ design)[0, 0])
    half = stats.t.ppf(0.975, 15 - 4) * error
    assert found.n == 15 and found.slope == pytest.approx(beta[0])
    assert (found.slope_low, found.slope_high) == pytest.approx((beta[0] - half, beta[0] + half))


def test_signs_count_but_for_magnitudes_and_who_has_no_distance_is_left_out():
    table, cases, distances = [], [], {}
    for number in range(10):
        who = {"case": f"c{number}", "patient": f"p{number}", "site": "A"}
        cases.append(case_of(**who))
        error = float(number * (-1) ** number)
        table.append(measurement(who, "me", "body", "default", error, "HU", "image").model_dump())
        if number:
            distances["A", who["patient"]] = float(number)
    measure = Measure(metric="me", region="body")
    asked = (pd.DataFrame(table), cases, [measure], distances)
    plain = error_follows_shift(*asked)
    size = error_follows_shift(*asked, magnitudes=[measure])
    assert [(one.level, one.n, one.left_out) for one in plain] == [
        ("patients", 9, 1), ("within sites", 9, 1), ("between sites", 1, 1),
    ]  # fmt: skip
    assert size[0].rho == pytest.approx(1) and size[0].magnitude and size[0].p_value < 0.01
    assert abs(plain[0].rho) < 0.5 and not plain[0].magnitude
    assert {one.unit for one in plain} == {"HU"} and {one.metric for one in plain} == {"me"}
