"""The one interface of all families: spec, fit, predict, save, load."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from qa_suite.cohort import Cohort
from qa_suite.errors import InputError
from qa_suite.registry import Registry
from qa_suite.volume import Prediction, Volume
from translators.data import Bool, Float, Prepared, prepare
from translators.spec import TranslatorSpec, parse_spec

WEIGHTS_FILE = "weights.safetensors"
SPEC_FILE = "spec.json"

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iteration, iterations, figures by name) as training goes on."""


class FamilyFacts(BaseModel):
    """The facts of one family, as ``qa-suite list translators`` shows them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    paired: bool
    trained_by: str
    uncertainty: str = "none"
    reference: str


FAMILIES: Registry[FamilyFacts] = Registry("family of translators")


@dataclass(frozen=True, kw_only=True)
class FitSummary:
    """What came of a training."""

    iterations: int
    seconds: float
    best_iteration: int
    best_validation: float | None
    stopped_early: bool
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A family's answer in working voxels and in the unit of the target."""

    mean: Float
    std: Float | None = None
    samples: tuple[Float, ...] = ()


class Translator(ABC):
    """A specification and, once fitted or loaded, its weights.

    A family implements :meth:`fit`, :meth:`infer`, :meth:`weights` and :meth:`set_weights`;
    orientation, spacing, normalisation and files are the same for all.

    Parameters
    ----------
    spec
        What it is; a family raises :class:`~qa_suite.errors.Problems` for a block it misses.
    """

    def __init__(self, spec: TranslatorSpec) -> None:
        self.spec = spec

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
    def infer(self, prepared: Prepared) -> Inferred:
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

    def loss_networks(self) -> frozenset[str]:
        """SHA-256 of every frozen network in the loss, such as that of a perceptual loss.

        An examiner refuses findings of a network that the examined was trained to please.
        """
        return frozenset()

    def predict(self, source: Volume, mask: Bool | None = None) -> Prediction:
        """Translate one source image.

        Parameters
        ----------
        source
            On any grid; it is turned to the patient's axes and back.
        mask
            The body, only where a caller knows it better than the image itself tells.

        Returns
        -------
        Prediction
            On the grid of ``source``, in the quantity of the target.
        """
        prepared = prepare(source, self.spec, mask=mask)
        found = self.infer(prepared)

        def volume(array: Float) -> Volume:
            return Volume(
                array=prepared.frame.to_scan(array),
                grid=source.grid,
                quantity=self.spec.target.quantity,
                history=(*source.history, f"translated {self.spec.direction} by {self.spec.name}"),
            )

        return Prediction(
            mean=volume(found.mean),
            std=None if found.std is None else volume(found.std),
            samples=tuple(volume(sample) for sample in found.samples),
        )

    def save(self, folder: Path) -> str:
        """Write ``weights.safetensors`` and ``spec.json``; return the weights' SHA-256."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: np.ascontiguousarray(value) for name, value in self.weights().items()}
        save_file(weights, folder / WEIGHTS_FILE)
        text = json.dumps(self.spec.model_dump(mode="json"), indent=2, sort_keys=True)
        (folder / SPEC_FILE).write_text(text + "\n")
        return weights_sha256(folder)


def weights_sha256(folder: Path) -> str:
    """SHA-256 of the weights file in a saved translator's folder."""
    return hashlib.sha256((Path(folder) / WEIGHTS_FILE).read_bytes()).hexdigest()


def create(spec: TranslatorSpec) -> Translator:
    """Make an untrained translator of the specification's family.

    Raises
    ------
    UnknownName
        If no such family is registered.
    Problems
        If the specification lacks what the family needs.
    """
    from translators import intensity, regression  # noqa: F401  (they register themselves)

    translator: Translator = FAMILIES[spec.family].function(spec)
    return translator


def load(folder: Path) -> Translator:
    """Read a translator that :meth:`Translator.save` wrote; nothing is unpickled.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or the weights belong to another specification.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    for name in (SPEC_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no translator: {name} is missing.")
    try:
        data = json.loads((folder / SPEC_FILE).read_text())
        weights = load_file(folder / WEIGHTS_FILE)
    except (ValueError, SafetensorError) as error:
        raise InputError(f"The translator in {folder} cannot be read: {error}.") from None
    translator = create(parse_spec(data, subject=str(folder / SPEC_FILE)))
    translator.set_weights(weights)
    return translator
