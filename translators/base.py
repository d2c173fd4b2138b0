"""The one interface of all families: spec, fit, predict, save, load."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.answers import require_finite, require_plausible, require_possible, told
from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.json_files import read_json
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import PluginFacts
from qa_suite.core.tensor_files import read_safetensors
from qa_suite.core.training_facts import read_training
from qa_suite.core.trust import ForeignCode, require_trusted
from qa_suite.core.volume import Volume
from qa_suite.learning.summary import FitSummary, Progress
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.calibration import CALIBRATION_FILE, Calibration
from translators.data import Bool, Prepared, prepare
from translators.spec import TranslatorSpec, family, parse_spec
from translators.spec.families import block_problems, require_same_plugin

WEIGHTS_FILE = "weights.safetensors"
SPEC_FILE = "spec.json"
TRAINING_FILE = "training.json"
"""Of a registered translator: whom it has seen, and by which code it was made."""


class Translator(ABC):
    """A specification and, once fitted or loaded, its weights.

    A family implements :meth:`fit`, :meth:`infer`, :meth:`weights` and :meth:`set_weights`;
    orientation, spacing, normalisation and files are the same for all.

    Parameters
    ----------
    spec
        What it is; a family raises :class:`~qa_suite.core.errors.Problems` for a block it misses.
    """

    learns: bool = True
    """Whether :meth:`fit` learns from patients; else nobody here knows whom it has seen."""

    trust: tuple[str, ...] = ()
    """Digests of foreign code that the caller lets it run."""

    @property
    def compares_places(self) -> bool:
        """Whether it must know where in the patient the image lies; a network need not."""
        return False

    def __init__(self, spec: TranslatorSpec) -> None:
        self.spec = spec
        self.calibration: Calibration | None = None

    @abstractmethod
    def fit(
        self,
        cohort: Cohort,
        folder: Path,
        *,
        workdir: Path,
        resume: bool = False,
        iterations: int | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> FitSummary:
        """Learn from the ``train`` patients of a cohort; ``validation`` decides when to stop.

        Parameters
        ----------
        cohort, folder
            The manifest and where it lies.
        workdir
            Where checkpoints are kept.
        resume
            Carry on from the checkpoint in ``workdir``, if there is one.
        iterations
            Another budget than the specification's.
        device
            ``auto``, ``cpu`` or ``cuda``.
        progress
            Told of every iteration.
        """

    @abstractmethod
    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Translate a prepared source image."""

    @abstractmethod
    def weights(self) -> dict[str, NDArray[Any]]:
        """Everything that was learnt, as named arrays.

        Raises
        ------
        InputError
            If nothing was learnt yet.
        """

    @abstractmethod
    def set_weights(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`weights` gave."""

    def has_answer(self, source: Volume) -> bool:
        """Whether it can answer to this image; finished volumes belong to some images alone."""
        return True

    def loss_networks(self) -> frozenset[str]:
        """SHA-256 of every frozen network in the loss, such as that of a perceptual loss.

        An examiner refuses findings of a network that the examined was trained to please.
        """
        return frozenset()

    def foreign_code(self) -> ForeignCode | None:
        """Return what it runs that is no part of the suite, as it lies there now."""
        return None

    def require_trust(self) -> None:
        """Refuse to go on where it would run foreign code that the caller does not trust.

        Raises
        ------
        InputError
            With what would be run, and the digest by which it may.
        """
        require_trusted(self.foreign_code(), self.trust, who=self.spec.name)

    def inverse(self) -> Translator | None:
        """Return the fitted translator of the other direction, where training gave one too."""
        return None

    def predict(
        self, source: Volume, mask: Bool | None = None, asked: Asked = AS_SPECIFIED
    ) -> Prediction:
        """Translate one source image.

        Parameters
        ----------
        source
            On any grid; it is turned to the patient's axes and back.
        mask
            The body, only where a caller knows it better than the image itself tells.
        asked
            Steps, sampler, members and seed, where the caller chooses them.

        Returns
        -------
        Prediction
            On the grid of ``source``, in the quantity of the target; with an interval where
            the translator was calibrated and answers as it did then.

        Raises
        ------
        InputError
            If the source image cannot be translated, or the answer holds NaN or inf, or numbers
            that cannot be of the target's quantity.
        GeometryError
            If the answer lies elsewhere than the source image.
        """
        prepared = prepare(source, self.spec, mask=mask)
        found = self.infer(prepared, asked)
        require_finite(found.mean, self.spec.name)
        # a network that was trained here ends in the range of its target, early or late
        hold = require_possible if self.learns else require_plausible
        hold(found.mean, self.spec.target.quantity, self.spec.name)

        def volume(array: Float32Array) -> Volume:
            return Volume(
                array=prepared.frame.to_scan(array),
                grid=source.grid,
                quantity=self.spec.target.quantity,
                history=(*source.history, f"translated {self.spec.direction} by {self.spec.name}"),
            )

        calibration = self.calibration
        # an interval was promised for the answers of the specification, not for other ones
        as_calibrated = asked == Asked(seed=asked.seed)
        width = calibration.half_width(found) if calibration and as_calibrated else None
        return Prediction(
            mean=told(volume(found.mean)),
            std=None if found.std is None else volume(found.std),
            samples=tuple(volume(sample) for sample in found.samples),
            half_width=None if width is None else volume(width),
            interval=None if width is None or calibration is None else calibration.facts,
            cost=found.cost,
        )

    def save(self, folder: Path) -> str:
        """Write weights, specification and calibration; return the weights' SHA-256."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: np.ascontiguousarray(value) for name, value in self.weights().items()}
        save_file(weights, folder / WEIGHTS_FILE)
        text = json.dumps(self.spec.model_dump(mode="json"), indent=2, sort_keys=True)
        (folder / SPEC_FILE).write_text(text + "\n")
        if self.calibration is not None:
            (folder / CALIBRATION_FILE).write_text(
                self.calibration.model_dump_json(indent=2) + "\n"
            )
        return weights_sha256(folder)


def weights_sha256(folder: Path) -> str:
    """SHA-256 of the weights file in a saved translator's folder."""
    return sha256_of(Path(folder) / WEIGHTS_FILE)


def create(spec: TranslatorSpec, *, trust: Sequence[str] = ()) -> Translator:
    """Make an untrained translator of the specification's family.

    Parameters
    ----------
    spec
        What it is to be.
    trust
        Digests of foreign code that it may run; without them it can be made, and runs none.

    Raises
    ------
    UnknownName
        If no such family is registered.
    Problems
        If the specification lacks what the family needs.
    """
    raise_problems(f"Specification {spec.name}", block_problems(spec))
    translator: Translator = family(spec.family).function(spec)
    translator.trust = tuple(trust)
    return translator


def load(folder: Path, *, trust: Sequence[str] = ()) -> Translator:
    """Read a translator that :meth:`Translator.save` wrote; nothing is unpickled.

    Parameters
    ----------
    folder
        That it was saved in.
    trust
        Digests of foreign code that it may run.

    Raises
    ------
    InputError
        If a file is missing or unreadable, the weights belong to another specification, or it
        would run foreign code that is not trusted.
    """
    folder = Path(folder)
    for name in (SPEC_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no translator: {name} is missing.")
    data = read_json(folder / SPEC_FILE)
    if not isinstance(data, dict):
        raise InputError(f"{folder / SPEC_FILE} holds no specification.")
    translator = create(parse_spec(data, subject=str(folder / SPEC_FILE)), trust=trust)
    translator.require_trust()
    weights = read_safetensors(folder / WEIGHTS_FILE)
    translator.set_weights(weights)
    translator.calibration = Calibration.read(folder)
    return translator


def load_registered(folder: Path, *, trust: Sequence[str] = ()) -> Translator:
    """Read a translator as it was registered, with its ``training.json``.

    Of its files none but the weights are compared here, since the others' digests stand in the
    registry: see :func:`qa_suite.core.model_files.open_model`.

    Parameters
    ----------
    folder
        ``artifacts/translator`` of a registered model.
    trust
        Digests of foreign code that it may run.

    Raises
    ------
    InputError
        If the weights are not those that were registered, or another package gave the family
        then; else as :func:`load`.
    """
    folder = Path(folder)
    training = read_training(folder / TRAINING_FILE)
    if weights_sha256(folder) != training["weights_sha256"]:
        raise InputError(f"The weights in {folder} are not those that were registered.")
    said = training.get("plugin")
    registered = None if said is None else PluginFacts.model_validate(said)
    require_same_plugin(training["spec"]["family"], registered)
    return load(folder, trust=trust)
