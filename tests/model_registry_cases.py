"""What tests of registered models share: the store's client, a model's files, versions by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from translators.registry.registering import TrainedModel
from translators.spec import TranslatorSpec


def the_client() -> Any:
    from qa_suite.core.store import connect

    return connect().MlflowClient()


def artifacts_of(model: TrainedModel) -> Path:
    from qa_suite.core.store import connect

    return Path(connect().artifacts.download_artifacts(artifact_uri=model.uri))


def put(folder: Path, name: str, tags: dict[str, str] | None = None) -> str:
    """Register what lies in a folder as another version of a model; return its address."""
    from mlflow.exceptions import MlflowException

    client = the_client()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        assert error.error_code == "RESOURCE_ALREADY_EXISTS"
    version = client.create_model_version(name, source=folder.as_uri(), tags=tags or {})
    return f"models:/{name}/{version.version}"


def put_with_digests(folder: Path, name: str) -> str:
    """The same, with the digests of its files in its tags, as registering writes them."""
    from qa_suite.core.model_files import digest_tags, digests_in

    return put(folder, name, digest_tags(digests_in(folder)))


def untrained(folder: Path, spec: TranslatorSpec) -> Path:
    """Write the artifact of a translator of any family, with one tensor and one patient."""
    from safetensors.numpy import save_file

    from qa_suite.core.plain_files import sha256_of

    inner = folder / "artifacts" / "translator"
    inner.mkdir(parents=True)
    save_file({"bias": np.zeros(3, np.float32)}, inner / "weights.safetensors")
    said = spec.model_dump(mode="json")
    facts = {
        "weights_sha256": sha256_of(inner / "weights.safetensors"),
        "spec": said,
        "data_digest": "d",
        "sites": ["A"],
        "patients": ["patient1"],
        "voxel_hashes": ["v"],
        "fingerprints": ["f"],
    }
    (inner / "spec.json").write_text(json.dumps(said))
    (inner / "training.json").write_text(json.dumps(facts))
    (inner / "calibration.json").write_text("{}")
    (inner / "model_card.md").write_text("# card\n")
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "pyfunc_model.py").write_text("raise SystemExit('never run')\n")
    (folder / "requirements.txt").write_text("./wheels/one.whl\n")
    (folder / "wheels").mkdir()
    (folder / "wheels" / "one.whl").write_bytes(b"PK")
    return folder


def spoilt(folder: Path) -> Iterator[str]:
    """Flip one bit of one file after the other; each is whole again before the next."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == "registered_model_meta" or "__pycache__" in name:
            continue  # what MLflow and Python write beside a model is no part of it
        before = path.read_bytes()
        middle = len(before) // 2
        path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
        try:
            yield name
        finally:
            path.write_bytes(before)
