"""A registered translator from which another training begins, as a clinic's fine-tuning does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.model_files import open_model
from qa_suite.core.training_facts import read_training
from translators.base import TRAINING_FILE, Translator, load_registered
from translators.spec import TranslatorSpec

FINE_TUNING_RATE = 0.1
"""Of the parent's learning rate, where the caller names none (a local choice)."""

_LISTS = ("sites", "patients", "voxel_hashes", "fingerprints", "loss_networks")


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A registered version: its translator and what it has seen.

    Parameters
    ----------
    uri
        With the version's number, also where it was named by an alias.
    name
        Of the registered model.
    translator
        With its weights.
    training
        Its ``training.json``.
    unproven
        Why nobody can tell whether these are the files that were registered; empty if they are.
    """

    uri: str
    name: str
    translator: Translator
    training: dict[str, Any]
    unproven: str = ""

    def fine_tuning_spec(self, learning_rate: float | None = None) -> TranslatorSpec:
        """Return the parent's specification with the learning rate of a fine-tuning."""
        spec = self.translator.spec
        if spec.training is None:
            return spec
        rate = learning_rate or spec.training.learning_rate * FINE_TUNING_RATE
        training = spec.training.model_copy(update={"learning_rate": rate})
        return spec.model_copy(update={"training": training})


def load_parent(uri: str, *, trust: Sequence[str] = ()) -> Parent:
    """Load a registered translator to train it on.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
    trust
        Digests of foreign code that it may run.

    Raises
    ------
    InputError
        If there is no such model, it was not registered by ``qa-suite train``, or a file of it is
        not as it was registered.
    """
    unnamed = f"{uri!r} names no model; use models:/NAME/VERSION or models:/NAME@ALIAS."
    if not uri.startswith("models:/"):
        raise InputError(unnamed)
    files = open_model(uri)
    if files.version is None:
        raise InputError(unnamed)
    training = files.file("artifacts", "translator", TRAINING_FILE)
    if training is None:
        raise InputError(
            f"{uri} was not registered by 'qa-suite train', so training cannot go on from it."
        )
    return Parent(
        uri=files.uri,
        name=str(files.version.name),
        translator=load_registered(training.parent, trust=trust),
        training=read_training(training),
        unproven=files.unproven,
    )


def inherited(facts: dict[str, Any], parent: Parent) -> dict[str, Any]:
    """Add to a child's training facts all that its parent has seen."""
    known = {"uri": parent.uri, "weights_sha256": parent.training["weights_sha256"]}
    doubt = parent.unproven or parent.training.get("parent", {}).get("unproven", "")
    both = {name: sorted({*facts[name], *parent.training.get(name, ())}) for name in _LISTS}
    return (
        facts
        | both
        | _both_sources(facts, parent)
        | {"parent": known | ({"unproven": doubt} if doubt else {})}
    )


_BY_SITE = ("protocols", "unrecorded")
"""What a registration says of protocols, site by site."""


def _both_sources(facts: dict[str, Any], parent: Parent) -> dict[str, Any]:
    """Add the looks of images at sites that only the parent has seen.

    At a site that both have seen those of the child stand, for it learnt from them last, and a
    patient in both would count twice. What one of the two does not tell of an image stays unknown.
    """
    own, old = facts.get("sources"), parent.training.get("sources")
    if own is None or old is None:
        return {}
    places = {name: at for at, name in enumerate(old["features"])}
    rows = {
        site: [[_at(row, places.get(name)) for name in own["features"]] for row in there]
        for site, there in old["rows"].items()
    }
    merged = {name: {**old.get(name, {}), **own.get(name, {})} for name in _BY_SITE}
    return {"sources": {**own, **merged, "rows": {**rows, **own["rows"]}}}


def _at(row: list[float | None], place: int | None) -> float | None:
    return None if place is None else row[place]
