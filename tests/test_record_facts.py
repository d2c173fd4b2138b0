"""Facts that a record shows, for checklists and for sites that were expected: one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from qa_suite.core.records import CaseRecord, Evaluation, Verdict
from qa_suite.judging.checklists import facts_of
from qa_suite.judging.expected_sites import missing_sites
from tests.judging_record import SITES, Record, criterion, profile

SHOWN = {
    "intended_use", "criteria", "intervals", "data_digest", "definitions", "several_sites",
    "unseen_site", "held_out", "preflight", "failures_named", "real_reference", "risk_table",
}  # fmt: skip
"""Facts of three hospitals, two of them of the training, without weights, strata or commit."""
OF_CASES = {"several_sites", "unseen_site", "held_out", "preflight", "real_reference"}


@pytest.fixture(scope="module")
def judged() -> tuple[Evaluation, Verdict, list[CaseRecord]]:
    record = Record()
    return record.evaluation(), record.judge(profile(criterion())), record.cases


def with_part(evaluation: Evaluation, part: str, **facts: Any) -> Evaluation:
    changed = getattr(evaluation, part).model_copy(update=facts)
    return evaluation.model_copy(update={part: changed})


def test_a_plain_record_shows_these_facts(judged):
    assert facts_of(*judged, ()) == SHOWN


@pytest.mark.parametrize(
    ("part", "facts", "more", "less"),
    [
        ("model", {"weights_sha256": "w"}, {"weights"}, set()),
        ("model", {"training_sites": SITES}, set(), {"unseen_site"}),
        ("model", {"training_sites": ()}, set(), {"unseen_site"}),
        ("model", {"training_sites": ("elsewhere",)}, set(), set()),
        ("cohort", {"digest": ""}, set(), {"data_digest"}),
        ("code", {"git_commit": "c", "git_dirty": False}, {"code_commit"}, set()),
        ("code", {"git_commit": "c", "git_dirty": True}, set(), set()),
        ("code", {"git_dirty": False}, set(), set()),
    ],
)
def test_a_fact_of_the_evaluation_comes_and_goes_alone(judged, part, facts, more, less):
    evaluation, verdict, cases = judged
    changed = with_part(evaluation, part, **facts)
    assert facts_of(changed, verdict, cases, ()) == (SHOWN | more) - less


def test_definitions_leaks_uses_and_bounds_are_facts_of_their_own(judged):
    evaluation, verdict, cases = judged
    plain = evaluation.model_copy(update={"definitions": {}})
    assert facts_of(plain, verdict, cases, ()) == SHOWN - {"definitions"}
    leaked = evaluation.model_copy(update={"settings": {"allow_leakage": True}})
    assert facts_of(leaked, verdict, cases, ()) == SHOWN - {"held_out"}
    unsaid = verdict.profile.model_copy(update={"intended_use": " ", "criteria": ()})
    silent = verdict.model_copy(update={"profile": unsaid, "findings": ()})
    lost = {"intended_use", "criteria", "intervals"}
    assert facts_of(evaluation, silent, cases, ()) == SHOWN - lost
    single = verdict.findings[0].model_copy(update={"low": None})
    alone = verdict.model_copy(update={"findings": (single,)})
    assert facts_of(evaluation, alone, cases, ()) == SHOWN - {"intervals"}
    either = verdict.model_copy(update={"findings": (single, verdict.findings[1])})
    assert facts_of(evaluation, either, cases, ()) == SHOWN


def test_facts_of_cases_are_of_those_that_were_evaluated(judged):
    evaluation, verdict, cases = judged
    assert facts_of(evaluation, verdict, (), ()) == SHOWN - OF_CASES - {"failures_named"}
    failed = [case.model_copy(update={"status": "failed"}) for case in cases]
    assert facts_of(evaluation, verdict, failed, ()) == SHOWN - OF_CASES
    two = [case for case in cases if case.site in SITES[:2]]
    assert facts_of(evaluation, verdict, two, ()) == SHOWN - {"unseen_site"}
    third = [case for case in cases if case.site == SITES[2]]
    assert facts_of(evaluation, verdict, third, ()) == SHOWN - {"several_sites"}
    assert facts_of(evaluation, verdict, [*third, *two[:1]], ()) == SHOWN
    told = [cases[0].model_copy(update={"strata": {"sex": "F"}}), *cases[1:]]
    assert facts_of(evaluation, verdict, told, ()) == SHOWN | {"strata"}
    bare = [case.model_copy(update={"preflight": {}}) for case in cases]
    assert facts_of(evaluation, verdict, bare, ()) == SHOWN - {"preflight"}
    assert facts_of(evaluation, verdict, [*bare[1:], cases[0]], ()) == SHOWN


@pytest.mark.parametrize(
    ("metric", "fact"),
    [
        ("dmean_difference_pct", "dose"), ("gamma_pass_rate", "dose"),
        ("positioning_shift", "positioning"), ("coverage_95", "uncertainty"),
        ("std_ratio", "uncertainty"), ("structure_shift", "place"), ("local_shift_95", "place"),
        ("contour_distance", "contours"), ("dice", "contours"),
        ("mirror_evidence", "orientation"), ("swap_evidence", "orientation"), ("mae", None),
    ],
)  # fmt: skip
def test_a_measure_shows_what_it_is_of(judged, metric, fact):
    assert facts_of(*judged, [("mae", "body"), (metric, "all")]) == SHOWN | ({fact} - {None})


# ---------------------------------------------------------------------------------------
# Sites that were expected


BROKEN = (("hospital-B", 1), ("hospital-D", 2), ("hospital-T", 1))
"""Sites with cases that could not be imported: one that is here too, one of the training."""


@pytest.mark.parametrize(
    ("cohort", "of_profile", "missing"),
    [
        (None, (), {"hospital-D": "2 cases"}),
        ((), (), {}),
        (SITES, (), {}),
        (("hospital-A", "hospital-E"), (), {"hospital-E": "the cohort"}),
        (("hospital-T",), (), {"hospital-T": "1 case "}),
        ((), ("hospital-D", "hospital-F"), {"hospital-D": "2 cases", "hospital-F": "the profile"}),
        (("hospital-F",), ("hospital-F",), {"hospital-F": "the profile"}),
        (None, ("hospital-T", *SITES), {"hospital-D": "2 cases", "hospital-T": "1 case "}),
    ],
)
def test_a_site_is_missing_where_it_was_expected_and_no_case_of_it_is_here(
    cohort, of_profile, missing
):
    record = Record()
    record.model["training_sites"] = ("hospital-A", "hospital-T")
    record.cohort["expected_sites"] = cohort
    broken = [
        record.cases[0].model_copy(update={"case": f"{site}{n}", "site": site, "split": None})
        for site, cases in BROKEN
        for n in range(cases)
    ]
    asked = profile(expected_sites=of_profile)
    found = missing_sites(asked, record.evaluation(), [*record.cases, *broken], record.cases)
    assert list(found) == list(missing)
    for site, why in missing.items():
        assert why in found[site]
