"""What a verdict carries beside its findings: whom it speaks of, dose, gaps, counts, notices."""

from __future__ import annotations

import pytest

from qa_suite.core.record_names import digest_of
from qa_suite.core.records import TrainingSources
from qa_suite.core.records.profile import Examined
from qa_suite.judging.dose_line import NO_DOSE
from qa_suite.judging.judge import judge_tables, least_coverage, never_examined, profile_digest
from qa_suite.judging.shift import spoken_of
from tests.judging_record import BONE_DICE, SITES, Record, criterion, profile

DESCRIBED = ({"metric": "me", "region": "body"}, {"metric": "hd95", "region": "seg:Bone"})


def test_it_speaks_of_the_judged_patients_and_of_the_training():
    record = Record()
    protocols = {"hospital-A": {"sequence": {"T1": 3, "T2": 3}}}
    sources = TrainingSources(features=(), rows={}, protocols=protocols)
    record.model |= {"training_sites": (SITES[0], "hospital-Z"), "training_sources": sources}
    for case in record.of_site(SITES[1]):
        record.update_case(case, strata={"sequence": "T1"})
    record.end("A1", "failed", "x")
    verdict = record.judge(profile())
    told = spoken_of(record.cases, training=sources, training_sites=(SITES[0], "hospital-Z"))
    assert verdict.speaks_of == told.sentence
    for words in ("23 patients of 3 sites", "T1 (8)", "hospital-Z", "T2"):
        assert words in verdict.speaks_of


def test_without_doses_it_says_that_none_was_judged():
    verdict = Record().judge(profile())
    assert verdict.dose == (NO_DOSE,)


def test_a_dose_is_judged_where_the_profile_bounds_its_plan():
    record = Record()
    record.rows = [
        row.model_copy(
            update={"family": "dose", "metric": "goals_lost", "region": "all", "value": 0.0,
                    "variant": "photon-pelvis", "unit": "1"}
        )
        if row.metric == "missed" else row
        for row in record.rows
    ]  # fmt: skip
    asked = {"metric": "goals_lost", "region": "all", "unit": "1", "scope": "pooled", "bound": 0.5}
    bounded = criterion(variant="photon-pelvis", **asked)
    described = record.judge(profile()).dose
    judged = record.judge(profile(bounded)).dose
    assert len(described) == len(judged) == 1 and "24 patients of 24" in judged[0]
    assert "1 criterion" in judged[0] and "1 criterion" not in described[0]


def test_cases_are_counted_by_what_became_of_them():
    record = Record()
    record.end("A1", "refused", "x")
    shift = record.cases[1].preflight["alignment_shift"].model_copy(update={"value": 30.0})
    record.update_case("A2", preflight={"alignment_shift": shift})
    limits = {"exclude": {"alignment_shift": {"at_most": 20}}, "max_excluded_fraction": 0.5}
    verdict = record.judge(profile(**limits))
    assert verdict.case_counts == {"held_out": 24, "refused": 1, "excluded": 1, "judged": 23}
    assert list(verdict.excluded) == ["A2"]
    assert verdict.evaluation == record.evaluation().evaluation
    assert verdict.profile_sha256 == profile_digest(verdict.profile)
    assert verdict.profile_sha256 == digest_of(verdict.profile.asks)


@pytest.mark.parametrize(
    ("clinical", "exam", "said"),
    [
        (True, Examined(on="none", because="it is new"), 1),
        (False, Examined(on="none", because="it is new"), 0),
        (True, Examined(on="virtual pelves", page="docs/x.md"), 0),
        (True, None, 0),
    ],
)
def test_a_clinical_profile_without_an_exam_is_told(clinical, exam, said):
    one = profile(clinical=clinical, examined=exam)
    told = never_examined(one)
    assert len(told) == said and all("it is new" in line for line in told)
    assert [n for n in Record().judge(one).notices if "No exam" in n] == list(told)


def test_the_share_that_was_measured_is_asked_by_criterion_then_metric_then_profile():
    one = profile(min_coverage=0.7)
    asked = criterion(min_coverage=0.5)
    assert least_coverage(asked, {"sampled": True}, one) == 0.5
    assert least_coverage(criterion(min_coverage=0), {}, one) == 0
    assert least_coverage(criterion(), {"sampled": True}, one) == 0
    assert least_coverage(criterion(), {"sampled": False}, one) == 0.7
    assert least_coverage(None, {}, one) == 0.7


# ---------------------------------------------------------------------------------------
# Gaps between sites


def test_bounded_and_described_measures_are_compared_once_each():
    verdict = Record().judge(profile(criterion(), BONE_DICE, describe=DESCRIBED))
    told = {(one.metric, one.region) for one in verdict.site_gaps}
    assert told == {("mae", "body"), ("dice", "seg:Bone"), ("me", "body"), ("hd95", "seg:Bone")}
    twice = Record().judge(profile(criterion(), describe=({"metric": "mae", "region": "body"},)))
    assert [one.site for one in twice.site_gaps] == list(SITES)


@pytest.mark.parametrize(
    ("metric", "by", "shifted"),
    [
        ("mae", 60, True), ("mae", -40, False),
        ("dice", -0.3, True), ("dice", 0.05, False),
        ("hd95", 9, True), ("me", 30, True), ("me", -30, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("described", [True, False])
def test_a_gap_is_to_the_worse_side_as_bound_or_record_say(metric, by, shifted, described):
    record = Record()
    for case in record.of_site(SITES[2]):
        record.shift(case, metric=metric, by=by)
    region = "body" if metric in ("mae", "me") else "seg:Bone"
    way = {"dice": "at_least", "me": "within"}.get(metric, "at_most")
    unit = {"dice": "1", "hd95": "mm"}.get(metric, "HU")
    other = criterion(name="other", metric="missed", region="seg:Bone", unit="1", bound=0.9)
    asked = criterion(metric=metric, region=region, unit=unit, direction=way, bound=1)
    one = profile(other, describe=({"metric": metric, "region": region},)) if described else (
        profile(asked)
    )  # fmt: skip
    gaps = {g.site: g for g in record.judge(one).site_gaps if g.metric == metric}
    assert gaps[SITES[2]].shifted is shifted
    assert [gaps[site].in_training for site in SITES] == [True, True, False]
    assert gaps[SITES[2]].gap == pytest.approx(by, abs=abs(by) / 2 + 5)


def test_what_the_record_does_not_define_or_hold_has_no_gap():
    record = Record()
    lost = ({"metric": "ssim", "region": "body"}, *DESCRIBED)
    evaluation = record.evaluation()
    plain = evaluation.model_copy(update={"definitions": {}})
    told = judge_tables(plain, record.table(), record.cases, profile(criterion(), describe=lost))
    assert {one.metric for one in told.site_gaps} == {"mae"}
    silent = judge_tables(evaluation, record.table(), record.cases, profile(), gaps=False)
    assert silent.site_gaps == () and silent.outcome == "pass"
