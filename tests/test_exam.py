"""The exam of the examiner, reduced: planted faults turn the verdict and are named."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from qa_suite.cli import run
from qa_suite.criteria import load_profile
from qa_suite.errors import InputError, UnknownName
from qa_suite.exam.readings import Reading, families_of, settings_for, wanted
from qa_suite.exam.result import Cell, CleanCohorts, ExamResult, markdown, sentence
from qa_suite.exam.run import run_exam
from qa_suite.exam.settings import ExamSettings
from qa_suite.exam.verdicts import answering, judge_readings
from qa_suite.measures.run import METRICS
from qa_suite.phantom import make_phantom_cohort
from qa_suite.phantom.faults import FAULTS
from qa_suite.provenance import code_facts
from qa_suite.records import Measurement, Profile

FEW = {"A": 6, "B": 6, "C": 5}
REDUCED = ("hu_bias", "bone_rims_missing", "slice_jump", "left_right_flip", "nan", "one_patient")


@pytest.fixture(scope="module")
def reduced() -> ExamResult:
    settings = ExamSettings(
        patients=FEW, clean_cohorts=1, faults=REDUCED, clinical_only=True, trials=2, alone=False
    )
    return run_exam(settings, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REDUCED)
def test_a_planted_fault_is_caught_and_named(reduced, fault):
    (cell,) = [cell for cell in reduced.cells if cell.fault == fault]
    assert cell.clinical
    assert cell.caught == cell.verdicts, cell
    assert cell.answered_by


@pytest.mark.slow
def test_the_clean_cohort_passes(reduced):
    assert reduced.clean.alarms == 0, reduced.clean.alarmed_by
    assert reduced.passed
    assert "6 of 6 faults" in sentence(reduced)
    page = markdown(reduced)
    assert page.count("\n| ") == len(REDUCED)
    for cell in reduced.cells:
        assert FAULTS[cell.fault].facts.title in page


def test_every_fault_can_be_answered_by_the_pelvic_profile():
    profile = load_profile("mr-to-ct-pelvis")
    judged = {(c.metric, c.region) for c in profile.criteria}
    for entry in FAULTS:
        assert judged & set(entry.facts.answers), f"nothing in {profile.name} names {entry.name}"


def test_the_answers_of_the_faults_are_registered_metrics():
    for entry in FAULTS:
        for metric in (*(m for m, _ in entry.facts.answers), *entry.facts.answers_alone):
            assert metric in METRICS, f"{entry.name} expects {metric}"


# --- counting, on tables made by hand


def profile(**changes) -> Profile:
    criterion = {
        "name": "body ME", "metric": "me", "region": "body", "statistic": "mean", "bound": 20,
        "direction": "within", "unit": "HU", "scope": "each_site", "min_patients": 2,
        "source": "test",
    }  # fmt: skip
    worst = criterion | {"name": "worst", "scope": "worst_patient", "bound": 25}
    return Profile.model_validate(
        {
            "name": "p", "version": "1", "direction": "MR->CT", "anatomy": "pelvis",
            "intended_use": "test", "criteria": [criterion, worst],
        } | changes
    )  # fmt: skip


def reading(case: str, value: float, site: str = "X", fault: str = "") -> Reading:
    row = Measurement(
        case=case, patient=case, site=site, family="image", metric="me", region="body",
        value=value, unit="HU",
    )  # fmt: skip
    return Reading(case=case, site=site, fault=fault, severity=1.0, rows=(row,))


def cohort(*values: float, site: str = "X") -> list[Reading]:
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


def cell(caught: int, *, clinical: bool = True, twins: int | None = None) -> Cell:
    return Cell(
        fault="hu_bias", severity=30, clinical=clinical, verdicts=2, turned=2, caught=caught,
        answered_by={}, twins_passed=twins,
    )  # fmt: skip


def result(*cells: Cell, alarms: int = 0, cohorts: int = 59) -> ExamResult:
    return ExamResult(
        settings=ExamSettings(), patients_from="virtual", profile_sha256="", code=code_facts(),
        cells=cells, clean=CleanCohorts(cohorts=cohorts, patients=60, alarms=alarms), seconds=1,
    )  # fmt: skip


def test_passing_needs_every_fault_that_matters_and_quiet_clean_cohorts():
    assert result(cell(2), cell(0, clinical=False)).passed
    assert not result(cell(1)).passed
    assert not result(cell(2, twins=1)).passed
    assert not result(cell(2), alarms=1).passed
    assert result(cell(2), alarms=1, cohorts=93).passed
    assert not result(cell(2), alarms=2, cohorts=93).passed
    assert "(rate at most 5.0 %, one-sided 95 %)" in sentence(result(cell(2)))
    assert "(rate at most 5.0 %, one-sided 95 %)" in sentence(result(cell(2), alarms=1, cohorts=93))


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
    rows = [*reading("a", 1).rows, *(reading("a", 1).rows[0].model_copy(
        update={"region": "bone"}),)]  # fmt: skip
    assert [row.region for row in wanted(rows, small, alone=False)] == ["body"]


def test_settings_know_their_faults():
    with pytest.raises((UnknownName, ValidationError), match="hu_bais"):
        ExamSettings(faults=("hu_bais",))
    assert ExamSettings(clinical_only=True).severities("shift") == (2,)


def test_a_fault_without_any_place_is_refused(tmp_path, monkeypatch):
    def no_room(*_):
        raise InputError("There is no room.")

    monkeypatch.setattr("qa_suite.exam.readings.plant", no_room)
    patients = make_phantom_cohort(
        tmp_path, hospitals=("A",), patients_per_hospital=2, spacing_mm=(12, 12, 16), seed=1
    )
    settings = ExamSettings(
        profile="demo-pelvis", clean_cohorts=1, faults=("bone_invented",), alone=False
    )
    with pytest.raises(InputError, match="has a place for the fault 'bone_invented' of 1 cc"):
        run_exam(settings, cohort=patients, folder=tmp_path, workers=1)


def test_the_command_examines_a_cohort(tmp_path, capsys):
    make_phantom_cohort(
        tmp_path / "c", hospitals=("A",), patients_per_hospital=5, spacing_mm=(8, 8, 10), seed=1
    )
    status = run(["exam", str(tmp_path / "c"), "--profile", "demo-pelvis", "--faults", "hu_bias",
                  "--clinical-only", "--clean-cohorts", "2", "--workers", "1", "--no-alone",
                  "--out", str(tmp_path / "out")])  # fmt: skip
    shown = capsys.readouterr().out
    assert status == 0, shown
    assert "1 of 1 faults" in shown
    found = json.loads((tmp_path / "out" / "exam.json").read_text())
    assert found["cells"][0]["answered_by"] == {"body ME": 1}
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
