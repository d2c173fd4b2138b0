"""A registered model is its files: none of any family may be another one when it is loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.model_files import (
    FILES_TAG,
    NotAsRegistered,
    digest_over,
    digest_tags,
    digests_in,
    open_model,
)
from qa_suite.core.plain_files import sha256_of
from qa_suite.evaluation.registered import find_translator, registered_facts
from tests.model_registry_cases import put, put_with_digests, spoilt, the_client, untrained
from translators.registry.parent import load_parent
from translators.spec import FAMILIES, config_names, load_spec, parse_spec
from translators.spec.families import require_families

SPECS = {load_spec(name).family: load_spec(name) for name in config_names()}
SPECS["external"] = parse_spec(
    {
        "family": "external",
        "name": "vendor",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "external": {"kind": "folder", "path": "/finished"},
    },
    subject="vendor",
)


DOORS = (find_translator, registered_facts, load_parent)
"""All ways to a translator's files: of what translates, releases, and goes on training."""


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: MLflow takes a second to make one."""
    place = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlruns' / 'mlflow.db'}")
        yield place


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return untrained(tmp_path / "model", SPECS["intensity"])


def test_every_family_is_tried() -> None:
    require_families()
    assert set(SPECS) == {entry.name for entry in FAMILIES}


@pytest.mark.parametrize("family", sorted(SPECS))
def test_no_file_of_any_family_may_be_another_one(family: str, tmp_path: Path) -> None:
    folder = untrained(tmp_path / "model", SPECS[family])
    uri = put_with_digests(folder, f"of-{family}")
    whole = find_translator(uri).facts
    assert whole.family == family and whole.unproven is None and whole.trusted is None
    assert whole.digest == digest_over(digests_in(folder))
    registered = digests_in(folder)
    tried = 0
    for name in spoilt(folder):
        tried += 1
        door = DOORS[tried % len(DOORS)]
        with pytest.raises(NotAsRegistered) as refused:
            door(uri)
            said = str(refused.value)
            assert f"{name} has the SHA-256 {sha256_of(folder / name)}" in said
            assert f"registered was {registered[name]}" in said and said.count(". ") == 0
    assert tried == len(registered) == 9
    assert find_translator(uri).facts == whole


def test_an_emptied_list_of_training_patients_is_refused(model: Path) -> None:
    uri = put_with_digests(model, "emptied")
    path = model / "artifacts" / "translator" / "training.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "patients": [], "voxel_hashes": [], "fingerprints": []}))
    with pytest.raises(NotAsRegistered, match=r"training\.json has the SHA-256 .*train it again"):
        find_translator(uri)


def test_files_that_came_or_went_are_named_together(model: Path) -> None:
    uri = put_with_digests(model, "came-and-went")
    inner = model / "artifacts" / "translator"
    (inner / "calibration.json").unlink()
    (inner / "more.json").write_text("{}")
    with pytest.raises(NotAsRegistered) as refused:
        find_translator(uri)
    assert "calibration.json (registered with the SHA-256" in str(refused.value)
    assert "more.json" in str(refused.value) and "was not among them" in str(refused.value)


def test_a_link_is_no_file_of_a_model(model: Path) -> None:
    uri = put_with_digests(model, "linked")
    (model / "artifacts" / "translator" / "other").symlink_to("/etc/hostname")
    with pytest.raises(NotAsRegistered, match="is a link"):
        find_translator(uri)


def test_what_mlflow_and_python_write_beside_a_model_is_no_part_of_it(model: Path) -> None:
    uri = put_with_digests(model, "noted")
    (model / "registered_model_meta").write_text("model_name: noted\n")
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "pyfunc_model.cpython-311.pyc").write_bytes(b"0")
    assert find_translator(uri).facts.digest == digest_over(digests_in(model))


def test_digests_that_were_taken_out_of_the_registry_are_missed(model: Path) -> None:
    uri = put_with_digests(model, "taken-out")
    the_client().delete_model_version_tag("taken-out", "1", FILES_TAG)
    with pytest.raises(NotAsRegistered, match=r"holds no digests of models:/taken-out/1"):
        find_translator(uri)


@pytest.mark.parametrize("tag", ["not JSON", "[]", "{}", '{"MLmodel": 1}'])
def test_tags_that_are_none_or_contradict_each_other_are_refused(tag: str, model: Path) -> None:
    tags = digest_tags(digests_in(model)) | {FILES_TAG: tag}
    with pytest.raises(NotAsRegistered, match=FILES_TAG):
        find_translator(put(model, "contradicts", tags))


def test_a_version_from_before_digests_loads_and_says_that_nothing_is_proven(model: Path) -> None:
    shutil.rmtree(model / "wheels")
    weights = model / "artifacts" / "translator" / "weights.safetensors"
    uri = put(model, "of-then", {"weights_sha256": sha256_of(weights)})
    facts = find_translator(uri).facts
    assert facts.unproven is not None and "cannot be proven" in facts.unproven
    assert facts.announced == (facts.unproven,)
    assert load_parent_facts(uri) == facts.unproven
    weights.write_bytes(weights.read_bytes() + b"0")
    with pytest.raises(NotAsRegistered, match=r"weights\.safetensors has the SHA-256"):
        find_translator(uri)


def load_parent_facts(uri: str) -> str:
    """What training that goes on from a model would note; its network is not needed for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("translators.registry.parent.load_registered", lambda *_, **__: None)
        return load_parent(uri).unproven


def test_a_model_named_by_its_run_is_held_against_the_same_tags(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = the_client()
    client.create_registered_model("by-run")
    run = client.create_run(client.create_experiment("by-run")).info.run_id
    tags = digest_tags(digests_in(model))
    client.create_model_version("by-run", source=model.as_uri(), run_id=run, tags=tags)
    monkeypatch.setattr(
        "mlflow.artifacts.download_artifacts", lambda artifact_uri: str(model)
    )  # MLflow finds no logged model, since none was logged
    found = open_model(f"runs:/{run}/model")
    assert found.uri == "models:/by-run/1" and found.registered == digests_in(model)
    (model / "MLmodel").write_text("flavors: {other: 1}\n")
    with pytest.raises(NotAsRegistered, match="MLmodel has the SHA-256"):
        open_model(f"runs:/{run}/model")


def test_code_in_an_artifact_is_never_imported(model: Path, tmp_path: Path) -> None:
    """Neither where it is refused, nor where nobody knows its digest."""
    planted = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    uri = put_with_digests(model, "planted")
    before = (sys.path[:], set(sys.modules))
    for name in ("pyfunc_model.py", "code/translators/__init__.py", "sitecustomize.py"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(planted)
    with pytest.raises(NotAsRegistered, match="sitecustomize"):
        find_translator(uri)
    shutil.rmtree(model / "wheels")
    then = find_translator(put(model, "planted-then"))
    with pytest.raises(InputError):  # its one tensor is not that of the family
        then.load()
    assert not (tmp_path / "ran").exists()
    assert sys.path == before[0]
    assert not [m for m in set(sys.modules) - before[1] if str(model) in str(sys.modules[m])]


def test_files_are_compared_again_before_they_are_loaded(model: Path) -> None:
    found = find_translator(put_with_digests(model, "later"))
    (model / "artifacts" / "translator" / "spec.json").write_text("{}")
    with pytest.raises(NotAsRegistered, match=r"spec\.json"):
        found.load()


def test_the_digest_of_a_model_is_that_of_its_sorted_digests() -> None:
    files = {"b": "2" * 64, "a": "1" * 64}
    assert digest_over(files) == digest_over(dict(reversed(files.items())))
    # echo -n '{"a": "111…", "b": "222…"}' | sha256sum
    text = f'{{"a": "{"1" * 64}", "b": "{"2" * 64}"}}'
    assert digest_over(files) == hashlib.sha256(text.encode()).hexdigest()


def test_verify_says_where_registry_and_record_part(model: Path) -> None:
    from qa_suite.release.model_doubts import model_doubts

    uri = put_with_digests(model, "verified")
    facts = find_translator(uri).facts
    record: Any = SimpleNamespace(model=facts, instruments=())
    assert not list(model_doubts(record))
    for name in spoilt(model):
        (doubt,) = model_doubts(record)
        assert doubt.certain and name in doubt.problem
    path = model / "artifacts" / "translator" / "training.json"
    path.write_text(path.read_text() + "\n")
    tags = digest_tags(digests_in(model))
    for key, value in tags.items():  # whoever changes both is found by the record
        the_client().set_model_version_tag("verified", "1", key, value)
    (doubt,) = model_doubts(record)
    assert doubt.certain and f"the record was made with {facts.digest}" in doubt.problem
    the_client().delete_model_version("verified", "1")
    (doubt,) = model_doubts(record)
    assert not doubt.certain and "cannot be looked at" in doubt.problem
    with pytest.raises(InputError, match="cannot be loaded"):
        open_model(uri)
