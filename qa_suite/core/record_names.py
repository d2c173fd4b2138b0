"""What the files of a record are called, and digests of plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

EVALUATION_FILE = "evaluation.json"
MEASUREMENTS_FILE = "measurements.parquet"
COSTS_FILE = "costs.parquet"
CASES_FILE = "cases.parquet"
CURVES_FILE = "curves.parquet"
NORMS_FILE = "norms.json"
VOLUMES_FOLDER = "volumes"
STRUCTURE = "structure:"
"""How the role of a kept volume begins that is a structure; its name follows."""
_ID_DIGITS = 16
_OF_A_REGISTRATION = ("mlflow_run_id", "digest")
"""Of the model's facts what differs when the same model is registered again: MLflow's own notes
among its files hold names that are drawn, and the time."""


def digest_of(data: Any) -> str:
    """SHA-256 of plain data (dicts, lists, numbers, text), whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def evaluation_identifier(
    *,
    cohort_digest: str,
    model: Mapping[str, Any],
    settings: Mapping[str, Any],
    instruments: Sequence[Mapping[str, Any]] = (),
    norms: Mapping[str, Any] | None = None,
) -> str:
    """Return the identifier of an evaluation: what makes two of them the same.

    Parameters
    ----------
    cohort_digest
        Of the cohort.
    model, settings, instruments, norms
        As plain data, just as the record holds them.
    """
    what: dict[str, Any] = {
        "cohort": cohort_digest,
        "model": {key: value for key, value in model.items() if key not in _OF_A_REGISTRATION},
        "settings": settings,
    }
    if instruments:
        what["instruments"] = [[f["kind"], f["name"], f["weights_sha256"]] for f in instruments]
    if norms is not None:
        what["norms"] = norms
    return digest_of(what)[:_ID_DIGITS]
