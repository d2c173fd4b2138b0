"""What the exam counts, on tables made by hand: who answers, what passes, what spoils many."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

import pytest

from qa_suite.evaluation.profiles import load_profile
from qa_suite.evaluation.provenance import code_facts
from qa_suite.lab.exam.counting import Ground, count_fault, ranked
from qa_suite.lab.exam.plan import tasks_of
from qa_suite.lab.exam.readings import ImageReading
from qa_suite.lab.exam.result import CandidateResult, Cell, CleanCheck, CleanCohorts, ExamResult
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.lab.exam.table import sentence, sentences, table
from qa_suite.lab.exam.verdicts import answering, judge_readings
from qa_suite.lab.faults import FAULTS
from qa_suite.lab.phantom.candidates import CANDIDATES
from tests.exam_cases import profile, reading

# --- counting, on tables made by hand


def cohort(*values: float, site: str = "X") -> list[ImageReading]:
    return [reading(f"{site}{i}", value, site) for i, value in enumerate(values)]


def test_a_clean_table_passes_and_a_biased_one_names_it():
    clean = cohort(0, 1, -1, 0.5)
    assert judge_readings(clean, profile()).outcome == "pass"
    biased = cohort(30, 31, 29, 30.5)
    judged = judge_readings(biased, profile())
    assert judged.outcome == "fail"
    assert answering(judged, FAULTS["hu_bias"].facts, biased) == ("body ME", "worst")
    assert answering(judged, FAULTS["blurred"].facts, biased) == ()


def test_the_fault_of_one_patient_must_point_at_him():
    readings = [*cohort(0, 1, -1, 0.5), *cohort(0, 0.2, 60, 0.1, site="Y")]
    judged = judge_readings(readings, profile())
    facts = FAULTS["one_patient"].facts
    assert "worst" in answering(judged, facts, [reading("Y2", 60, "Y")])
    assert answering(judged, facts, [reading("X0", 0, "X")]) == ()


def test_too_few_patients_are_undecided_and_so_an_alarm():
    judged = judge_readings(cohort(0.0), profile())
    assert judged.outcome == "inconclusive"
    assert judged.named


def cell(
    caught: int,
    *,
    clinical: bool = True,
    clean: int | None = None,
    by: dict[str, int] | None = None,
) -> Cell:
    return Cell(
        fault="hu_bias",
        severity=30,
        clinical=clinical,
        verdicts=2,
        turned=2,
        caught=caught,
        misnamed=2 - caught,
        answered_by=by or {},
        clean_passed=clean,
    )


def candidate(name: str, *cells: Cell, alarms: int = 0, cohorts: int = 59) -> CandidateResult:
    clean = CleanCohorts(cohorts=cohorts, patients=60, alarms=alarms)
    return CandidateResult(candidate=name, cells=cells, clean=clean)


def result(*candidates: CandidateResult, checks: tuple[CleanCheck, ...] = ()) -> ExamResult:
    return ExamResult(
        settings=ExamSettings(),
        patients_from="virtual",
        profile_sha256="",
        code=code_facts(),
        candidates=candidates,
        checks=checks,
        seconds=1,
    )


def test_passing_needs_every_fault_that_matters_and_quiet_clean_cohorts():
    assert candidate("twin", cell(2), cell(0, clinical=False)).passed
    assert not candidate("twin", cell(1)).passed
    assert not candidate("twin", cell(2, clean=1)).passed
    assert not candidate("twin", cell(2), alarms=1).passed
    assert candidate("twin", cell(2), alarms=1, cohorts=93).passed
    assert not candidate("twin", cell(2), alarms=2, cohorts=93).passed
    for one in (candidate("a", cell(2)), candidate("a", cell(2), alarms=1, cohorts=93)):
        assert "(rate at most 5.0 %, one-sided 95 %)" in sentence(one)


def test_every_candidate_must_pass_and_every_check_where_it_must():
    good, bad = candidate("twin", cell(2)), candidate("realistic", cell(1))
    assert result(good).passed
    assert not result(good, bad).passed
    checks = [
        CleanCheck(candidate="bulk", outcome="fail", must_pass=must, failed_by=("noise",))
        for must in (True, False)
    ]
    assert not result(good, checks=(checks[0],)).passed
    assert result(good, checks=(checks[1],)).passed
    assert sentences(result(good, checks=(checks[1],)))[1] == (
        "Candidate bulk, one clean cohort: fail under mr-to-ct-pelvis (it need not pass this "
        "profile), by noise."
    )


def test_a_candidate_need_not_meet_what_it_is_not_asked_for_and_must_meet_the_rest():
    good = candidate("twin", cell(2))
    for failed, passed in ((("range",), True), (("range", "target dose"), False)):
        check = CleanCheck(
            candidate="bulk", outcome="fail", must_pass=True, failed_by=failed, not_asked=("range",)
        )
        assert result(good, checks=(check,)).passed is passed


@pytest.mark.parametrize("name", [entry.name for entry in CANDIDATES])
def test_every_candidate_is_asked_for_something_by_every_profile_that_it_must_pass(name):
    facts = CANDIDATES[name].facts
    for asked in facts.profiles:
        criteria = load_profile(asked).criteria
        assert any(fnmatchcase(c.variant, facts.measures) for c in criteria)


def test_the_table_is_the_same_whatever_the_order_of_the_answers():
    twin = candidate("twin", cell(2, by={"c": 1, "b": 1, "a": 1, "d": 1}))
    real = candidate("realistic", cell(1, by={"d": 1, "a": 1, "c": 1, "b": 1}))
    rows = [table(result(*order)) for order in ((twin, real), (real, twin))]
    assert rows[0][0][-4] == rows[1][0][-4] == "a, b, c"
    assert rows[0][0][3:9] == ("2/2", "1/2", "2/2", "2/2", "0/2", "1/2")
    assert list(ranked(Counter({"z": 1, "y": 3, "a": 1}))) == ["y", "a", "z"]


# --- faults of several images


def test_a_criterion_that_the_clean_images_miss_answers_for_nothing():
    biased = cohort(*(60 + n / 10 for n in range(12)))
    judged = judge_readings(biased, profile())
    facts = FAULTS["hu_bias"].facts
    assert answering(judged, facts, biased, frozenset({"worst"})) == ("body ME",)
    ground = Ground.of(cohort(*range(-18, 27, 4)), profile(), {})
    assert ground.judged.spoilt == {"worst"}
    hit = [one.model_copy(update={"fault": "hu_bias", "severity": 30.0}) for one in biased]
    found = count_fault(ground, "hu_bias", 30.0, hit)
    assert (found.caught, found.misnamed, found.turned) == (1, 0, 1)
    assert found.answered_by == {"body ME": 1}


def test_a_verdict_that_names_another_fault_is_misnamed():
    ground = Ground.of(cohort(0, 1, -1, 0.5), profile(), {})
    hit = [
        one.model_copy(update={"fault": "blurred", "severity": 8.0})
        for one in cohort(60, 61, 59, 60.5)
    ]
    found = count_fault(ground, "blurred", 8.0, hit)
    assert (found.verdicts, found.turned, found.caught, found.misnamed) == (1, 1, 0, 1)


def test_two_examinations_that_cancel_are_one_patient_whose_worst_is_seen():
    ground = Ground.of(cohort(0, 1, -1, 0.5), profile(), {})
    kind = "examinations_cancel"
    pair = [reading("X1", 30, fault=kind), reading("X1-again", -30, fault=kind, patient="X1")]
    clean = reading("X1-again", 0.2, patient="X1").model_copy(update={"clean_of": (kind, 30.0)})
    found = count_fault(ground, kind, 30.0, [*pair, clean])
    assert (found.verdicts, found.caught, found.clean_passed) == (1, 1, 1)
    assert found.answered_by == {"worst": 1}, "the mean of the patient does not move"


def test_the_two_largest_sites_are_spoilt_in_opposite_ways():
    settings = ExamSettings(
        patients={"A": 2, "B": 3, "C": 3},
        faults=("sites_cancel", "one_site"),
        clinical_only=True,
        clean_cohorts=2,
    )
    first, second = tasks_of(settings, profile(), None, None)
    sides = {task.someone.site: task.someone.side for task in first}
    assert sides == {"hospital-A": 0, "hospital-B": -1, "hospital-C": 1}
    hit = {
        site: {name for t in first if t.someone.site == site for name, _ in t.faults}
        for site in sides
    }
    assert hit == {
        "hospital-A": {"one_site"},
        "hospital-B": {"sites_cancel"},
        "hospital-C": {"sites_cancel"},
    }
    assert not any(task.faults for task in second)
    assert {task.candidates for task in first} == {("twin", "realistic", "bulk")}
    assert {task.candidates for task in second} == {("twin", "realistic")}
