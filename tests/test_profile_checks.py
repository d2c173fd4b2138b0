"""Each check of a criteria file at its boundary: which key is doubted, and from which value on."""

from __future__ import annotations

from typing import Any

import pytest

from qa_suite.judging.criteria.checks import (
    criterion_problems,
    limit_of,
    measure_problems,
    profile_problems,
    repeated,
    says_something,
)
from qa_suite.judging.criteria.measures import KnownMeasure, Measures

SOUND: dict[str, Any] = {
    "name": "body MAE",
    "metric": "mae",
    "region": "body",
    "variant": "default",
    "statistic": "mean",
    "bound": 70.0,
    "direction": "at_most",
    "unit": "HU",
    "scope": "each_site",
    "confidence": 0.95,
    "min_patients": 5,
    "source": "Local decision of the physics group.",
    "rationale": "",
    "population": "",
}
SHARE = {"statistic": "fraction_within", "per_patient_bound": 90.0}


def doubted(**more: Any) -> list[str]:
    """Keys of a sound criterion with these changes; None takes a key away."""
    given = {key: value for key, value in (SOUND | more).items() if value is not None}
    return [key for key, _ in criterion_problems(given)]


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({}, []),
        ({"confidence": 0.8}, []),
        ({"confidence": 0.7999}, ["confidence"]),
        ({"confidence": 0.9999}, []),
        ({"confidence": 0.99991}, ["confidence"]),
        ({"confidence": None}, []),
        ({"min_patients": 10_000}, []),
        ({"min_patients": 10_001}, ["min_patients"]),
        ({"min_patients": None}, []),
        ({"min_patients": 2}, []),
        ({"min_patients": 1}, ["min_patients"]),
        ({"min_patients": 1, "scope": "pooled", "statistic": "median"}, ["min_patients"]),
        ({"min_patients": 1, "scope": "worst_patient"}, []),
        ({"min_patients": 1, "scope": None}, []),
        ({"min_patients": 1, "statistic": "max"}, []),
        ({"min_patients": 1, "statistic": "min"}, []),
        (SHARE | {"bound": 0}, ["bound"]),
        (SHARE | {"bound": 1}, ["bound"]),
        (SHARE | {"bound": 0.95}, []),
        (SHARE | {"bound": None}, []),
        ({"bound": 0}, []),
        ({"bound": 1}, []),
        ({"direction": "within", "bound": 0}, ["bound"]),
        ({"direction": "within", "bound": 0.1}, []),
        (SHARE | {"bound": 0.9, "direction": "within", "per_patient_bound": 0},
         ["per_patient_bound"]),
        (SHARE | {"bound": 0.9, "direction": "within"}, []),
    ],
)  # fmt: skip
def test_numbers_of_a_criterion_are_doubted_from_their_boundary_on(change, keys):
    assert doubted(**change) == keys


@pytest.mark.parametrize("key", ["name", "metric", "region", "variant", "unit"])
def test_names_are_neither_blank_nor_padded(key):
    for text in ("", " ", "\n", " a", "a ", "a\x07b", "\x1f"):
        assert doubted(**{key: text}) == [key], text
    for text in ("a", "a b", "a\tb", "a\nb", "ä"):
        assert doubted(**{key: text}) == [], text


@pytest.mark.parametrize("key", ["rationale", "population"])
def test_texts_may_be_left_out_and_are_not_blank(key):
    assert doubted(**{key: ""}) == [] == doubted(**{key: " padded\n"})
    assert doubted(**{key: " "}) == [key] == doubted(**{key: "a\x00b"})


def test_a_source_is_never_blank_and_every_text_is_looked_at():
    assert doubted(source="") == ["source"] == doubted(source=" \n")
    assert doubted(source=" Local decision. ") == []
    blank = dict.fromkeys(("name", "unit", "source", "population"), " ")
    assert doubted(**blank, region=None, rationale="") == list(blank)


@pytest.mark.parametrize(
    ("text", "something"),
    [
        ("TODO", False), ("todo.", False), (" Tbd. ", False), ("none", False), ("n/a", False),
        ("NA", False), ("unknown", False), ("Source", False), ("xxx", False),
        ("see above.", False), ("-", False), ("ab", False), ("12345", False), ("a_b_c", False),
        ("abc", True), ("Uno 3", True), ("AAPM TG-218", True), ("see above, table 3", True),
    ],
)  # fmt: skip
def test_a_placeholder_is_no_source(text, something):
    assert says_something(text) is something
    assert doubted(source=text) == ([] if something else ["source"])


def test_single_values_are_held_against_the_bound_of_one_patient():
    assert limit_of(SOUND | SHARE | {"bound": 0.95}) == 90.0
    assert limit_of(SOUND | {"per_patient_bound": 90.0}) == 70.0
    assert limit_of({"statistic": "fraction_within", "bound": 0.95}) is None


# ---------------------------------------------------------------------------------------
# Against what is known of the measures


def against(facts: KnownMeasure | None, **given: Any) -> list[tuple[str, str]]:
    known = Measures(
        names=lambda: ("dose_a", "dose_b", "dose_c", "dose_d", "far"),
        facts=lambda name, direction: facts if direction == "MR->CT" else None,
    )
    one = {"metric": "m", "region": "body", "variant": "default"} | given
    return list(measure_problems(one, "MR->CT", known))


def keys_of(said: list[tuple[str, str]]) -> list[str]:
    return [key for key, _ in said]


SCORE = KnownMeasure(unit="1", better="higher", low=0, high=1)
ERROR = KnownMeasure(unit="HU", better="lower", low=0)
SIGNED = KnownMeasure(unit="mm", better="zero", low=-5, high=3)
FREE = KnownMeasure(unit="HU", better="none")
RATE = KnownMeasure(unit="%", better="higher", low=0, high=100)


@pytest.mark.parametrize(
    ("facts", "way", "limit", "sound"),
    [
        # what every value meets
        (SCORE, "at_least", 0, False), (SCORE, "at_least", 0.001, True),
        (KnownMeasure(unit="1", better="lower", low=0, high=1), "at_most", 1, False),
        (KnownMeasure(unit="1", better="lower", low=0, high=1), "at_most", 0.999, True),
        (SIGNED, "within", 5, False), (SIGNED, "within", 4.999, True),
        (KnownMeasure(unit="mm", better="zero", low=-3, high=5), "within", 5, False),
        (KnownMeasure(unit="mm", better="zero", low=-3, high=5), "within", 4.999, True),
        # what no value meets
        (SCORE, "at_least", 1, True), (SCORE, "at_least", 1.001, False),
        (ERROR, "at_most", 0, True), (ERROR, "at_most", -0.001, False),
        # what no patient reaches
        (ERROR, "at_most", 5000, True), (ERROR, "at_most", 5001, False),
        (FREE, "at_least", -5000, True), (FREE, "at_least", -5001, False),
        (KnownMeasure(unit="mm", better="lower"), "at_most", 1001, False),
        (KnownMeasure(unit="Gy", better="lower"), "at_most", 501, False),
        (KnownMeasure(unit="s", better="lower"), "at_most", 1e9, True),
        (KnownMeasure(unit=None, better="lower"), "at_most", 1e9, True),
        # shares where percents are meant
        (RATE, "at_least", 0.95, False), (RATE, "at_least", 1, False),
        (RATE, "at_least", 1.01, True),
        (KnownMeasure(unit="%", better="higher", high=100), "at_least", 0, True),
        (KnownMeasure(unit="%", better="higher"), "at_least", 0.5, True),
        (KnownMeasure(unit="%", better="lower", low=0, high=100), "at_most", 0.5, True),
        (KnownMeasure(unit="1", better="higher", high=100), "at_least", 0.5, True),
    ],
)  # fmt: skip
def test_a_bound_could_be_met_and_could_be_missed(facts, way, limit, sound):
    assert keys_of(against(facts, direction=way, bound=limit)) == ([] if sound else ["bound"])
    share = {"statistic": "fraction_within", "bound": 0.9, "per_patient_bound": limit}
    expected = [] if sound else ["per_patient_bound"]
    assert keys_of(against(facts, direction=way, **share)) == expected


@pytest.mark.parametrize("better", ["lower", "higher", "zero", "none"])
@pytest.mark.parametrize("way", ["at_most", "at_least", "within"])
def test_a_bound_lies_on_the_side_that_is_worse(better, way):
    right = {"lower": "at_most", "higher": "at_least", "zero": "within", "none": way}[better]
    found = against(KnownMeasure(unit="1", better=better), direction=way, bound=1)
    assert keys_of(found) == ([] if way == right else ["direction"])


def test_what_a_bound_names_is_held_against_the_facts_all_at_once():
    facts = KnownMeasure(
        unit="HU", better="lower", low=0, regions=("body", "shell:N-Nmm"),
        variants=("default",), not_for="has no meaning for a PT",
    )  # fmt: skip
    wrong = {"region": "bod", "variant": "x", "unit": "mm", "direction": "at_least", "bound": -1}
    found = against(facts, **wrong)
    assert keys_of(found) == ["metric", "region", "variant", "unit", "direction", "bound"]
    assert "has no meaning for a PT" in dict(found)["metric"]
    assert keys_of(against(facts, region="shell:2-5mm", unit="HU")) == ["metric"]
    unknown = KnownMeasure(unit=None, better="none")
    assert against(unknown, region="anything", variant="x", unit="mm") == []
    assert against(FREE) == []  # a described measure has neither unit nor bound


def test_a_metric_that_is_not_known_is_told_with_the_closest_three():
    ((key, sentence),) = against(None, metric="dose_e", unit="mm", region="bod")
    assert key == "metric"
    assert sum(name in sentence for name in ("dose_a", "dose_b", "dose_c", "dose_d")) == 3
    assert "far" not in sentence and "qa-suite list metrics" not in sentence
    assert "qa-suite list metrics" in against(None, metric="zzz")[0][1]
    assert against(None, metric=" ") == [] == against(None, metric=None)


def test_a_misspelled_place_is_told_with_what_there_is_and_examples_are_places_too():
    """An example fits its own spelling, so that who copies it is not refused again."""
    spellings = ("structure:NAME", "beam:NAME", "PLAN:NpctNmm", "body")
    facts = KnownMeasure(unit="1", better="none", regions=spellings)
    ((key, sentence),) = against(facts, region="qqq")
    assert key == "region"
    told = sentence.partition("; it has ")[2].split(", ")
    examples = [one.removesuffix(" (an example)") for one in told]
    assert [one.endswith(" (an example)") for one in told] == [True, True, True, False]
    assert examples == ["structure:Rectum", "beam:G090", "photon-pelvis:2pct2mm", "body"]
    for one in examples:
        assert against(facts, region=one) == []


# ---------------------------------------------------------------------------------------
# The profile as a whole


HEAD: dict[str, Any] = {
    "schema_version": 1,
    "name": "mine",
    "version": "1",
    "direction": "MR->CT",
    "anatomy": "pelvis",
    "intended_use": "Tests.",
}


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("name", ["a", "a.b-c_1", "x" * 80, "console", "com", "com10", "lpt", "nul-x"],
         ["", ".a", "a.", "-a", "a-", "a/b", "a b", "x" * 81, "con", "PRN", "aux.txt", "com1",
          "LPT9.csv", "nul."]),
        ("version", ["1", "1.0 beta"], ["", " ", "a\x00"]),
        ("direction", ["any", "MR->CT", "CBCT->CT", "T1->PT"],
         ["->CT", "MR->", "MR", "mr->CT", "MR->ct", "MR->CT->PT", "MR -> CT", "", " "]),
        ("anatomy", ["any", "head and neck"], ["", " "]),
        ("intended_use", ["Tests."], ["", " "]),
        ("schema_version", [1, 2, None], [True, False, "1", 1.0]),
        ("exclude", [{}, None, {"fov_cut": {"at_most": 1}}], [{"something": 3}]),
    ],
)  # fmt: skip
def test_what_a_profile_says_of_itself(key, good, bad):
    for value in good:
        assert list(profile_problems(HEAD | {key: value})) == [], value
    for value in bad:
        assert [at for at, _ in profile_problems(HEAD | {key: value})] == [key], value


def places(*criteria: dict[str, Any]) -> list[tuple[int, str]]:
    return [(at, key) for at, key, _ in repeated(criteria)]


def test_what_is_asked_twice_is_said_of_each_that_comes_later():
    other = SOUND | {"name": "b"}
    assert places(SOUND, other | {"region": "bone"}) == []
    assert places(SOUND, other) == [(1, "")]
    assert places(SOUND, other, SOUND | {"name": "c"}) == [(1, ""), (2, "")]
    assert places(SOUND, SOUND) == [(1, "name"), (1, "")]
    bone = SOUND | {"region": "bone"}
    assert places(SOUND, bone, bone | {"region": "fat"}) == [(1, "name"), (2, "name")]


@pytest.mark.parametrize("key", ["metric", "region", "variant", "scope", "direction", "statistic"])
def test_another_measure_scope_or_statistic_is_another_question(key):
    assert places(SOUND, SOUND | {"name": "b", key: "other"}) == []
    assert places(SOUND | {key: "other"}, SOUND | {"name": "b", key: "other"}) == [(1, "")]
    unread = {k: v for k, v in SOUND.items() if k not in (key, "name")}
    assert places(SOUND, unread, unread, SOUND | {"name": "b"}) == [(3, "")]


def test_the_worst_patient_is_one_question_and_shares_are_as_many_as_bounds():
    worst = SOUND | {"scope": "worst_patient"}
    assert places(worst, worst | {"name": "b", "statistic": "max"}) == [(1, "")]
    share = SOUND | SHARE
    assert places(share, share | {"name": "b", "per_patient_bound": 91.0}) == []
    assert places(share, share | {"name": "b", "bound": 0.5}) == [(1, "")]


def test_what_was_asked_first_is_named_or_counted():
    unnamed = {k: v for k, v in SOUND.items() if k != "name"}
    other = SOUND | {"region": "bone", "name": "b"}
    assert [text for _, _, text in repeated([other, unnamed, unnamed]) if "'number 2'" in text]
    assert [text for _, _, text in repeated([other, SOUND, unnamed]) if "'body MAE'" in text]
