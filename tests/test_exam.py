"""The exam of the examiner, reduced: planted faults turn the verdict and are named."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from pydantic import ValidationError

from qa_suite.cli import run
from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.records import Measurement, Profile
from qa_suite.evaluation.provenance import code_facts
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.lab.exam.counting import Ground, count_fault, ranked
from qa_suite.lab.exam.plan import tasks_of
from qa_suite.lab.exam.readings import ImageReading, Someone
from qa_suite.lab.exam.result import CandidateResult, Cell, CleanCheck, CleanCohorts, ExamResult
from qa_suite.lab.exam.run import run_exam
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.lab.exam.table import markdown, sentence, sentences, table
from qa_suite.lab.exam.taken import families_of, settings_for, wanted
from qa_suite.lab.exam.verdicts import answering, judge_readings
from qa_suite.lab.faults import FAULTS
from qa_suite.lab.phantom import make_phantom_cohort
from qa_suite.metrics.run import METRICS

FEW = {"A": 6, "B": 6, "C": 5}
REDUCED = ("hu_bias", "bone_rims_missing", "slice_jump", "left_right_flip", "nan", "one_patient")


@pytest.fixture(scope="module")
def reduced() -> ExamResult:
    settings = ExamSettings(
        patients=FEW,
        clean_cohorts=1,
        faults=REDUCED,
        clinical_only=True,
        trials=2,
        alone=False,
        candidates=("twin",),
        clean_only=(),
    )
    return run_exam(settings, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REDUCED)
def test_a_planted_fault_is_caught_and_named(reduced, fault):
    (cell,) = [cell for cell in reduced.candidates[0].cells if cell.fault == fault]
    assert cell.clinical
    assert cell.caught == cell.verdicts, cell
    assert cell.answered_by


@pytest.mark.slow
def test_the_clean_cohort_passes(reduced):
    assert reduced.candidates[0].clean.alarms == 0, reduced.candidates[0].clean
    assert reduced.passed
    assert "6 of 6 faults" in sentence(reduced.candidates[0])
    page = markdown(reduced)
    assert page.count("\n| ") == len(REDUCED)
    for cell in reduced.candidates[0].cells:
        assert FAULTS[cell.fault].facts.title in page


def test_every_fault_can_be_answered_by_the_pelvic_profile():
    profile = load_profile("mr-to-ct-pelvis")
    judged = {(c.metric, c.region) for c in (*profile.criteria, *TOO_GOOD)}
    for entry in FAULTS:
        assert judged & set(entry.facts.answers), f"nothing in {profile.name} names {entry.name}"


def test_the_answers_of_the_faults_are_registered_metrics():
    for entry in FAULTS:
        for metric in (*(m for m, _ in entry.facts.answers), *entry.facts.answers_alone):
            assert metric in METRICS, f"{entry.name} expects {metric}"


# --- counting, on tables made by hand


def profile(**changes) -> Profile:
    criterion = {
        "name": "body ME",
        "metric": "me",
        "region": "body",
        "statistic": "mean",
        "bound": 20,
        "direction": "within",
        "unit": "HU",
        "scope": "each_site",
        "min_patients": 2,
        "source": "test",
    }
    worst = criterion | {"name": "worst", "scope": "worst_patient", "bound": 25}
    return Profile.model_validate(
        {
            "name": "p",
            "version": "1",
            "direction": "MR->CT",
            "anatomy": "pelvis",
            "intended_use": "test",
            "criteria": [criterion, worst],
        }
        | changes
    )


def reading(
    case: str, value: float, site: str = "X", fault: str = "", patient: str = ""
) -> ImageReading:
    patient = patient or case
    row = Measurement(
        case=case,
        patient=patient,
        site=site,
        family="image",
        metric="me",
        region="body",
        value=value,
        unit="HU",
    )
    return ImageReading(
        case=case,
        patient=patient,
        site=site,
        candidate="twin",
        fault=fault,
        severity=1.0,
        rows=(row,),
    )


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
    ground = Ground.of(cohort(*[0] * 6, *[1] * 5, 26), profile(), {})
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


# --- carrying on


def test_an_exam_that_was_ended_carries_on(tmp_path, monkeypatch):
    settings = ExamSettings(
        profile="demo-pelvis",
        patients={"A": 2},
        spacing_mm=(16, 16, 24),
        clean_cohorts=1,
        faults=("hu_bias",),
        clinical_only=True,
        alone=False,
        candidates=("twin",),
        clean_only=(),
    )
    first = run_exam(settings, workers=1, out=tmp_path)
    file = tmp_path / "journal.jsonl"
    lines = file.read_text().splitlines()
    assert len(lines) == 3, "a head, and one line a patient"
    file.write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    made = []
    real = Someone.person
    monkeypatch.setattr(Someone, "person", lambda who: made.append(who.case) or real(who))
    second = run_exam(settings, workers=1, out=tmp_path)
    assert made == ["A-00002"]
    assert second.candidates == first.candidates
    both = settings.model_copy(update={"candidates": ("twin", "realistic")})
    third = run_exam(both, workers=1, out=tmp_path)
    assert third.candidates[0] == first.candidates[0], "in stages, and the same"
    with pytest.raises(InputError, match=r"another exam \(it differs in settings\)"):
        run_exam(settings.model_copy(update={"seed": settings.seed + 1}), workers=1, out=tmp_path)


def test_only_what_a_profile_judges_is_measured():
    small = profile()
    assert families_of(small, alone=False) == ["image"]
    assert families_of(small, alone=True) == ["geometry", "image", "reference_free"]
    settings = settings_for(small, alone=False)
    assert settings.geometry.source_alignment == "off"
    assert not settings.geometry.positioning.cbct
    whole = settings_for(load_profile("mr-to-ct-pelvis"), alone=True)
    assert whole.geometry.positioning.cbct
    assert not whole.geometry.positioning.drr
    assert whole.geometry.source_alignment != "off"
    rows = [
        *reading("a", 1).rows,
        *(reading("a", 1).rows[0].model_copy(update={"region": "bone"}),),
    ]
    assert [row.region for row in wanted(rows, small, alone=False)] == ["body"]


def test_settings_know_their_faults():
    with pytest.raises((UnknownName, ValidationError), match="hu_bais"):
        ExamSettings(faults=("hu_bais",))
    assert ExamSettings(clinical_only=True).severities("shift") == (2,)


def test_a_fault_without_any_place_is_refused(tmp_path, monkeypatch):
    def no_room(*_):
        raise InputError("There is no room.")

    monkeypatch.setattr("qa_suite.lab.exam.readings.plant", no_room)
    patients = make_phantom_cohort(
        tmp_path, hospitals=("A",), patients_per_hospital=2, spacing_mm=(12, 12, 16), seed=1
    )
    settings = ExamSettings(
        profile="demo-pelvis",
        clean_cohorts=1,
        faults=("bone_invented",),
        alone=False,
        candidates=("twin",),
        clean_only=(),
    )
    with pytest.raises(InputError, match="has a place for the fault 'bone_invented' of 1 cc"):
        run_exam(settings, cohort=patients, folder=tmp_path, workers=1)


def test_the_command_examines_a_cohort(tmp_path, capsys):
    make_phantom_cohort(
        tmp_path / "c", hospitals=("A",), patients_per_hospital=5, spacing_mm=(8, 8, 10), seed=1
    )
    status = run(
        [
            "exam",
            str(tmp_path / "c"),
            "--profile",
            "demo-pelvis",
            "--faults",
            "hu_bias",
            "--clinical-only",
            "--clean-cohorts",
            "2",
            "--workers",
            "1",
            "--no-alone",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    shown = capsys.readouterr().out
    assert status == 0, shown
    assert "1 of 1 faults" in shown
    found = json.loads((tmp_path / "out" / "exam.json").read_text())
    assert [one["candidate"] for one in found["candidates"]] == ["twin", "realistic"]
    assert found["candidates"][0]["cells"][0]["answered_by"] == {"body ME": 1}
    assert (tmp_path / "out" / "exam.md").read_text().startswith("| fault |")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--clean-cohorts", "0"], "clean_cohorts"),
        (["--trials", "0", "--clean-cohorts", "0"], "2 problems"),
        (["--clean-cohorts", "1"], "--no-alone"),
        (["--faults", "hu_bais"], "did you mean hu_bias"),
    ],
)
def test_bad_settings_are_one_sentence(capsys, given, words):
    assert run(["exam", *given]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
