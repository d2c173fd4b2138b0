"""What a profile declares of itself and asks of a treatment: each rule by a known answer."""

from __future__ import annotations

from typing import Any

import pytest

from qa_suite.core.records import Criterion, Profile
from qa_suite.judging.criteria.asked import (
    has_power,
    mean_findings,
    not_asked_of,
    planned_patients,
    question_of,
)
from qa_suite.judging.criteria.built_in import TOO_GOOD, beyond_table
from qa_suite.judging.criteria.family import family_problems
from qa_suite.judging.criteria.measures import fits, reference_of
from qa_suite.judging.power import patients_needed
from tests.judging_record import criterion, profile

MEAN: dict[str, Any] = {
    "name": "a", "statistic": "mean", "scope": "each_site", "bound": 2.0, "direction": "at_most",
}  # fmt: skip
FULL = {"margin": 1.0, "source": "Local decision.", "rationale": "Half of the bound."}
SCHEMA_2: dict[str, Any] = {
    "schema_version": 2,
    "primary": ["a"],
    "primary_source": "Local decision.",
    "primary_rationale": "What the clinic decides by.",
}


def places(given: dict[str, Any], *criteria: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [place for place, _ in family_problems(given, criteria)]


# ---------------------------------------------------------------------------------------
# Primary criteria and margins


@pytest.mark.parametrize("stated", [1.0, 1, FULL])
def test_a_margin_below_the_bound_of_a_mean_is_sound(stated):
    for scope in ("pooled", "each_site", "new_site"):
        assert places({"margins": {"a": stated}}, MEAN | {"scope": scope}) == []


@pytest.mark.parametrize(
    ("margin", "change", "sound"),
    [
        (1.999, {}, True),
        (2.0, {}, False),
        (3, {}, False),
        (FULL | {"margin": 2.0}, {}, False),
        (2.0, {"direction": "within"}, False),
        (2.0, {"direction": "at_least"}, True),  # of an overlap: its distance to 1 counts
        (2.0, {"bound": 0}, True),
        (1.0, {"bound": 0.5}, False),
        (2.0, {"bound": None}, True),
        ("2", {}, True),  # no number: said by its type
        ({"source": "Local decision."}, {}, True),
        (0.1, {"statistic": "median"}, False),
        (0.1, {"scope": "worst_patient"}, False),
        (0.1, {"statistic": "fraction_within"}, False),
    ],
)
def test_a_margin_is_doubted_where_a_perfect_model_would_be_alike(margin, change, sound):
    assert places({"margins": {"a": margin}}, MEAN | change) == (
        [] if sound else [("margins", "a")]
    )


def test_margins_of_several_criteria_are_each_looked_at():
    margins = {"nobody": 9.0, "a": 2.0, "b": 0.5, "c": 7.0}
    unnamed = {key: value for key, value in MEAN.items() if key != "name"}
    found = places({"margins": margins}, unnamed, *(MEAN | {"name": name} for name in "cba"))
    assert found == [("margins", "a"), ("margins", "c")]
    assert places({}, MEAN) == [] == places({"margins": None}, MEAN)


def test_schema_2_asks_where_primary_criteria_and_margins_are_from():
    assert places(SCHEMA_2 | {"margins": {"a": FULL}}, MEAN) == []
    assert places({"schema_version": 2}) == []
    for key in ("primary_source", "primary_rationale"):
        for value in ("", None, "todo"):
            assert places(SCHEMA_2 | {key: value}, MEAN) == [(key,)]
            assert places(SCHEMA_2 | {key: value, "schema_version": 1}, MEAN) == []
            assert places(SCHEMA_2 | {key: value, "primary": []}, MEAN) == []
    assert places(SCHEMA_2 | {"margins": {"a": 1.0}}, MEAN) == [("margins", "a")]
    assert places({"schema_version": 1, "margins": {"a": 1.0}}, MEAN) == []
    vague = {"margins": {"a": FULL | {"source": "tbd"}}}
    assert places(SCHEMA_2 | vague, MEAN) == [("margins", "a", "source")]
    assert places(SCHEMA_2 | {"margins": {"a": FULL | {"source": None}}}, MEAN) == []


# ---------------------------------------------------------------------------------------
# Questions of radiotherapy, and how many patients they need


@pytest.mark.parametrize(
    ("metric", "region", "question"),
    [
        ("d98_difference_pct", "target", "target"),
        ("d95_difference_pct", "target", "target"),
        ("coverage_met_synthetic", "target", "target"),
        ("d2_difference_pct", "structure:Rectum", "organs"),
        ("dmean_difference_pct", "structure:Heart", "organs"),
        ("d50_difference_pct", "body", "image"),
        ("goals_lost", "all", "organs"),
        ("goals_gained", "all", "organs"),
        ("goal_volume_difference", "structure:Rectum", "organs"),
        ("gamma_pass_rate", "body", "dose or range"),
        ("gamma_mean", "body", "dose or range"),
        ("dose_difference_mean", "target", "dose or range"),
        ("dose_difference_95", "body", "dose or range"),
        ("wepl_difference_mean", "beam:G090", "dose or range"),
        ("range_shift", "beam:G090", "dose or range"),
        ("positioning_shift", "all", "positioning"),
        ("mae", "target", "image"),
        ("dice", "structure:Rectum", "image"),
    ],
)
def test_a_bound_answers_one_question(metric, region, question):
    assert question_of(metric, region) == question


def test_what_no_bound_asks_is_told_in_words():
    asked = [{"metric": "d98_difference_pct", "region": "target"}, {"metric": "positioning_shift"}]
    lacking = not_asked_of(asked)
    assert len(lacking) == 2
    assert "organs at risk" in lacking[0] and "range" in lacking[1]
    assert len(not_asked_of([])) == 4
    rest = [{"metric": "goals_lost", "region": "all"}, {"metric": "gamma_mean", "region": "body"}]
    assert not_asked_of([*asked, *rest]) == []


def means() -> tuple[Criterion, ...]:
    """Two means of each site, one median over all, and three that no power is planned for."""
    share = {"statistic": "fraction_within", "per_patient_bound": 90, "bound": 0.9}
    return (
        criterion(name="a", confidence=0.9),
        criterion(name="b", confidence=0.98),
        criterion(name="c", scope="pooled", statistic="median", confidence=0.9),
        criterion(name="d", scope="worst_patient", confidence=0.99),
        criterion(name="e", scope="new_site", confidence=0.99),
        criterion(name="f", confidence=0.99, **share),
    )


def test_findings_of_means_are_counted_by_site():
    assert [has_power(one) for one in means()] == [True, True, True, False, False, False]
    assert mean_findings(means(), 4) == 2 * 4 + 1
    assert mean_findings(means()[3:], 4) == 0


def test_the_planned_patients_are_those_of_the_power_of_all_means_together():
    plan = {"sites": 4, "sd_inside": 1.5, "power": 0.9}
    wanted = patients_needed(9, sd_inside=1.5, power=0.9, confidence=0.98)
    assert planned_patients(profile(*means(), planned=plan)) == wanted
    assert planned_patients(profile(*means())) is None
    assert planned_patients(profile(*means()[3:], planned=plan)) is None


# ---------------------------------------------------------------------------------------
# Spellings, and the rules that stand in no profile


@pytest.mark.parametrize(
    ("text", "spelling", "fit"),
    [
        ("body", "body", True), ("bodyx", "body", False), ("xbody", "body", False),
        ("structure:Rectum", "structure:NAME", True), ("structure:R", "structure:NAME", True),
        ("structure:Bladder wall", "structure:NAME", True), ("structure:", "structure:NAME", False),
        ("structure: Rectum", "structure:NAME", False), ("structure:R ", "structure:NAME", False),
        ("shell:2-5mm", "shell:N-Nmm", True), ("shell:2.5-5mm", "shell:N-Nmm", True),
        ("shell:2.-5mm", "shell:N-Nmm", False), ("shell:-5mm", "shell:N-Nmm", False),
        ("photon-pelvis:2pct2mm", "PLAN:NpctNmm", True), ("a:b:2pct2mm", "PLAN:NpctNmm", False),
        (":2pct2mm", "PLAN:NpctNmm", False), ("a b:2pct2mm", "PLAN:NpctNmm", False),
        ("shell:>20mm", "shell:>Nmm", True), ("shellx>20mm", "shell.>Nmm", False),
    ],
)  # fmt: skip
def test_a_region_is_spelled_as_its_metric_spells_it(text, spelling, fit):
    assert fits(text, (spelling,)) is fit
    assert fits(text, ("nothing", spelling)) is fit
    assert not fits(text, ())


def test_the_real_images_are_what_a_direction_ends_in():
    assert [reference_of(d) for d in ("MR->CT", "CT->PT", "any", "")] == ["CT", "PT", None, None]


def test_hu_beyond_a_table_are_held_to_one_percent_of_the_worst_patient_of_a_plan():
    rule = beyond_table("photon-pelvis")
    asked = rule.model_dump(exclude={"name", "source"})
    assert asked == criterion(
        metric="path_beyond_table", region="all", variant="photon-pelvis", statistic="max",
        bound=1.0, direction="at_most", unit="%", scope="worst_patient", min_patients=1,
    ).model_dump(exclude={"name", "source"})  # fmt: skip
    assert "photon-pelvis" in rule.name and rule.source
    assert {one.metric: one.bound for one in TOO_GOOD} == {"shared_noise": 0.35,
                                                           "error_to_noise": 0.7}  # fmt: skip


def test_a_profile_of_these_is_one_that_can_be_stored():
    one = profile(*means())
    assert Profile.model_validate_json(one.model_dump_json()) == one
