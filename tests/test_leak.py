"""The reference in the place of the synthetic image passes no profile, whatever way it comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import load_cohort, save_cohort
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import read_cases, read_measurements
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.io.cases import load_case
from qa_suite.io.images import write_image
from qa_suite.judging.criteria import list_profiles
from qa_suite.judging.criteria.built_in import TOO_GOOD, TOO_GOOD_METRICS
from qa_suite.judging.judge import judge_tables
from qa_suite.lab.phantom import make_phantom_cohort, oracle_twin
from qa_suite.preflight import PreflightSettings

QUICK = PreflightSettings(estimate_alignment=False)
FAMILIES = ("segmentation",)  # the rule holds whatever was asked for


@pytest.fixture(scope="module")
def virtual(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("virtual")
    make_phantom_cohort(
        folder, hospitals=("A",), patients_per_hospital=4, seed=3, spacing_mm=(7, 7, 7)
    )
    cohort = load_cohort(folder)
    cases = tuple(case.model_copy(update={"split": "test"}) for case in cohort.cases)
    save_cohort(cohort.model_copy(update={"cases": cases}), folder)
    return folder


def evaluated(folder: Path, out: Path, translate, model=None, **settings):
    cohort = load_cohort(folder)
    examination = Examination(
        cohort=cohort,
        folder=folder,
        model=model or ModelFacts(uri="test:leak", name="leak", family="test"),
        translate=translate,
        settings=EvaluationSettings(
            preflight=QUICK, keep_volumes="none", **{"families": FAMILIES, **settings}
        ),
    )
    evaluation = evaluate(examination, out)
    return evaluation, read_measurements(out), read_cases(out)


def verdicts(record):
    """Judge a record under every profile, as if it were written for its cohort."""
    evaluation, rows, cases = record
    for profile in list_profiles():
        kept = profile.model_copy(update={"direction": "any", "anatomy": "any", "exclude": {}})
        yield kept, judge_tables(evaluation, rows, cases, kept, gaps=False)


def copied(loaded):
    return Prediction(mean=loaded.reference)


def with_noise(loaded):
    grain = np.random.default_rng(5).normal(0, 3, loaded.reference.array.shape)
    array = (loaded.reference.array + grain).astype(np.float32)
    return Prediction(mean=loaded.reference.with_array(array))


def of_another(folder: Path):
    cohort = load_cohort(folder)

    def translate(loaded):
        others = [c for c in cohort.cases if c.case != loaded.case.case]
        return Prediction(mean=load_case(cohort, others[0], folder).reference)

    return translate


def source_itself(loaded):
    return Prediction(mean=loaded.reference.with_array(loaded.source.array.astype(np.float32)))


def folder_of_references(folder: Path, to: Path):
    cohort = load_cohort(folder)
    to.mkdir()
    for case in cohort.cases:
        write_image(load_case(cohort, case, folder).reference, to / f"{case.case}.nii.gz")
    return finished_images(to, "vendor")


@pytest.fixture(scope="module")
def noisy(virtual, tmp_path_factory):
    """The record of the reference with noise of its own on top."""
    return evaluated(virtual, tmp_path_factory.mktemp("noisy") / "out", with_noise)


@pytest.mark.parametrize(
    ("translate", "why"),
    [
        (copied, "the voxels of the reference"),
        ("folder", "the voxels of the reference"),
        ("another", "reference of"),
        (source_itself, "the voxels of the source"),
    ],
)
def test_copies_fail_with_their_reason_and_pass_no_profile(virtual, tmp_path, translate, why):
    model = None
    if translate == "folder":
        model, translate = folder_of_references(virtual, tmp_path / "images")
    elif translate == "another":
        translate = of_another(virtual)
    record = evaluated(virtual, tmp_path / "out", translate, model)
    cases = record[2]
    assert {case.status for case in cases} == {"failed"}
    assert all(why in case.reason for case in cases)
    for profile, verdict in verdicts(record):
        assert verdict.outcome != "pass", profile.name


def test_the_reference_with_noise_passes_no_profile_and_the_finding_names_the_patients(noisy):
    assert {case.status for case in noisy[2]} == {"evaluated"}
    for profile, verdict in verdicts(noisy):
        assert verdict.outcome == "fail", profile.name
        found = {f.criterion.name: f for f in verdict.findings if f.criterion in TOO_GOOD}
        assert set(found) == {criterion.name for criterion in TOO_GOOD}
        for finding in found.values():
            assert finding.outcome == "fail"
            assert finding.scope_name in {case.patient for case in noisy[2]}
            assert "4 of 4 patients" in finding.sentence
        assert any(criterion.name in verdict.sentence for criterion in TOO_GOOD)


def test_what_was_made_is_not_accused(virtual, tmp_path):
    def twin(loaded):
        return Prediction(mean=oracle_twin(loaded.truth["noise_free_reference"], seed=8))

    oracle = ModelFacts(uri="oracle:twin", name="twin", family="oracle")
    record = evaluated(virtual, tmp_path / "out", twin, oracle)
    rows = record[1]
    asked = rows[rows["metric"].isin(TOO_GOOD_METRICS)]
    assert set(asked["status"]) == {"ok"} and len(asked) == 8
    for _, verdict in verdicts(record):
        assert not any(f.criterion in TOO_GOOD for f in verdict.findings)
        assert not any(metric in n for metric in TOO_GOOD_METRICS for n in verdict.notices)


def test_a_record_that_never_asked_says_so(noisy):
    evaluation, rows, cases = noisy
    old = rows[~rows["metric"].isin(TOO_GOOD_METRICS)]
    for _, verdict in verdicts((evaluation, old, cases)):
        assert any("was not measured" in notice for notice in verdict.notices)
