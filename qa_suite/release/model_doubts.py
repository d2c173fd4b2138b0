"""What the registry holds of the models of a record, against what the record noted of them."""

from __future__ import annotations

from collections.abc import Iterator

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.model_files import ModelFiles, NotAsRegistered, open_model
from qa_suite.core.reach import StoreAway
from qa_suite.core.records import Evaluation
from qa_suite.judging.doubts import Doubt

_FILE = "registry"


def model_doubts(evaluation: Evaluation) -> Iterator[Doubt]:
    """Hold the examined, and the examiner's own networks, against the registry.

    One whose digest the record does not hold, an oracle or finished images, says nothing. What
    cannot be looked at here leaves a doubt that is not certain.
    """
    noted = [("models", evaluation.model.uri, evaluation.model.digest)]
    noted += [("instruments", one.uri, one.digest) for one in evaluation.instruments]
    for kind, uri, digest in noted:
        if digest is not None:
            yield from _doubts(kind, uri, digest)


def _doubts(kind: str, uri: str, digest: str) -> Iterator[Doubt]:
    try:
        with store.reached():
            files = open_model(uri, kind=kind, compare=False)
    except NotAsRegistered as error:
        yield Doubt(file=_FILE, problem=str(error).rstrip("."))
        return
    except (StoreAway, InputError) as error:
        yield Doubt(
            file=_FILE,
            problem=f"{uri} cannot be looked at, so whether it is still the model of this record "
            f"is not known ({str(error).rstrip('.')})",
            certain=False,
        )
        return
    if files.digest != digest:
        yield Doubt(
            file=_FILE,
            problem=f"{uri} has the digest {files.digest} there, and the record was made with "
            f"{digest}: its version was replaced, or tags and files were changed together",
        )
    yield from _of_the_files(files)


def _of_the_files(files: ModelFiles) -> Iterator[Doubt]:
    try:
        files.require_as_registered()
    except NotAsRegistered as error:
        yield Doubt(file=_FILE, problem=str(error).rstrip("."))
