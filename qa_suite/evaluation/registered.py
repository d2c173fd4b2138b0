"""Registered translators, for examination: loaded by their URI, asked, listed.

A registered model is met only through its pyfunc interface and the files beside it:
``training.json`` (who it was trained on) and the weights, whose hash must be the one that
was registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from qa_suite.core import store
from qa_suite.core.answers import checked
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.executors.travel import by_address
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.core.training_facts import read_training
from qa_suite.core.validation import in_words
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.instruments.registering import KIND_TAG, KINDS
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.io.dicom.series import quantity_of_modality

TRAINING_FILE = "training.json"
ASKABLE = {"steps": int, "sampler": str, "members": int, "seed": int}
"""What may be asked of a registered translator's prediction, and of which type."""


def read_asked(pairs: Sequence[str]) -> dict[str, int | str]:
    """Read what is asked of a prediction from words such as ``steps=4``.

    Raises
    ------
    Problems
        With one sentence for every word that is none.
    """
    asked: dict[str, int | str] = {}
    problems = []
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name not in ASKABLE:
            problems.append(f"{pair!r} is none of {', '.join(f'{n}=' for n in ASKABLE)}")
        elif name in asked:
            problems.append(f"{name} was asked twice")
        elif ASKABLE[name] is int and not text.isdecimal():
            problems.append(f"{name} must be a whole number, got {text!r}")
        else:
            asked[name] = int(text) if ASKABLE[name] is int else text
    raise_problems("What is asked of the model", problems)
    return asked


class Registered:
    """A registered translator, known by its address: its network is loaded where it is needed.

    It travels to other processes as that address, and there must be what it is here.

    Parameters
    ----------
    facts
        Who it is.
    folder
        Where its files are on this machine.
    asked
        Of its predictions, see :data:`ASKABLE`.
    """

    def __init__(self, facts: ModelFacts, folder: Path, asked: Mapping[str, int | str]) -> None:
        self.facts = facts
        self._folder = folder
        self._asked = dict(asked)
        self._model: Any = None

    def load(self) -> None:
        """Load the network, if it is not there yet.

        Raises
        ------
        InputError
            If it cannot be loaded.
        """
        if self._model is None:
            self._model = _loaded(self.facts.uri, self._folder)

    def __call__(self, loaded: LoadedCase) -> Prediction:
        """Translate a case; of it the model is handed the source image alone."""
        self.load()
        target = (self.facts.direction or "").partition("->")[2]
        return _predict(self._model, loaded.source, quantity_of_modality(target), self._asked)

    def __reduce__(self) -> tuple[Any, ...]:
        return by_address(
            "qa_suite.evaluation.registered:find_translator",
            (self.facts.uri, self._asked),
            self.facts,
        )


def find_translator(uri: str, asked: Mapping[str, int | str] | None = None) -> Registered:
    """Find a registered translator and read who it is; nothing of it is run yet.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``runs:/RUN/model``.
    asked
        Steps, sampler, members or seed of its predictions, see :data:`ASKABLE`; by default
        those of its specification. They stand in its facts.

    Raises
    ------
    InputError
        If the model is unknown, was not registered by this suite, or its weights are not
        those that were registered.
    """
    if not uri.startswith(("models:/", "runs:/")):
        raise InputError(
            f"{uri!r} names no model; use models:/NAME/VERSION, models:/NAME@ALIAS, "
            f"oracle:truth or oracle:twin."
        )
    mlflow = store.connect()
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise _cannot_be_loaded(uri, error) from None
    chosen = dict(asked or {})
    return Registered(_facts(uri, folder).model_copy(update={"asked": chosen}), folder, chosen)


def load_translator(
    uri: str, asked: Mapping[str, int | str] | None = None
) -> tuple[ModelFacts, Translate]:
    """Find a registered translator and load it; see :func:`find_translator`.

    Returns
    -------
    tuple
        Its facts, and the function from a loaded case to a prediction.

    Raises
    ------
    InputError
        As :func:`find_translator`, or if it cannot be loaded.
    """
    found = find_translator(uri, asked)
    found.load()
    return found.facts, found


def _loaded(uri: str, folder: Path) -> Any:
    mlflow = store.connect()
    from mlflow.exceptions import MlflowException

    try:
        return mlflow.pyfunc.load_model(str(folder))
    except (MlflowException, OSError) as error:
        raise _cannot_be_loaded(uri, error) from None


def _cannot_be_loaded(uri: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160]
    return InputError(
        f"The model {uri} cannot be loaded from {store.tracking_uri()} ({reason}); "
        f"'qa-suite list models' shows what is registered."
    )


def _predict(
    model: Any, source: Volume, quantity: Quantity, asked: Mapping[str, int | str]
) -> Prediction:
    told = _takes_place(model)
    params: dict[str, Any] = dict(asked)
    if told:
        params["origin_mm"] = [float(x) for x in source.grid.origin_mm]
        params["frame_of_reference"] = source.grid.frame_of_reference or ""
    answer = model.predict(
        {
            "source": np.ascontiguousarray(source.array, dtype=np.float32),
            "spacing_mm": np.asarray(source.grid.spacing_mm, dtype=np.float64),
            "direction": np.asarray(source.grid.direction, dtype=np.float64),
        },
        params=params or None,
    )
    return prediction_of(answer, source, quantity, placed=told)


def _takes_place(model: Any) -> bool:
    """Whether a registered model takes where the image lies; those of old versions do not."""
    schema = model.metadata.get_params_schema()
    return schema is not None and "origin_mm" in {param.name for param in schema.params}


def prediction_of(
    answer: Mapping[str, Any], source: Volume, quantity: Quantity, *, placed: bool = False
) -> Prediction:
    """Read what a registered model answered.

    Parameters
    ----------
    answer
        ``mean`` and, where the model gives them, ``std``, ``half_width`` (shape (i, j, k)),
        ``samples`` (shape (samples, i, j, k)), ``interval`` (``voxel_share``, ``level``,
        ``patients``) and ``cost`` (by a name of
        :data:`~qa_suite.core.prediction.COST_UNITS`); and where
        its arrays lie: ``spacing_mm``, ``direction``, ``origin_mm``, ``frame_of_reference``.
    source
        The image it was asked to translate.
    quantity
        Of its answer.
    placed
        Whether the model was told where the image lies, and so must say where its answer
        does. Else its arrays are those of the source's voxels, in their order.

    Raises
    ------
    InputError
        If the mean is missing, an array is not of the source's shape, a voxel is NaN or inf,
        or a fact is unknown.
    GeometryError
        If the answer lies elsewhere than the source.
    """
    where = _answered_grid(answer, source.grid, placed)

    def volume(name: str, array: Any) -> Volume:
        array = np.asarray(array, dtype=np.float32)
        if array.shape != where.shape:
            raise InputError(
                f"the model answered with {name!r} of shape {array.shape} to a source of "
                f"{source.grid.shape}"
            )
        said = Volume(array=array, grid=where, quantity=quantity)
        return checked(said, source.grid, who=f"the model ({name})")

    def optional(name: str) -> Volume | None:
        return None if answer.get(name) is None else volume(name, answer[name])

    samples = answer.get("samples")
    return Prediction(
        mean=volume("mean", answer["mean"]),
        std=optional("std"),
        samples=() if samples is None else tuple(volume("samples", one) for one in samples),
        half_width=optional("half_width"),
        interval=_interval(answer.get("interval")),
        cost={name: float(value) for name, value in (answer.get("cost") or {}).items()},
    )


def _answered_grid(answer: Mapping[str, Any], asked: Grid, placed: bool) -> Grid:
    """Return the grid that an answer says it lies on, or the one asked for where it may not."""
    if answer.get("mean") is None:
        raise InputError("the model's answer has no 'mean'")
    names = ("spacing_mm", "direction", "origin_mm")
    lacking = [name for name in names if answer.get(name) is None]
    if placed and lacking:
        raise InputError(
            f"the model was told where the image lies and its answer has no {', '.join(lacking)}"
        )
    shape = np.shape(answer["mean"])
    if lacking or len(shape) != 3:
        return asked
    spacing, direction, origin = (np.ravel(np.asarray(answer[n], dtype=float)) for n in names)
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=tuple(spacing),
        direction=tuple(direction),
        origin_mm=tuple(origin),
        frame_of_reference=answer.get("frame_of_reference") or None,
    )


def _interval(facts: Any) -> IntervalFacts | None:
    if facts is None:
        return None
    lacking = {"voxel_share", "level", "patients"} ^ set(facts)
    if lacking:
        raise InputError(
            f"the model's interval must state voxel_share, level and patients; wrong or missing: "
            f"{', '.join(sorted(lacking))}"
        )
    return IntervalFacts(
        voxel_share=float(facts["voxel_share"]),
        level=float(facts["level"]),
        patients=int(facts["patients"]),
    )


def registered_facts(uri: str) -> ModelFacts:
    """Return the facts of a registered version, its weights checked; nothing of it is run.

    Raises
    ------
    InputError
        As :func:`load_translator`.
    """
    mlflow = store.connect()
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The model {uri} cannot be read from {store.tracking_uri()} ({reason}); "
            f"'qa-suite list models' shows what is registered."
        ) from None
    return _facts(uri, folder)


def _facts(uri: str, folder: Path) -> ModelFacts:
    found = sorted(folder.rglob(TRAINING_FILE))
    if not found:
        raise InputError(
            f"{uri} carries no {TRAINING_FILE}, so nobody can tell on whom it was trained; "
            f"register it with 'qa-suite train', or examine its images with "
            f"'qa-suite evaluate COHORT --images FOLDER'."
        )
    training = read_training(found[0])
    weights = training["weights_sha256"]
    for path in sorted(folder.rglob("*.safetensors")):
        if sha256_of(path) != weights:
            raise InputError(
                f"The weights of {uri} are not those that were registered ({path.name} differs "
                f"from {weights[:12]}…); do not use this model."
            )
    try:
        return _model_facts(uri, training)
    except (KeyError, ValidationError) as error:
        raise InputError(
            f"The {TRAINING_FILE} of {uri} is not what training wrote ({in_words(error)}); "
            f"register the model again."
        ) from None


def _model_facts(uri: str, training: Mapping[str, Any]) -> ModelFacts:
    version = store.model_version(uri)
    return ModelFacts(
        uri=uri if version is None else f"models:/{version.name}/{version.version}",
        name=version.name if version is not None else training["spec"]["name"],
        version=None if version is None else str(version.version),
        family=training["spec"]["family"],
        weights_sha256=training["weights_sha256"],
        direction=training["spec"]["direction"],
        training_sites=tuple(training["sites"]),
        training_data_digest=training["data_digest"],
        training_patients=tuple(training["patients"]),
        training_voxel_hashes=tuple(training["voxel_hashes"]),
        training_fingerprints=tuple(training["fingerprints"]),
        loss_networks=tuple(training.get("loss_networks", ())),
        parent=training.get("parent", {}).get("uri"),
        plugin=training.get("plugin"),
        training_sources=training.get("sources"),
        mlflow_run_id=None if version is None else version.run_id,
    )


def registered_models() -> list[dict[str, Any]]:
    """List every registered translator's versions with their tags, newest first.

    The examiner's own networks are not among them; see ``registered_instruments``.
    """
    with store.reached():
        versions = store.connect().MlflowClient().search_model_versions()
    rows = []
    for version in versions:
        if version.tags.get(KIND_TAG) in KINDS:
            continue
        rows.append(
            {
                "uri": f"models:/{version.name}/{version.version}",
                "run_id": version.run_id,
                "aliases": list(getattr(version, "aliases", []) or []),
                **dict(version.tags),
            }
        )
    return rows
