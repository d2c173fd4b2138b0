"""The exam of the examiner, reduced: planted faults turn the verdict and are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from qa_suite.cli import run
from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.executors.crew import HERE
from qa_suite.core.records import CodeFacts
from qa_suite.judging import criteria
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.lab.exam.readings import Someone
from qa_suite.lab.exam.result import ExamResult
from qa_suite.lab.exam.run import run_exam
from qa_suite.lab.exam.settings import ExamSettings
from qa_suite.lab.exam.table import markdown, sentence
from qa_suite.lab.exam.taken import families_of, settings_for, wanted
from qa_suite.lab.faults import FAULTS
from qa_suite.lab.phantom import make_phantom_cohort
from qa_suite.metrics.run import METRICS
from tests.exam_cases import profile, reading

CRITERIA = Path(criteria.__file__).parent
FEW = {"A": 9, "B": 9}
REDUCED = ("hu_bias", "bone_rims_missing", "slice_jump", "left_right_flip", "nan", "one_patient")


@pytest.fixture(scope="module")
def reduced() -> ExamResult:
    settings = ExamSettings(
        patients=FEW,
        clean_cohorts=1,
        faults=REDUCED,
        clinical_only=True,
        trials=2,
        spacing_mm=(6, 6, 8),
        alone=False,
        candidates=("twin",),
        clean_only=(),
    )
    return run_exam(settings, crew=HERE)


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
    first = run_exam(settings, crew=HERE, out=tmp_path)
    file = tmp_path / "journal.jsonl"
    lines = file.read_text().splitlines()
    assert len(lines) == 3, "a head, and one line a patient"
    file.write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    made = []
    real = Someone.person
    monkeypatch.setattr(Someone, "person", lambda who: made.append(who.case) or real(who))
    second = run_exam(settings, crew=HERE, out=tmp_path)
    assert made == ["A-00002"]
    assert second.candidates == first.candidates
    both = settings.model_copy(update={"candidates": ("twin", "realistic")})
    third = run_exam(both, crew=HERE, out=tmp_path)
    assert third.candidates[0] == first.candidates[0], "in stages, and the same"
    with pytest.raises(InputError, match=r"another exam \(it differs in settings\)"):
        run_exam(settings.model_copy(update={"seed": settings.seed + 1}), crew=HERE, out=tmp_path)


def test_what_was_measured_is_judged_again_by_other_criteria(tmp_path, monkeypatch):
    settings = ExamSettings(
        profile="demo-pelvis",
        patients={"A": 8},
        spacing_mm=(16, 16, 24),
        clean_cohorts=1,
        faults=("hu_bias",),
        clinical_only=True,
        alone=False,
        candidates=("twin",),
        clean_only=(),
    )
    with pytest.raises(InputError, match="no journal to judge again in"):
        run_exam(settings, crew=HERE, out=tmp_path, judge_again=True)
    first = run_exam(settings, crew=HERE, out=tmp_path)
    written = (tmp_path / "journal.jsonl").read_bytes()
    monkeypatch.setattr(Someone, "person", lambda who: pytest.fail("it measures again"))
    monkeypatch.setattr("qa_suite.lab.exam.run.code_facts", lambda: code_facts("another"))
    text = (CRITERIA / "demo-pelvis.yaml").read_text()
    assert "bound: 15\n" in text, "of the body's ME"
    (tmp_path / "strict.yaml").write_text(text.replace("bound: 15\n", "bound: 0.001\n"))
    stricter = settings.model_copy(update={"profile": str(tmp_path / "strict.yaml")})
    with pytest.raises(InputError, match="another exam"):
        run_exam(stricter, crew=HERE, out=tmp_path)
    again = run_exam(stricter, crew=HERE, out=tmp_path, judge_again=True)
    assert first.candidates[0].clean.alarmed_by != again.candidates[0].clean.alarmed_by
    assert "body ME" in again.candidates[0].clean.alarmed_by
    assert again.code.git_commit == "another"
    assert again.measured_by == first.measured_by != ""
    more = settings.model_copy(update={"clean_cohorts": 2})
    with pytest.raises(InputError, match="lacks 8 of 16 patients"):
        run_exam(more, crew=HERE, out=tmp_path, judge_again=True)
    assert (tmp_path / "journal.jsonl").read_bytes() == written


def code_facts(commit: str) -> CodeFacts:
    """Return the facts of a suite of another commit."""
    return CodeFacts(suite_version="9", git_commit=commit, git_dirty=False, python="", packages={})


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
        run_exam(settings, cohort=patients, folder=tmp_path, crew=HERE)


def test_the_command_examines_a_cohort(tmp_path, capsys):
    make_phantom_cohort(
        tmp_path / "c", hospitals=("A",), patients_per_hospital=8, spacing_mm=(8, 8, 10), seed=1
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
    assert "1 of 1 fault" in shown
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
