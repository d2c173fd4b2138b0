"""Weights and arrays from outside: safetensors, npz and state dicts; nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import parse_json
from qa_suite.core.plain_files import read_bytes, reason_of, require_file

MOST_BYTES = 64 << 30
"""Of a file of weights or arrays."""
_MOST_HEADER = 16 << 20
_MOST_FACTOR = 1100  # what deflate can make of a byte, and some


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a file of safetensors.

    Raises
    ------
    InputError
        If it is no plain file, cut off or damaged.
    """
    return parse_safetensors(read_bytes(path, most_bytes=MOST_BYTES), path)


def parse_safetensors(data: bytes, where: Path | str) -> dict[str, NDArray[Any]]:
    """Read the tensors of what is there already; ``where`` names it in errors.

    Raises
    ------
    InputError
        If it is cut off or damaged.
    """
    from safetensors.numpy import load

    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(_MOST_HEADER, len(data) - 8):
        raise InputError(f"{where} cannot be read as weights (cut off within its header).")
    parse_json(data[8 : 8 + size], f"The header of {where}")
    try:
        return dict(load(data))
    except Exception as error:  # a damaged header may raise anything
        raise InputError(f"{where} cannot be read as weights ({reason_of(error)}).") from None


def read_state_dict(path: Path, *, device: str = "cpu") -> Any:
    """Read what torch saved, as tensors and plain data alone; safetensors by their ending.

    Raises
    ------
    InputError
        If it is no plain file, cut off or damaged, or holds anything else.
    """
    import torch

    if Path(path).suffix == ".safetensors":
        return {name: torch.from_numpy(one) for name, one in read_safetensors(path).items()}
    require_file(path, most_bytes=MOST_BYTES)
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise InputError(f"{path} cannot be read as weights ({reason_of(error)}).") from None


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file.

    Raises
    ------
    InputError
        If it is no plain file, cut off or damaged, or holds anything but arrays of numbers and
        texts.
    """
    size = require_file(path, most_bytes=MOST_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            inside = sum(one.file_size for one in archive.infolist())
        if inside > min(MOST_BYTES, (size + 1024) * _MOST_FACTOR):
            raise InputError(f"{path} says that it holds {inside} bytes of arrays; it cannot.")
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise InputError(f"{path} cannot be read as arrays ({reason_of(error)}).") from None
