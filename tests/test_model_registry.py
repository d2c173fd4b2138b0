"""Registration: what stands in MLflow, and that any MLflow client can use the model."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort, load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.store import experiment
from qa_suite.evaluation.registered import find_translator, load_translator
from qa_suite.io.cases import load_case
from tests.model_registry_cases import artifacts_of, the_client
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort
from translators.base import create
from translators.registry.registering import TrainedModel, input_example
from translators.registry.train import train
from translators.spec import load_spec


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own, with a registered regression of thirty iterations."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_cohort(folder / "cohort")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _own_store(store: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlruns' / 'mlflow.db'}")
        yield


@pytest.fixture(scope="module")
def cohort(store: Path) -> Cohort:
    return load_cohort(store / "cohort")


@pytest.fixture(scope="module")
def model(store: Path, cohort: Cohort, _own_store: object) -> TrainedModel:
    return train(
        tiny_spec(),
        cohort,
        store / "cohort",
        workdir=store / "work",
        register_as="tiny",
        device="cpu",
    )


def test_the_version_carries_its_tags(model: TrainedModel, cohort: Cohort) -> None:
    tags = the_client().get_model_version("tiny", "1").tags  # type: ignore[attr-defined]
    assert model.uri == "models:/tiny/1"
    assert tags["direction"] == "MR->CT" and tags["anatomy"] == "pelvis"
    assert tags["family"] == "regression" and tags["training_sites"] == "A,B"
    assert tags["data_digest"] == cohort.data_digest("train", "validation")
    assert tags["weights_sha256"] == model.weights_sha256
    assert tags["training_patients"] == "3"


def test_the_artifacts_are_tensors_and_text(model: TrainedModel, cohort: Cohort) -> None:
    folder = artifacts_of(model) / "artifacts" / "translator"
    assert sorted(p.name for p in folder.iterdir()) == [
        "model_card.md",
        "spec.json",
        "training.json",
        "weights.safetensors",
    ]
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    facts = json.loads((folder / "training.json").read_text())
    assert digest == facts["weights_sha256"] == model.weights_sha256
    assert facts["patients"] == ["patient1", "patient2", "patient3"], "the test patient is not in"
    seen = cohort.in_split("train", "validation")
    assert facts["voxel_hashes"] == sorted(h for c in seen for h in c.voxel_hashes.values())
    assert facts["fingerprints"] == sorted(h for c in seen for h in c.fingerprints.values())
    assert facts["spec"] == tiny_spec().model_dump(mode="json")
    assert facts["cohort_name"] == cohort.name and facts["sites"] == ["A", "B"]
    assert not list(artifacts_of(model).rglob("*.pkl"))


def test_the_run_holds_parameters_curves_data_and_pictures(model: TrainedModel) -> None:
    client = the_client()
    run = client.get_run(model.run_id)  # type: ignore[attr-defined]
    assert run.info.status == "FINISHED"
    assert run.data.params["training.learning_rate"] == "0.002"
    assert run.data.params["network.dimensions"] == "2D"
    assert len(client.get_metric_history(model.run_id, "train_loss")) == 30  # type: ignore[attr-defined]
    assert len(client.get_metric_history(model.run_id, "validation_mae")) == 3  # type: ignore[attr-defined]
    for figure in ("training_seconds", "peak_memory_mb", "best_validation_mae"):
        assert run.data.metrics[figure] > 0
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["data_digest"][:36]
    assert len(run.data.tags["git_commit"]) == 40 or run.data.tags["git_commit"] == "unknown"
    assert [a.path for a in client.list_artifacts(model.run_id, "samples")] == [  # type: ignore[attr-defined]
        "samples/case3.png"
    ]
    assert len(run.outputs.model_outputs) == 1, "one logged model a run"


def test_it_loads_with_pickle_disabled_and_answers_as_trained(
    model: TrainedModel, cohort: Cohort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from translators.base import load

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    loaded = mlflow.pyfunc.load_model(model.uri)
    case = load_case(cohort, cohort.in_split("test")[0], store / "cohort")
    grid = case.source.grid
    request = {
        "source": case.source.array,
        "spacing_mm": np.array(grid.spacing_mm),
        "direction": np.array(grid.direction),
    }
    direct = load(artifacts_of(model) / "artifacts" / "translator").predict(case.source)
    np.testing.assert_array_equal(loaded.predict(request)["mean"], direct.mean.array)
    names = [(t.name, t.type.name, t.shape) for t in loaded.metadata.signature.inputs]
    assert names == [
        ("source", "float32", (-1, -1, -1)),
        ("spacing_mm", "float64", (3,)),
        ("direction", "float64", (9,)),
    ]
    with pytest.raises(mlflow.exceptions.MlflowException):
        loaded.predict({"source": case.source.array})


def test_no_file_of_a_registered_artifact_may_be_another_one(model: TrainedModel) -> None:
    """Wheels, code, MLflow's own file and all that the suite reads; see also test_model_files."""
    from qa_suite.core.model_files import DIGEST_TAG, NotAsRegistered, open_model
    from tests.model_registry_cases import spoilt

    whole, tried = open_model(model.uri), set()
    assert whole.version.tags[DIGEST_TAG] == whole.digest and not whole.unproven
    for name in spoilt(whole.folder):
        tried.add(name.rpartition("/")[2])
        with pytest.raises(NotAsRegistered, match=f"{name} has the SHA-256"):
            open_model(model.uri)
    inside = {"weights.safetensors", "spec.json", "training.json", "model_card.md"}
    assert inside | {"MLmodel", "pyfunc_model.py", "requirements.txt"} <= tried
    required = (whole.folder / "requirements.txt").read_text().splitlines()
    wheels = [path.name for path in (whole.folder / "wheels").iterdir()]
    assert [line for line in required if "qa" in line] == [f"./wheels/{name}" for name in wheels]


def test_changed_weights_are_refused(model: TrainedModel, tmp_path: Path) -> None:
    import shutil

    import mlflow

    from qa_suite.core.errors import QAError

    copy = tmp_path / "model"
    shutil.copytree(artifacts_of(model), copy)
    weights = copy / "artifacts" / "translator" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(QAError, match="not those that were registered"):
        mlflow.pyfunc.load_model(str(copy))


def test_mlflow_models_predict_works_on_it(model: TrainedModel, tmp_path: Path) -> None:
    request, answer = tmp_path / "in.json", tmp_path / "out.json"
    example = input_example(create(tiny_spec()))
    place = {"origin_mm": [1.0, -2.5, 3.0], "frame_of_reference": "1.2.3"}
    inputs = {k: v.tolist() for k, v in example.items()}
    request.write_text(json.dumps({"inputs": inputs, "params": place}))
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "predict",
        "-m",
        model.uri,
        "--env-manager",
        "local",
        "-i",
        str(request),
        "-t",
        "json",
        "-o",
        str(answer),
    ]
    environment = os.environ | {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "OMP_NUM_THREADS": "1",
        # the model is loaded by the python that is first on the path
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(answer.read_text())["predictions"]
    assert {name: told[name] for name in place} == place
    found = np.array(told["mean"])
    assert found.shape == example["source"].shape
    assert found.min() >= -1024 and found.max() <= 3000


def test_a_second_training_makes_a_second_version(
    model: TrainedModel, store: Path, cohort: Cohort
) -> None:
    again = train(
        load_spec("intensity"), cohort, store / "cohort", workdir=store / "w2", register_as="tiny"
    )
    assert again.uri == "models:/tiny/2" and again.run_id != model.run_id


def test_a_killed_training_goes_on_in_its_run(store: Path, cohort: Cohort) -> None:
    spec = tiny_spec(name="cut", training__checkpoint_minutes=0)

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, cohort, store / "cohort", workdir=store / "w3", iterations=6, progress=kill)
    client = the_client()
    (killed,) = client.search_runs([experiment("training")], "attributes.run_name = 'cut'")  # type: ignore[attr-defined]
    assert killed.info.status == "KILLED"
    run_id = killed.info.run_id
    model = train(spec, cohort, store / "cohort", workdir=store / "w3", iterations=6, resume=True)
    assert model.run_id == run_id
    run = the_client().get_run(run_id)  # type: ignore[attr-defined]
    assert run.info.status == "FINISHED"
    steps = [m.step for m in the_client().get_metric_history(run_id, "train_loss")]  # type: ignore[attr-defined]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5, 6]


def test_what_is_asked_of_a_model_is_read_and_stands_in_its_facts(model: TrainedModel) -> None:
    from qa_suite.core.errors import Problems
    from qa_suite.evaluation.registered import read_asked

    assert read_asked(["steps=4", "sampler=ddim", "seed=0"]) == {
        "steps": 4,
        "sampler": "ddim",
        "seed": 0,
    }
    with pytest.raises(Problems) as caught:
        read_asked(["step=4", "members=two", "seed=1", "seed=2"])
    for word in ("'step=4' is none of steps=", "members must be a whole number", "asked twice"):
        assert word in str(caught.value)
    facts, _ = load_translator(model.uri, {"seed": 3})
    assert facts.asked == {"seed": 3} and facts.parent is None


def test_a_translator_travels_as_its_address_and_must_be_there_what_it_is_here(
    model: TrainedModel, cohort: Cohort, store: Path
) -> None:
    found = find_translator(model.uri, {"seed": 3})
    found.load()
    sent = pickle.dumps(found)
    assert b"torch" not in sent and len(sent) < 10_000
    arrived = pickle.loads(sent)
    assert arrived.facts == found.facts and arrived.facts.asked == {"seed": 3}
    case = load_case(cohort, cohort.cases[0], store / "cohort")
    np.testing.assert_array_equal(arrived(case).mean.array, found(case).mean.array)
    found.facts = found.facts.model_copy(update={"training_patients": ()})
    with pytest.raises(InputError, match=r"models:/tiny/\d+ is on .* is not what it was"):
        pickle.loads(pickle.dumps(found))


def test_the_card_tells_data_limits_and_cost(model: TrainedModel, cohort: Cohort) -> None:
    card = (artifacts_of(model) / "artifacts" / "translator" / "model_card.md").read_text()
    for word in (
        "## Intended use",
        "Not for patients unless",
        "| train | 2 | 2 | A, B |",
        "| calibration | 0 | 0 | none |",
        "No calibration patients: no interval is promised",
        "Has learnt the contrast of A, B",
        model.weights_sha256,
        "30 iterations in",
        "Translating",
    ):
        assert word in card, word
    version = the_client().get_model_version("tiny", "1")  # type: ignore[attr-defined]
    assert version.description == card
    assert not any(case.patient in card for case in cohort.cases), "no patient's hash is needed"


def test_a_child_knows_its_parent_and_whom_both_have_seen(
    model: TrainedModel, store: Path, cohort: Cohort
) -> None:
    from qa_suite.core.errors import InputError
    from translators.registry.parent import load_parent

    parent = load_parent(model.uri)
    spec = parent.fine_tuning_spec()
    assert spec.training is not None and spec.training.learning_rate == pytest.approx(2e-4)
    cases = tuple(
        case.model_copy(update={"patient": f"new-{case.patient}", "site": "C"})
        for case in cohort.cases
    )
    new_site = cohort.model_copy(update={"cases": cases, "name": "new site"})
    child = train(
        spec,
        new_site,
        store / "cohort",
        workdir=store / "child",
        register_as="tiny",
        parent=parent,
        iterations=1,
        device="cpu",
    )
    assert child.name == "tiny" and int(child.version) > int(model.version)
    facts = json.loads(
        (artifacts_of(child) / "artifacts" / "translator" / "training.json").read_text()
    )
    assert facts["parent"] == {"uri": model.uri, "weights_sha256": model.weights_sha256}
    assert set(facts["patients"]) == {f"{new}patient{n}" for new in ("", "new-") for n in (1, 2, 3)}
    assert facts["sites"] == ["A", "B", "C"]
    tags = the_client().get_model_version("tiny", child.version).tags  # type: ignore[attr-defined]
    assert tags["parent"] == model.uri
    assert child.weights_sha256 != model.weights_sha256
    with pytest.raises(InputError, match=r"names no model|cannot be read"):
        load_parent("models:/nobody/1")


def test_a_child_begins_with_its_parents_weights(
    model: TrainedModel, store: Path, cohort: Cohort, tmp_path: Path
) -> None:
    from translators.registry.parent import load_parent

    parent = load_parent(model.uri)
    translator = create(parent.fine_tuning_spec(learning_rate=1e-12))
    translator.set_weights(parent.translator.weights())
    translator.fit(cohort, store / "cohort", workdir=tmp_path, iterations=1, device="cpu")
    before, after = parent.translator.weights(), translator.weights()
    for name in before:
        if "running" not in name and "num_batches" not in name:
            np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)
