"""Checkpoints of a training: written all at once or not at all, read without pickle."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import torch

from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import reason_of
from qa_suite.core.tensor_files import read_state_dict
from qa_suite.core.whole_files import replacing

CHECKPOINT_FILE = "checkpoint.pt"


def write_checkpoint(
    path: Path, parts: dict[str, Any], state: dict[str, Any], identity: str
) -> None:
    """Write the state of every part, the plain state of the training and its identity.

    Parameters
    ----------
    path
        The file.
    parts
        Whatever has ``state_dict`` and ``load_state_dict``, by name.
    state
        Plain data and tensors.
    identity
        What a reader must agree with, see :func:`identity_of`.

    Raises
    ------
    OSError
        If it cannot be written; the one before it stays.
    """
    data = {name: part.state_dict() for name, part in parts.items()}
    try:
        with replacing(path) as draft:
            torch.save({"identity": identity, "state": state, "parts": data}, draft)
    except RuntimeError as error:  # torch's own word for a disk that takes no more
        raise OSError(errno.EIO, f"it was not written whole: {error}", str(path)) from error


def read_checkpoint(
    path: Path, parts: dict[str, Any], identity: str, device: torch.device
) -> dict[str, Any]:
    """Read a checkpoint into the parts; only tensors and plain data are accepted.

    Raises
    ------
    InputError
        If it is unreadable, or of another specification, budget or data.
    """
    try:
        data = read_state_dict(path, device=str(device))
        found, state, parts_there = data["identity"], dict(data["state"]), dict(data["parts"])
    except (InputError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"The checkpoint {path} cannot be read ({reason}); delete it to start afresh."
        ) from None
    if found != identity:
        raise InputError(
            f"The checkpoint {path} belongs to another specification, budget or cohort; train in "
            f"another folder, or without --resume."
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(parts_there[name])
    except Exception as error:  # of another shape, or none at all
        raise InputError(
            f"The checkpoint {path} cannot be read ({reason_of(error)}); delete it to start afresh."
        ) from None
    return state


def identity_of(*facts: str) -> str:
    """SHA-256 of what a checkpoint must agree with."""
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
