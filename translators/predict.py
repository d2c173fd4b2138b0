"""Plain tensors in, plain tensors out: what a served translator understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import InputError, QAError, raise_problems
from qa_suite.volume import Grid, Volume
from translators.base import Translator

_SIZES = {"spacing_mm": 3, "direction": 9}


def answer(translator: Translator, request: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Translate one volume given as tensors.

    Parameters
    ----------
    request
        ``source``: signal, shape (i, j, k); ``spacing_mm``: shape (3,); ``direction``: shape
        (9,), row-major 3×3 with the unit vectors of i, j, k in LPS as columns.

    Returns
    -------
    dict
        ``mean`` and, where the family gives one, ``std``; shape (i, j, k), in the unit of
        the translator's target.

    Raises
    ------
    Problems
        With one sentence for every tensor that is missing or of the wrong shape.
    """
    problems = []
    for name in ("source", *_SIZES):
        if name not in request:
            problems.append(f"tensor {name!r} is missing")
    if not isinstance(request, Mapping) or problems:
        raise_problems("The request to the translator", problems)
    source = np.asarray(request["source"], dtype=np.float32)
    if source.ndim != 3:
        problems.append(f"'source' must have three axes, got shape {source.shape}")
    for name, size in _SIZES.items():
        if np.asarray(request[name]).size != size:
            problems.append(
                f"{name!r} must hold {size} numbers, got {np.asarray(request[name]).size}"
            )
    raise_problems("The request to the translator", problems)
    try:
        grid = Grid(
            shape=source.shape,
            spacing_mm=tuple(np.ravel(request["spacing_mm"])),
            direction=tuple(np.ravel(request["direction"])),
        )
    except QAError as error:
        raise InputError(f"The request to the translator has no possible grid: {error}") from None
    volume = Volume(array=source, grid=grid, quantity=translator.spec.source.quantity)
    prediction = translator.predict(volume)
    found = {"mean": np.asarray(prediction.mean.array, dtype=np.float32)}
    if prediction.std is not None:
        found["std"] = np.asarray(prediction.std.array, dtype=np.float32)
    return found
