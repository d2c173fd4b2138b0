"""What an instrument must not share with the examined: its network, and its patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.cohort import Case
from qa_suite.core.errors import InputError
from qa_suite.core.records import InstrumentFacts, ModelFacts
from qa_suite.core.volume import Volume
from qa_suite.instruments.base import Extractor, Segmenter


@dataclass(frozen=True, kw_only=True)
class RefusedSegmenter:
    """A segmenter that is not applied; whoever asks it is told why.

    Its rows become errors, so that no finding can pass on it.
    """

    facts: InstrumentFacts
    structures: tuple[str, ...]
    why: str

    def segment(self, volume: Volume, domain: Mask) -> dict[str, Mask]:
        """Raise :class:`~qa_suite.core.errors.InputError` with the reason."""
        raise InputError(self.why)


@dataclass(frozen=True, kw_only=True)
class RefusedExtractor:
    """A feature extractor that is not applied; whoever asks it is told why."""

    facts: InstrumentFacts
    why: str

    def features(self, volume: Volume, mask: Mask) -> NDArray[np.float32]:
        """Raise :class:`~qa_suite.core.errors.InputError` with the reason."""
        raise InputError(self.why)


def shared_network(facts: InstrumentFacts, model: ModelFacts) -> str:
    """Say how an instrument shares its network with the examined model; empty where it does not."""
    name = f"{facts.kind} {facts.name} ({facts.weights_sha256[:12]}…)"
    if facts.weights_sha256 in model.loss_networks:
        return (
            f"the {name} took part in the loss that {model.name} was trained with, so it cannot "
            f"examine it; use an instrument that the translator has not seen"
        )
    if facts.weights_sha256 == model.weights_sha256:
        return (
            f"the {name} is the examined model {model.name} itself, so it cannot examine it; use "
            f"another instrument"
        )
    return ""


def independent_segmenter(segmenter: Segmenter, model: ModelFacts) -> Segmenter:
    """Return the segmenter, or where it shares its network with the model, its refusal."""
    why = shared_network(segmenter.facts, model)
    if not why:
        return segmenter
    return RefusedSegmenter(facts=segmenter.facts, structures=segmenter.structures, why=why)


def independent_extractor(extractor: Extractor, model: ModelFacts) -> Extractor:
    """Return the extractor, or where it shares its network with the model, its refusal."""
    why = shared_network(extractor.facts, model)
    return RefusedExtractor(facts=extractor.facts, why=why) if why else extractor


def trained_on(facts: InstrumentFacts, cases: Sequence[Case]) -> str:
    """Say on which of these cases an instrument was trained; empty where on none."""
    patients, voxels = set(facts.training_patients), set(facts.training_voxel_hashes)
    seen = [
        case.case
        for case in cases
        if case.patient in patients or voxels.intersection(case.voxel_hashes.values())
    ]
    if not seen:
        return ""
    return (
        f"{facts.kind} {facts.name} ({facts.uri}) was trained on {len(seen)} of the examined "
        f"cases: {', '.join(seen)}"
    )


def all_shared(instruments: Iterable[InstrumentFacts], model: ModelFacts) -> tuple[str, ...]:
    """Say of every instrument how it shares its network with the model."""
    return tuple(why for facts in instruments if (why := shared_network(facts, model)))
