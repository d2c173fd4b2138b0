"""What a trained model registers of its training images, and what an examiner reads of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_suite.core.cohort import Cohort, load_cohort
from qa_suite.evaluation.registered import load_translator
from qa_suite.imaging.appearance import describe_source
from qa_suite.io.cases import load_case
from tests.model_registry_cases import artifacts_of
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort
from translators.registry.parent import Parent, inherited
from translators.registry.registering import TrainedModel
from translators.registry.sources import FEATURES, training_sources
from translators.registry.train import train


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    make_tiny_cohort(folder / "cohort")
    return folder


@pytest.fixture(scope="module")
def cohort(store: Path) -> Cohort:
    return load_cohort(store / "cohort")


@pytest.fixture(scope="module")
def model(store: Path, cohort: Cohort) -> TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlruns' / 'mlflow.db'}")
        yield train(
            tiny_spec(),
            cohort,
            store / "cohort",
            workdir=store / "work",
            register_as="tiny",
            device="cpu",
            iterations=2,
        )


def test_patients_are_counted_by_site_and_none_is_named(
    store: Path, cohort: Cohort, model: TrainedModel
) -> None:
    facts, _ = load_translator(model.uri)
    found = facts.training_sources
    seen = cohort.in_split("train", "validation")
    assert found is not None and found.features == FEATURES and found.left_out == 0
    assert found.patients == {s: len({c.patient for c in seen if c.site == s}) for s in "AB"}
    text = json.dumps(found.model_dump(mode="json"))
    assert not [c.patient for c in cohort.cases if c.patient in text or c.case in text]
    for rows in found.rows.values():
        assert list(rows) == sorted(rows)
    path = artifacts_of(model) / "artifacts" / "translator" / "training.json"
    assert json.loads(path.read_text())["sources"] == found.model_dump(mode="json")


def test_the_numbers_are_those_of_the_images(store: Path, cohort: Cohort) -> None:
    case = cohort.in_split("train")[0]
    found = training_sources(cohort, store / "cohort", [case])
    (row,) = found.rows[case.site]
    loaded = load_case(cohort, case, store / "cohort")
    assert loaded.mask is not None
    told = describe_source(loaded.source, loaded.mask)
    for key, value in zip(found.features, row, strict=True):
        name = key.partition("@")[0]
        if name in told and isinstance(told[name], float):
            assert value == pytest.approx(told[name], rel=1e-5)
    back = training_sources(cohort, store / "cohort", [case], inverse=True)
    assert back.rows != found.rows and not back.protocols


def test_a_child_keeps_the_sites_that_only_its_parent_saw() -> None:
    def facts(site: str, level: float) -> dict[str, object]:
        sources = {"features": ["f"], "rows": {site: [[level]]}, "protocols": {}, "left_out": 0}
        lists = ("sites", "patients", "voxel_hashes", "fingerprints", "loss_networks")
        return {**{key: [] for key in lists}, "weights_sha256": "0", "sources": sources}

    def parent(training: dict[str, object]) -> Parent:
        return Parent(uri="models:/p/1", name="p", translator=None, training=training)  # type: ignore[arg-type]

    both = inherited(facts("B", 2.0), parent(facts("A", 1.0)))["sources"]
    assert both["rows"] == {"A": [[1.0]], "B": [[2.0]]}
    same = inherited(facts("A", 2.0), parent(facts("A", 1.0)))["sources"]
    assert same["rows"] == {"A": [[2.0]]}
    old = facts("A", 1.0)
    del old["sources"]
    assert inherited(facts("B", 2.0), parent(old))["sources"]["rows"] == {"B": [[2.0]]}
