"""What training wrote beside a model: on whom it was trained, and what its weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.json_files import read_json
from qa_suite.core.validation import describe_validation


class _Spec(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    family: str
    name: str = ""
    direction: str = ""


class _Training(BaseModel):
    """Only what is asked of it; models of before lack some, and later ones hold more."""

    model_config = ConfigDict(extra="allow", strict=True)

    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    spec: _Spec
    data_digest: str = ""
    sites: list[str] = []
    patients: list[str] = []
    voxel_hashes: list[str] = []
    fingerprints: list[str] = []
    loss_networks: list[str] = []
    parent: dict[str, Any] = {}
    plugin: dict[str, Any] | None = None
    sources: dict[str, Any] | None = None


def read_training(path: Path) -> dict[str, Any]:
    """Read the facts of a training.

    Returns
    -------
    dict
        As they were written; what is there is of the kind that it should be.

    Raises
    ------
    InputError
        If the file is no JSON.
    Problems
        With everything in it that is not what it should be.
    """
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise InputError(f"{path} holds no facts of a training.")
    try:
        _Training.model_validate(facts)
    except ValidationError as error:
        raise Problems(str(path), describe_validation(error)) from None
    return facts
