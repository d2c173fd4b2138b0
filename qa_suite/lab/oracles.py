"""Oracles: translators that know the truth of a virtual patient, from the floor to a good model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import ModelFacts
from qa_suite.core.registry import unknown_name
from qa_suite.core.volume import Volume
from qa_suite.io.cases import LoadedCase, Translate


@dataclass(frozen=True)
class Oracle:
    """A translator that knows the truth of a virtual patient, by its URI."""

    uri: str

    def __call__(self, loaded: LoadedCase) -> Prediction:
        """Answer with what it knows of a case."""
        return Prediction(mean=_KINDS[self.uri](loaded))


def oracle(uri: str) -> tuple[ModelFacts, Translate]:
    """Return one of the two translators that know the truth of a virtual patient.

    ``oracle:truth`` gives the reference without its noise: the floor, below which only luck
    can go. ``oracle:twin`` gives it with fresh noise of its modality, slight blur and a smooth
    field (±10 HU for a CT, ±3 % for others): the known-good model.
    """
    if uri not in _KINDS:
        raise UnknownName(unknown_name("oracle", uri, list(_KINDS)))
    name = uri.replace(":", "-")
    return ModelFacts(uri=uri, name=name, family="oracle"), Oracle(uri)


def _truth(loaded: LoadedCase) -> Volume:
    if "noise_free_reference" not in loaded.truth:
        raise InputError("an oracle needs a virtual patient, and this case knows no truth")
    return loaded.truth["noise_free_reference"]


def _twin(loaded: LoadedCase) -> Volume:
    from qa_suite.lab.phantom import oracle_twin

    seed = int(digest_of(loaded.case.case)[:8], 16)
    return oracle_twin(_truth(loaded), seed=seed)


_KINDS: dict[str, Callable[[LoadedCase], Volume]] = {"oracle:truth": _truth, "oracle:twin": _twin}
