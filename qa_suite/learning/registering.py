"""Registering a model in MLflow: code to read, tensors and text, never a pickle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.model_files import MLFLOWS_FILE, WHEELS, digest_tags, digests_in
from qa_suite.core.outbox.runs import ModelPlace, TrackedRun
from qa_suite.core.store import prepare
from qa_suite.core.suite import suite_code
from qa_suite.learning.wheels import OWN_PACKAGE, wheel_of

_ANY_VOLUME = (-1, -1, -1)
_PACKAGES = ("mlflow", "monai", "numpy", "pydantic", "safetensors", "scipy", "torch")


def register_model(
    run: TrackedRun,
    name: str,
    digest: str,
    *,
    code: Path,
    artifacts: Mapping[str, Path],
    signature: Any,
    example: Any,
    packages: Sequence[str] = (),
    plugins: Sequence[str] = (),
    facts: Mapping[str, str],
    tags: Mapping[str, str],
    instrument: bool = False,
    description: str | None = None,
) -> ModelPlace:
    """Save a model beside a run's outbox and register it, now or when the store answers.

    Parameters
    ----------
    run
        That made it.
    name
        Of the registered model; a new version is made if it exists.
    digest
        Of its weights.
    code
        The file that MLflow runs when it loads the model.
    artifacts
        Folders of tensors and text by the names under which the code looks for them.
    signature, example
        Of a request; the example may be None.
    packages
        More that the code needs; see :func:`requirements`.
    plugins
        Packages beside this one whose code it needs; they travel with it as this one does.
    facts
        Written into ``MLmodel``.
    tags, description
        Of the version.
    instrument
        Whether it is one of the examiner's own networks.

    Returns
    -------
    ModelPlace
        Where it is registered; empty while it waits.
    """
    prepare()
    import mlflow

    saved = run.model_folder(name, digest)
    if not saved.is_dir():
        beginning = saved.with_name(saved.name + ".part")
        shutil.rmtree(beginning, ignore_errors=True)  # of an attempt that was killed
        wheels = [wheel_of(name) for name in (OWN_PACKAGE, *plugins)]
        mlflow.pyfunc.save_model(
            str(beginning),
            python_model=str(code),
            artifacts={key: str(folder) for key, folder in artifacts.items()},
            signature=signature,
            input_example=example,
            pip_requirements=[*(f"./{WHEELS}/{one.name}" for one in wheels), *pinned(*packages)],
            metadata=dict(facts),
        )
        for cache in sorted(beginning.rglob("__pycache__")):
            shutil.rmtree(cache)
        (beginning / WHEELS).mkdir()
        for one in wheels:
            (beginning / WHEELS / one.name).write_bytes(one.content)
        beginning.replace(saved)
    # what may change before it is sent would not be what was registered
    kept = {name: value for name, value in digests_in(saved).items() if name != MLFLOWS_FILE}
    return run.model(
        name,
        digest,
        tags={**tags, **digest_tags(kept)},
        description=description,
        instrument=instrument,
    )


def pinned(*more: str) -> list[str]:
    """Return the packages of others that a registered model needs, as they are installed here.

    The suite's own, and those of plug-ins, travel with the model instead: their names could be
    anybody's in an index of packages.
    """
    names = sorted({*_PACKAGES, *more})
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def image_signature(
    inputs: Mapping[str, str], output: Any, params: Sequence[tuple[str, str, Any]] = ()
) -> Any:
    """Return the signature of a model of one image: tensors in, one tensor out.

    Origin and frame are parameters, since MLflow has no tensor that may be left out.

    Parameters
    ----------
    inputs
        Volumes by name, with their dtypes; spacing and direction are added.
    output
        A ``TensorSpec``.
    params
        More parameters: name, type, default.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    volumes = [TensorSpec(np.dtype(kind), _ANY_VOLUME, name) for name, kind in inputs.items()]
    return ModelSignature(
        inputs=Schema(
            [
                *volumes,
                TensorSpec(np.dtype("float64"), (3,), "spacing_mm"),
                TensorSpec(np.dtype("float64"), (9,), "direction"),
            ]
        ),
        outputs=Schema([output]),
        params=ParamSchema(
            [
                *(ParamSpec(name, kind, default) for name, kind, default in params),
                ParamSpec("origin_mm", "double", [], (-1,)),
                ParamSpec("frame_of_reference", "string", ""),
            ]
        ),
    )


def code_tags() -> dict[str, str]:
    """Return the tags that say by which code a model was made."""
    code = suite_code()
    return {
        "git_commit": code.commit or "unknown",
        "git_dirty": str(code.dirty),
        "suite_version": code.version,
    }
