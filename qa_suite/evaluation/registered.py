"""Registered translators, for examination: found by their URI, asked, listed.

A translator of this suite is read as specification, weights and ``training.json`` (who it was
trained on); each must be what was registered, see :mod:`qa_suite.core.model_files`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from qa_suite.core import store
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.executors.travel import by_address
from qa_suite.core.model_files import ModelFiles, open_model
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.core.training_facts import read_training
from qa_suite.core.trust import require_trusted
from qa_suite.core.validation import in_words
from qa_suite.evaluation.model_answers import ask
from qa_suite.evaluation.model_code import TRAINING_FILE, foreign_code, load_model, training_file
from qa_suite.instruments.registering import KIND_TAG, KINDS
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.io.dicom.series import quantity_of_modality

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
    files
        Its files on this machine.
    asked
        Of its predictions, see :data:`ASKABLE`.
    trust
        Digests of foreign code that may be run.
    """

    def __init__(
        self,
        facts: ModelFacts,
        files: ModelFiles,
        asked: Mapping[str, int | str],
        trust: Sequence[str] = (),
    ) -> None:
        self.facts = facts
        self._files = files
        self._asked = dict(asked)
        self._trust = tuple(trust)
        self._model: Any = None

    def load(self) -> None:
        """Load the network, if it is not there yet.

        Raises
        ------
        InputError
            If it cannot be loaded, or its files changed since it was found.
        """
        if self._model is None:
            self._files.require_as_registered()
            self._model = load_model(self._files, self._trust)

    def __call__(self, loaded: LoadedCase) -> Prediction:
        """Translate a case; of it the model is handed the source image alone."""
        self.load()
        target = (self.facts.direction or "").partition("->")[2]
        return ask(self._model, loaded.source, quantity_of_modality(target), self._asked)

    def __reduce__(self) -> tuple[Any, ...]:
        return by_address(
            "qa_suite.evaluation.registered:find_translator",
            (self.facts.uri, self._asked, self._trust),
            self.facts,
        )


def find_translator(
    uri: str, asked: Mapping[str, int | str] | None = None, trust: Sequence[str] = ()
) -> Registered:
    """Find a registered translator and read who it is; nothing of it is run yet.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``runs:/RUN/model``.
    asked
        Steps, sampler, members or seed of its predictions, see :data:`ASKABLE`; by default
        those of its specification. They stand in its facts.
    trust
        Digests of foreign code that may be run, see :mod:`qa_suite.core.trust`.

    Raises
    ------
    InputError
        If the model is unknown, was not registered by this suite, a file of it is not as it was
        registered, or it would run foreign code that is not trusted.
    """
    if not uri.startswith(("models:/", "runs:/")):
        raise InputError(
            f"{uri!r} names no model; use models:/NAME/VERSION, models:/NAME@ALIAS, "
            f"oracle:truth or oracle:twin."
        )
    files = open_model(uri)
    facts, chosen = _facts(files), dict(asked or {})
    code = foreign_code(files)
    require_trusted(code, trust, who=files.uri)
    facts = facts.model_copy(update={"asked": chosen, "trusted": code})
    return Registered(facts, files, chosen, trust)


def load_translator(
    uri: str, asked: Mapping[str, int | str] | None = None, trust: Sequence[str] = ()
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
    found = find_translator(uri, asked, trust)
    found.load()
    return found.facts, found


def registered_facts(uri: str) -> ModelFacts:
    """Return the facts of a registered version, its files checked; nothing of it is run.

    Raises
    ------
    InputError
        If the model is unknown, was not registered by this suite, or a file of it is not as it was
        registered.
    """
    return _facts(open_model(uri))


def _facts(files: ModelFiles) -> ModelFacts:
    uri = files.uri
    path = training_file(files)
    if path is None:
        raise InputError(
            f"{uri} carries no {TRAINING_FILE}, so nobody can tell on whom it was trained; "
            f"register it with 'qa-suite train', or examine its images with "
            f"'qa-suite evaluate COHORT --images FOLDER'."
        )
    training = read_training(path)
    weights = training["weights_sha256"]
    for tensors in sorted(files.folder.rglob("*.safetensors")):
        if (here := sha256_of(tensors)) != weights:
            raise InputError(
                f"The weights of {uri} are not those that were registered ({tensors.name} has the "
                f"SHA-256 {here}, registered was {weights}); do not use this model."
            )
    try:
        return _model_facts(files, training)
    except (KeyError, ValidationError) as error:
        raise InputError(
            f"The {TRAINING_FILE} of {uri} is not what training wrote ({in_words(error)}); "
            f"register the model again."
        ) from None


def _model_facts(files: ModelFiles, training: Mapping[str, Any]) -> ModelFacts:
    version, parent = files.version, training.get("parent", {})
    doubts = (files.unproven, parent.get("unproven", ""))
    return ModelFacts(
        uri=files.uri,
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
        parent=parent.get("uri"),
        plugin=training.get("plugin"),
        training_sources=training.get("sources"),
        mlflow_run_id=None if version is None else version.run_id,
        digest=files.digest,
        unproven=" ".join(one for one in doubts if one) or None,
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
