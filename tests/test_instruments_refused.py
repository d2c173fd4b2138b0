"""What is refused before an instrument is registered; the networks that a model's loss used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.instruments.fit_extractor import train_extractor
from qa_suite.instruments.registering import train_and_register
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.train_segmenter import train_segmenter
from tests.tiny_instruments import make_structured_cohort, segmenter_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    make_structured_cohort(path)
    return path


def test_a_name_of_a_translator_is_not_taken(cohort: Cohort, own_store: Path) -> None:
    from qa_suite.core.store import connect

    client = connect().MlflowClient()
    client.create_registered_model("a-translator")
    client.create_model_version("a-translator", source="nowhere")

    def never(note: object) -> TrainedSegmenter:
        raise AssertionError("it must be refused before it is trained")

    with pytest.raises(InputError, match="registered translator"):
        train_and_register(never, name="a-translator", cohort=cohort)
    client.delete_registered_model("a-translator")


def test_structures_that_it_does_not_find_are_left_out(cohort: Cohort, folder: Path) -> None:
    settings = segmenter_settings(iterations=1, least_dice=0.99)
    with pytest.raises(InputError, match="learnt no structure well enough"):
        train_segmenter(cohort, folder, settings, device="cpu")


def test_it_needs_validation_patients_and_cts(cohort: Cohort, folder: Path) -> None:
    cases = tuple(c for c in cohort.cases if c.split != "validation")
    with pytest.raises(InputError, match="'validation'"):
        train_segmenter(cohort.model_copy(update={"cases": cases}), folder)
    with pytest.raises(InputError, match="HU"):
        other = cohort.model_copy(update={"reference_quantity": "SUVbw"})
        train_extractor(other, folder)


def test_a_translator_says_which_networks_its_loss_used(cohort: Cohort) -> None:
    from translators.base import create
    from translators.registry.registering import training_facts
    from translators.spec import load_spec

    facts = training_facts(create(load_spec("intensity")), cohort, "0" * 64)
    assert facts["loss_networks"] == []


def test_names_of_metrics_suit_mlflow() -> None:
    from qa_suite.core.store import metric_name

    assert metric_name("all/mae.shell:>20mm.2%") == "all/mae.shell.over 20mm.2."
    assert metric_name("A-1/dice.seg:Bone_Pelvic.x") == "A-1/dice.seg.Bone_Pelvic.x"


def test_old_models_without_the_entry_have_no_loss_networks(tmp_path: Path) -> None:
    from qa_suite.core.model_files import ModelFiles
    from qa_suite.evaluation.registered import _facts

    files = ModelFiles(uri="runs:/x", folder=tmp_path, version=None, registered=None, kind="models")
    training = {
        "weights_sha256": "0" * 64,
        "sites": [],
        "data_digest": "d",
        "patients": [],
        "voxel_hashes": [],
        "fingerprints": [],
        "spec": {"name": "n", "family": "f", "direction": "MR->CT"},
    }
    (tmp_path / "training.json").write_text(json.dumps(training))
    assert _facts(files).loss_networks == ()
    training["loss_networks"] = ["a" * 64]
    (tmp_path / "training.json").write_text(json.dumps(training))
    assert _facts(files).loss_networks == ("a" * 64,)
