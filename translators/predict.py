"""Plain tensors in, plain tensors out: what a served translator understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import InputError, QAError, raise_problems
from qa_suite.volume import Grid, Volume
from translators.base import Asked, Translator

_SIZES = {"spacing_mm": 3, "direction": 9}


def answer(
    translator: Translator, request: Mapping[str, Any], params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Translate one volume given as tensors.

    Parameters
    ----------
    request
        ``source``: signal, shape (i, j, k); ``spacing_mm``: shape (3,); ``direction``: shape
        (9,), row-major 3×3 with the unit vectors of i, j, k in LPS as columns.
    params
        ``steps``, ``sampler``, ``members`` and ``seed``, see :class:`translators.base.Asked`;
        0 or an empty word leaves one to the specification.

    Returns
    -------
    dict
        ``mean`` and, where the translator gives them, ``std`` and ``half_width``, shape (i, j,
        k), and ``samples``, shape (samples, i, j, k), all in the unit of its target;
        ``interval``: the promise of mean ± half_width; ``cost``.

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
    prediction = translator.predict(volume, asked=_asked(params or {}))
    found: dict[str, Any] = {"mean": _array(prediction.mean), "cost": dict(prediction.cost)}
    if prediction.std is not None:
        found["std"] = _array(prediction.std)
    if prediction.samples:
        found["samples"] = np.stack([_array(sample) for sample in prediction.samples])
    if prediction.half_width is not None and prediction.interval is not None:
        found["half_width"] = _array(prediction.half_width)
        found["interval"] = asdict(prediction.interval)
    return found


def _array(volume: Volume) -> NDArray[np.float32]:
    return np.asarray(volume.array, dtype=np.float32)


def _asked(params: Mapping[str, Any]) -> Asked:
    return Asked(
        steps=int(params.get("steps", 0)) or None,
        sampler=str(params.get("sampler", "")) or None,
        members=int(params.get("members", 0)) or None,
        seed=int(params.get("seed", 0)),
    )
