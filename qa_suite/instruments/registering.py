"""Instruments in MLflow, registered as translators are: code to read, tensors, who was seen."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.model_files import open_model
from qa_suite.core.one_writer import writing
from qa_suite.core.outbox.runs import TrackedRun, forget_run, tracked_run
from qa_suite.core.store import (
    KIND_TAG,
    KINDS,
    STORE_FOLDER,
    connect,
    metric_name,
    reached,
    require_registrable,
)
from qa_suite.instruments.files import Instrument, read_instrument, save_instrument
from qa_suite.instruments.material import SEEN_SPLITS
from qa_suite.instruments.segmenter import SPEC_FILE, TrainedSegmenter
from qa_suite.learning.registering import image_signature, register_model
from qa_suite.learning.summary import Progress

EXPERIMENT = "instruments"
ARTIFACT = "instrument"

Train = Callable[[Progress], Instrument]


def train_and_register(
    train: Train,
    *,
    name: str,
    cohort: Cohort,
    tags: Mapping[str, str] | None = None,
    workdir: Path | None = None,
    resume: bool = False,
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
    workdir
        Where the trained instrument is kept until it is registered; by default by its name.
    resume
        Register the one that is kept there, if it is there, without training again.

    Returns
    -------
    Instrument
        As it is registered: its facts carry ``uri`` and ``version``; while the MLflow store does
        not answer it waits in the folder's outbox, and they are empty.

    Raises
    ------
    QAError
        If MLflow would refuse the name, before anything is trained, or it is that of a
        registered translator.
    """
    require_registrable(name, instrument=True)
    folder = workdir or work_folder(name)
    with writing(folder, "instrument"):
        return _train_and_register(train, name, cohort, tags, folder, resume)


def _train_and_register(
    train: Train,
    name: str,
    cohort: Cohort,
    tags: Mapping[str, str] | None,
    folder: Path,
    resume: bool,
) -> Instrument:
    kept = folder / ARTIFACT
    curves: list[tuple[str, float, int]] = []

    def note(done: int, total: int, figures: dict[str, float]) -> None:
        curves.extend((key, value, done) for key, value in figures.items())

    again = read_instrument(kept) if resume and (kept / SPEC_FILE).is_file() else None
    if again is not None:
        _require_same_cohort(again, cohort, kept)
    told = {KIND_TAG: "instrument", **(tags or {})}
    with tracked_run(EXPERIMENT, name, folder, resume=resume) as telemetry:
        telemetry.tags(told)
        instrument = train(note) if again is None else again
        save_instrument(instrument, kept)
        now = int(time.time() * 1000)
        telemetry.metrics([(key, value, now, step) for key, value, step in curves])
        telemetry.params(_parameters(instrument, cohort))
        floor = instrument.facts.noise_floor.items()
        telemetry.metrics(
            [(metric_name(f"noise_floor.{name}"), dice, now, 0) for name, dice in floor]
        )
        registered = _register(instrument, name, dict(tags or {}), telemetry)
    if registered.facts.uri:
        shutil.rmtree(kept)
    forget_run(folder)
    return registered


def work_folder(name: str) -> Path:
    """Return where an instrument of a name is kept by default until it is registered."""
    return Path(STORE_FOLDER) / "work" / name


def _require_same_cohort(kept: Instrument, cohort: Cohort, folder: Path) -> None:
    if kept.facts.settings.get("data_digest") != cohort.data_digest(*SEEN_SPLITS):
        raise InputError(
            f"The instrument in {folder} was trained on another cohort than {cohort.name}; leave "
            f"--resume away to train one."
        )


def _register(
    instrument: Instrument, name: str, tags: dict[str, str], run: TrackedRun
) -> Instrument:
    facts = instrument.facts
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
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / ARTIFACT
        save_instrument(instrument, folder)
        found = register_model(
            run,
            name,
            facts.weights_sha256,
            code=Path(__file__).with_name("pyfunc_model.py"),
            artifacts={ARTIFACT: folder},
            signature=_signature(instrument),
            example=_example(),
            facts={"weights_sha256": facts.weights_sha256, "kind": facts.kind},
            tags=described,
            instrument=True,
        )
    digest = open_model(found.uri, kind="instruments").digest if found.uri else None
    return instrument.with_facts(uri=found.uri, name=name, version=found.version, digest=digest)


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
    from mlflow.types import TensorSpec

    if isinstance(instrument, TrainedSegmenter):
        output = TensorSpec(np.dtype("uint8"), (-1, -1, -1, -1), "masks")
    else:
        output = TensorSpec(np.dtype("float32"), (-1, instrument.dimensions), "features")
    return image_signature({"volume": "float32", "domain": "uint8"}, output)


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
        If nothing of that name is registered, it is no instrument, or a file of it is not as it
        was registered.
    """
    if not uri.startswith(("models:/", "runs:/")):
        raise InputError(
            f"{uri!r} names no instrument; use models:/NAME/VERSION or models:/NAME@ALIAS."
        )
    files = open_model(uri, kind="instruments")
    described = files.file("artifacts", ARTIFACT, SPEC_FILE)
    if described is None:
        raise InputError(
            f"{uri} is no instrument; 'qa-suite list instruments' shows what is registered, and "
            f"'qa-suite instrument' trains one."
        )
    known = {"uri": files.uri, "digest": files.digest, "unproven": files.unproven or None}
    if files.version is not None:
        known |= {"name": files.version.name, "version": str(files.version.version)}
    return read_instrument(described.parent).with_facts(**known)


def registered_instruments() -> list[dict[str, Any]]:
    """List every registered instrument version with its tags, newest first."""
    with reached():
        versions = connect().MlflowClient().search_model_versions()
    return [
        {
            "uri": f"models:/{version.name}/{version.version}",
            "kind": version.tags[KIND_TAG],
            "aliases": list(getattr(version, "aliases", []) or []),
            **{key: value for key, value in version.tags.items() if key != KIND_TAG},
        }
        for version in versions
        if version.tags.get(KIND_TAG) in KINDS
    ]
