"""The whole path on virtual patients: known-good passes, planted faults fail and are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort
from qa_suite.core.volume import Volume
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.io.cases import load_case
from qa_suite.io.images import write_image
from qa_suite.judging.criteria import load_profile
from qa_suite.lab.exam.taken import families_of
from qa_suite.lab.phantom import oracle_translate
from qa_suite.preflight import PreflightSettings

PROFILE = "demo-pelvis"
FAMILIES = tuple(families_of(load_profile(PROFILE), alone=False))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight test patients at each of two hospitals, on a coarse grid."""
    folder = tmp_path_factory.mktemp("end") / "cohort"
    arguments = ["--patients", "8", "--hospitals", "A,C", "--spacing-mm", "10,10,12"]
    assert run(["phantom", str(folder), *arguments, "--split", "test=1"]) == 0
    return folder


@pytest.fixture(scope="module")
def known() -> dict[str, dict]:
    """Verdicts by the name of their fault: several tests ask for the same one."""
    return {}


@pytest.fixture
def examined(cohort, known, tmp_path, capsys):
    """Return the verdict on the known-good model with a fault planted into its images."""

    def verdict_of(fault) -> dict:
        if fault.__name__ not in known:
            known[fault.__name__] = examine(cohort, tmp_path, fault, capsys)
        return known[fault.__name__]

    return verdict_of


def examine(cohort: Path, out: Path, fault, capsys) -> dict:
    """Judge the known-good model with a fault planted into its images."""
    material = load_cohort(cohort)
    for number, case in enumerate(material.cases):
        loaded = load_case(material, case, cohort, truth=True)
        twin = oracle_translate(loaded.truth["noise_free_reference"], seed=number)
        write_image(fault(twin, case.case), out / "images" / f"{case.case}.nii.gz")
    facts, translate = finished_images(out / "images", "twin")
    settings = EvaluationSettings(
        preflight=PreflightSettings(estimate_alignment=False), families=FAMILIES
    )
    examination = Examination(
        cohort=material, folder=cohort, model=facts, translate=translate, settings=settings
    )
    evaluate(examination, out / "record")
    capsys.readouterr()
    run(["judge", str(out / "record"), "--profile", PROFILE, "--json"])
    verdict: dict = json.loads(capsys.readouterr().out)
    return verdict


def clean(twin: Volume, case: str) -> Volume:
    return twin


def biased(twin: Volume, case: str) -> Volume:
    return twin.with_array(twin.array + 40)


def biased_at_c(twin: Volume, case: str) -> Volume:
    return twin.with_array(twin.array + 40) if case.startswith("C") else twin


def without_bone(twin: Volume, case: str) -> Volume:
    return twin.with_array(np.minimum(twin.array, 150))


def one_terrible(twin: Volume, case: str) -> Volume:
    return twin.with_array(np.roll(twin.array, 5, axis=0)) if case == "C-003" else twin


def with_nan(twin: Volume, case: str) -> Volume:
    array = twin.array.copy()
    array[array.shape[0] // 2, array.shape[1] // 2, 3] = np.nan
    return twin.with_array(array)


def test_the_known_good_model_passes(examined):
    verdict = examined(clean)
    assert verdict["outcome"] == "pass", verdict["sentence"]
    assert not any("recorded before" in notice for notice in verdict["notices"])


@pytest.mark.parametrize(
    ("fault", "criteria", "scope"),
    [
        (biased, {"body ME"}, "hospital-A"),
        (biased_at_c, {"body ME"}, "hospital-C"),
        (without_bone, {"bone MAE"}, "hospital-A"),
        (one_terrible, {"body MAE of the worst patient"}, "C-003"),
    ],
)
def test_a_planted_fault_turns_the_verdict_and_is_named(examined, fault, criteria, scope):
    verdict = examined(fault)
    assert verdict["outcome"] == "fail"
    failed = [f for f in verdict["findings"] if f["outcome"] == "fail"]
    assert criteria <= {finding["criterion"]["name"] for finding in failed}
    assert any(scope in finding["sentence"] for finding in failed)


def test_a_dice_of_zero_in_everybody_fails(examined):
    """Values that are all alike have no interval, but worse than this nothing can be."""
    found = [
        finding
        for finding in examined(without_bone)["findings"]
        if finding["criterion"]["name"] == "bone Dice"
    ]
    assert {finding["estimate"] for finding in found} == {0.0}
    assert {finding["outcome"] for finding in found} == {"fail"}
    assert {finding["reasons"][0]["code"] for finding in found} == {"alike_at_worst_end"}


def test_a_fault_abroad_leaves_home_alone(examined):
    verdict = examined(biased_at_c)
    home = [f for f in verdict["findings"] if f["scope_name"] == "hospital-A"]
    assert {finding["outcome"] for finding in home} == {"pass"}
    assert "hospital-C" in verdict["sentence"]


def test_nan_never_passes(examined):
    verdict = examined(with_nan)
    assert verdict["outcome"] != "pass"


@pytest.mark.slow
def test_the_demo_runs_from_start_to_report(own_store, monkeypatch, capsys):
    monkeypatch.setattr("qa_suite.cli.demo.PATIENTS", {"A": 3, "B": 3, "C": 1})
    monkeypatch.setattr("qa_suite.cli.demo.SPACING_MM", (10.0, 10.0, 12.0))
    monkeypatch.setattr("qa_suite.cli.demo.DOSE_GRID_MM", 10.0)  # no finer than the voxels
    monkeypatch.setattr("qa_suite.cli.demo.HLUTS", ("thomas-1999", "stoichiometric-schneider"))
    assert run(["demo", "--iterations", "8"]) == 0
    shown = capsys.readouterr().out
    page = Path(shown.split("Report:")[1].split()[0])
    assert page.is_file()
    text = page.read_text()
    assert "hospital-C" in text
    assert "https://" not in text.replace("https://www.w3.org", "")
    assert "improvement above the floor" in shown
    import mlflow

    runs = mlflow.search_runs(experiment_names=["evaluations"], output_format="list")
    assert {run.data.tags["qa.model"] for run in runs} >= {
        "oracle:truth",
        "models:/demo-intensity/1",
    }
    judged = [run for run in runs if "qa.outcome" in run.data.tags]
    assert [run.data.tags["qa.model"] for run in judged] == ["models:/demo-regression/1"]
    inputs = mlflow.MlflowClient().get_run(judged[0].info.run_id).inputs
    assert inputs.dataset_inputs
    assert inputs.model_inputs
