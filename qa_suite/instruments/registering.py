"""Instruments in MLflow, registered as translators are: code to read, tensors, who was seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.cohort import Cohort
from qa_suite.errors import InputError
from qa_suite.instruments.files import Instrument, read_instrument, save_instrument
from qa_suite.instruments.fit_segmenter import Progress
from qa_suite.instruments.segmenter import SPEC_FILE, TrainedSegmenter
from qa_suite.store import connect, experiment, metric_name, model_version, tracking_uri

EXPERIMENT = "instruments"
ARTIFACT = "instrument"
KIND_TAG = "qa.kind"
KINDS = ("segmenter", "extractor")

_PACKAGES = ("mlflow", "monai", "numpy", "pydantic", "safetensors", "scipy", "torch")
_BATCH = 500  # metrics in one call to MLflow; one by one is a hundred times slower

Train = Callable[[Progress], Instrument]


def train_and_register(
    train: Train, *, name: str, cohort: Cohort, tags: Mapping[str, str] | None = None
) -> Instrument:
    """Train an instrument as a tracked run and register it.

    Parameters
    ----------
    train
        Makes the instrument; is given a callback (iteration, iterations, figures).
    name
        Of the registered model; a new version is made if it exists.
    cohort
        What it learns from.
    tags
        More tags, such as the git commit.

    Returns
    -------
    Instrument
        As it is registered: its facts carry ``uri`` and ``version``.

    Raises
    ------
    InputError
        If the name is that of a registered translator.
    """
    mlflow = connect()
    _require_free(mlflow, name)
    curves: list[tuple[str, float, int]] = []

    def note(done: int, total: int, figures: dict[str, float]) -> None:
        curves.extend((key, value, done) for key, value in figures.items())

    with mlflow.start_run(experiment_id=experiment(EXPERIMENT), run_name=name) as run:
        mlflow.set_tags({KIND_TAG: "instrument", **(tags or {})})
        instrument = train(note)
        _log_curves(mlflow, run.info.run_id, curves)
        mlflow.log_params(_parameters(instrument, cohort))
        for structure, dice in instrument.facts.noise_floor.items():
            mlflow.log_metric(metric_name(f"noise_floor.{structure}"), dice)
        registered = _register(mlflow, instrument, name, dict(tags or {}))
        mlflow.set_tag("model_uri", registered.facts.uri)
    return registered


def _register(mlflow: Any, instrument: Instrument, name: str, tags: dict[str, str]) -> Instrument:
    facts = instrument.facts
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / ARTIFACT
        save_instrument(instrument, folder)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={ARTIFACT: str(folder)},
            signature=_signature(instrument),
            input_example=_example(),
            pip_requirements=[
                f"{package}=={metadata.version(package).partition('+')[0]}"
                for package in ("qa-suite", *_PACKAGES)
            ],
            registered_model_name=name,
            metadata={"weights_sha256": facts.weights_sha256, "kind": facts.kind},
        )
    version = str(info.registered_model_version)
    described = {
        KIND_TAG: facts.kind,
        "weights_sha256": facts.weights_sha256,
        "training_cohort": str(facts.settings.get("cohort", "")),
        "training_sites": ",".join(facts.settings.get("training_sites", ())),
        "training_patients": str(len(facts.training_patients)),
        "data_digest": str(facts.settings.get("data_digest", "")),
        **tags,
    }
    if isinstance(instrument, TrainedSegmenter):
        described["structures"] = ",".join(instrument.structures)
    client = mlflow.MlflowClient()
    for key, value in described.items():
        client.set_model_version_tag(name, version, key, value)
    return instrument.with_facts(uri=f"models:/{name}/{version}", name=name, version=version)


def _require_free(mlflow: Any, name: str) -> None:
    """Refuse the name of a registered model that is no instrument."""
    for version in mlflow.MlflowClient().search_model_versions(f"name = '{name}'"):
        if version.tags.get(KIND_TAG) not in KINDS:
            raise InputError(
                f"{name} is the name of a registered translator; give the instrument another one "
                f"with --name."
            )


def _log_curves(mlflow: Any, run_id: str, curves: list[tuple[str, float, int]]) -> None:
    from mlflow.entities import Metric

    client = mlflow.MlflowClient()
    rows = [Metric(key=k, value=v, timestamp=0, step=step) for k, v, step in curves]
    for start in range(0, len(rows), _BATCH):
        client.log_batch(run_id, metrics=rows[start : start + _BATCH])


def _parameters(instrument: Instrument, cohort: Cohort) -> dict[str, Any]:
    settings = instrument.settings.model_dump(mode="json")
    return {
        "kind": instrument.facts.kind,
        "seed": instrument.facts.settings.get("seed"),
        "cohort": cohort.name,
        "cohort_digest": cohort.digest,
        **{key: str(value)[:500] for key, value in settings.items()},
    }


def _signature(instrument: Instrument) -> Any:
    """Return the tensor signature: a CT with its domain and geometry in, masks or features out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    any_volume = (-1, -1, -1)
    if isinstance(instrument, TrainedSegmenter):
        output = TensorSpec(np.dtype("uint8"), (-1, *any_volume), "masks")
    else:
        output = TensorSpec(np.dtype("float32"), (-1, instrument.dimensions), "features")
    return ModelSignature(
        inputs=Schema(
            [
                TensorSpec(np.dtype("float32"), any_volume, "volume"),
                TensorSpec(np.dtype("uint8"), any_volume, "domain"),
                TensorSpec(np.dtype("float64"), (3,), "spacing_mm"),
                TensorSpec(np.dtype("float64"), (9,), "direction"),
            ]
        ),
        outputs=Schema([output]),
        params=ParamSchema(
            [
                ParamSpec("origin_mm", "double", [], (-1,)),
                ParamSpec("frame_of_reference", "string", ""),
            ]
        ),
    )


def _example() -> dict[str, np.ndarray]:
    """Return a small request: an ellipsoid of soft tissue in air, on an axial grid."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in (16, 16, 8)], indexing="ij")
    inside = np.sqrt(sum(axis**2 for axis in axes)) < 0.8
    return {
        "volume": np.where(inside, 40.0, -1000.0).astype(np.float32),
        "domain": inside.astype(np.uint8),
        "spacing_mm": np.array((6.0, 6.0, 6.0)),
        "direction": np.eye(3).ravel(),
    }


def load_instrument(uri: str) -> Instrument:
    """Load a registered instrument of either kind.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises
    ------
    InputError
        If nothing of that name is registered, it is no instrument, or its weights are not
        those that were registered.
    """
    mlflow = connect()
    from mlflow.exceptions import MlflowException

    if not uri.startswith(("models:/", "runs:/")):
        raise InputError(
            f"{uri!r} names no instrument; use models:/NAME/VERSION or models:/NAME@ALIAS."
        )
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        version = model_version(uri)
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The instrument {uri} cannot be loaded from {tracking_uri()} ({reason}); "
            f"'qa-suite list instruments' shows what is registered."
        ) from None
    found = sorted(folder.rglob(SPEC_FILE))
    if not found:
        raise InputError(
            f"{uri} is no instrument; 'qa-suite list instruments' shows what is registered, and "
            f"'qa-suite instrument' trains one."
        )
    instrument = read_instrument(found[0].parent)
    if version is None:
        return instrument.with_facts(uri=uri)
    return instrument.with_facts(
        uri=f"models:/{version.name}/{version.version}",
        name=version.name,
        version=str(version.version),
    )


def registered_instruments() -> list[dict[str, Any]]:
    """List every registered instrument version with its tags, newest first."""
    mlflow = connect()
    return [
        {
            "uri": f"models:/{version.name}/{version.version}",
            "kind": version.tags[KIND_TAG],
            "aliases": list(getattr(version, "aliases", []) or []),
            **{key: value for key, value in version.tags.items() if key != KIND_TAG},
        }
        for version in mlflow.MlflowClient().search_model_versions()
        if version.tags.get(KIND_TAG) in KINDS
    ]
