"""Registered by a search, or with calibration patients: the best try, and an interval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.record_files import read_measurements
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.registered import load_translator
from tests.model_registry_cases import artifacts_of, the_client
from tests.test_translators import tiny_spec
from translators.base import create
from translators.registry.registering import input_example
from translators.registry.train import train


def test_a_search_tries_children_and_registers_the_best(
    folder: Path, cohort: Cohort, own_store: Path, tmp_path: Path
) -> None:
    from qa_suite.core.errors import InputError, QAError
    from translators.registry.search import search, with_values

    spec = tiny_spec(
        search={
            "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "training.loss.bone_weight": {"values": [1.0, 2.0]},
        }
    )
    found = search(
        spec,
        cohort,
        folder,
        tries=2,
        workdir=tmp_path,
        register_as="searched",
        iterations=3,
        device="cpu",
    )
    client = the_client()
    run = client.get_run(found.run_id)  # type: ignore[attr-defined]
    children = client.search_runs(  # type: ignore[attr-defined]
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{found.run_id}'"
    )
    assert len(children) == 2
    rates = {float(child.data.params["training.learning_rate"]) for child in children}
    errors = {child.data.metrics["best_validation_mae"] for child in children}
    best = float(run.data.params["best.training.learning_rate"])
    assert len(rates) == 2 and all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert min(errors) == min(
        value.value
        for value in client.get_metric_history(found.run_id, "validation_of_try")  # type: ignore[attr-defined]
    )
    assert any(best == pytest.approx(rate) for rate in rates)
    with pytest.raises(InputError, match="declares nothing to search"):
        search(tiny_spec(), cohort, folder, tries=2, workdir=tmp_path)
    with pytest.raises(QAError, match=r"no 'training.rate' to search"):
        with_values(spec, {"training.rate": 1.0})


def test_calibration_patients_give_an_interval_and_count_as_seen(
    folder: Path, cohort: Cohort, own_store: Path, tmp_path: Path
) -> None:
    import mlflow

    cases = tuple(
        case.model_copy(update={"split": "calibration"}) if case.split == "test" else case
        for case in cohort.cases
    )
    calibrated = cohort.model_copy(update={"cases": cases})
    spec = tiny_spec(uncertainty={"method": "flips", "flip_axes": ["x"]})
    found = train(
        spec,
        calibrated,
        folder,
        workdir=tmp_path,
        register_as="calibrated",
        iterations=2,
        device="cpu",
    )
    trained = json.loads(
        (artifacts_of(found) / "artifacts" / "translator" / "training.json").read_text()
    )
    kept = {case.patient for case in calibrated.in_split("calibration")}
    assert kept and kept <= set(trained["patients"])
    answer = mlflow.pyfunc.load_model(found.uri).predict(input_example(create(spec)))
    assert answer["interval"] == {
        "voxel_share": 0.95,
        "level": len(kept) / (len(kept) + 1),
        "patients": len(kept),
    }
    assert float(answer["half_width"].min()) > 0

    # the two ends meet: the examiner counts the voxels that the calibration counted
    facts, translate = load_translator(found.uri)
    evaluate(
        Examination(
            cohort=calibrated,
            folder=folder,
            model=facts,
            translate=translate,
            settings=EvaluationSettings(
                families=("uncertainty",),
                keep_volumes="none",
                split="calibration",
                allow_leakage=True,
            ),
        ),
        tmp_path / "evaluation",
    )
    table = read_measurements(tmp_path / "evaluation")
    table = table[(table["region"] == "body") & (table["metric"] == "interval_coverage")]
    assert len(table) == len(kept) and (table["value"] >= 0.95).all()
    assert table["value"].min() == pytest.approx(0.95, abs=2e-3), "the hardest just holds it"
