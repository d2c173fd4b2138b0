"""What tests of registered models share: the client of the store, and the files of a model."""

from __future__ import annotations

from pathlib import Path

from translators.registry.registering import TrainedModel


def the_client() -> object:
    from qa_suite.core.store import connect

    return connect().MlflowClient()


def artifacts_of(model: TrainedModel) -> Path:
    from qa_suite.core.store import connect

    return Path(connect().artifacts.download_artifacts(artifact_uri=model.uri))
