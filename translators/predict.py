"""Plain tensors in, plain tensors out: what a served translator understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError, QAError, raise_problems
from qa_suite.core.json_files import read_json
from qa_suite.core.trust import ForeignCode
from qa_suite.core.volume import Grid, Volume
from translators.answers import Asked
from translators.base import SPEC_FILE, Translator, create, load_registered
from translators.spec import facts_of, parse_spec

_SIZES = {"spacing_mm": 3, "direction": 9}


def open_answering(folder: Path, trust: Sequence[str]) -> Callable[..., dict[str, Any]]:
    """Load a registered translator by this package's own code, and return how it is asked.

    Parameters
    ----------
    folder
        ``artifacts/translator`` of a registered model; no code in it is run.
    trust
        Digests of foreign code that it may run.
    """
    return partial(answer, load_registered(folder, trust=trust))


def foreign_code_in(folder: Path) -> ForeignCode | None:
    """Return what a registered translator would run that is no part of the suite; it is not run.

    Parameters
    ----------
    folder
        ``artifacts/translator`` of a registered model.
    """
    data = read_json(folder / SPEC_FILE)
    if not isinstance(data, dict):
        raise InputError(f"{folder / SPEC_FILE} holds no specification.")
    spec = parse_spec(data, subject=str(folder / SPEC_FILE))
    return create(spec).foreign_code() if facts_of(spec.family).runs_code else None


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
        ``origin_mm``: LPS position of the centre of voxel (0, 0, 0), three numbers, and
        ``frame_of_reference``, its name: where the image lies. A translator that compares
        places (finished volumes, a program) needs the origin; a network does without.
        ``steps``, ``sampler``, ``members`` and ``seed``, see :class:`translators.answers.Asked`;
        0 or an empty word leaves one to the specification.

    Returns
    -------
    dict
        ``mean`` and, where the translator gives them, ``std`` and ``half_width``, shape (i, j,
        k), and ``samples``, shape (samples, i, j, k), all in the unit of its target;
        ``interval``: the promise of mean ± half_width; ``cost``; and where the answer lies:
        ``spacing_mm``, ``direction``, and ``origin_mm`` and ``frame_of_reference`` where the
        request said them.

    Raises
    ------
    Problems
        With one sentence for every tensor that is missing or of the wrong shape.
    """
    params = params or {}
    grid, source = _image(translator, request, params)
    volume = Volume(array=source, grid=grid, quantity=translator.spec.source.quantity)
    prediction = translator.predict(volume, asked=_asked(params))
    found: dict[str, Any] = {"mean": _array(prediction.mean), "cost": dict(prediction.cost)}
    if prediction.std is not None:
        found["std"] = _array(prediction.std)
    if prediction.samples:
        found["samples"] = np.stack([_array(sample) for sample in prediction.samples])
    if prediction.half_width is not None and prediction.interval is not None:
        found["half_width"] = _array(prediction.half_width)
        found["interval"] = asdict(prediction.interval)
    return found | _geometry(prediction.mean.grid, params)


def _image(
    translator: Translator, request: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[Grid, NDArray[np.float32]]:
    """Read the source image of a request and where it lies."""
    subject = "The request to the translator"
    problems = [f"tensor {n!r} is missing" for n in ("source", *_SIZES) if n not in request]
    raise_problems(subject, problems)
    source = np.asarray(request["source"], dtype=np.float32)
    if source.ndim != 3:
        problems.append(f"'source' must have three axes, got shape {source.shape}")
    for name, size in _SIZES.items():
        if np.asarray(request[name]).size != size:
            problems.append(
                f"{name!r} must hold {size} numbers, got {np.asarray(request[name]).size}"
            )
    origin = _origin(params)
    if origin is None and translator.compares_places:
        problems.append(
            f"{translator.spec.name} compares places in the patient and the request does not say "
            f"where its image lies; send the parameter 'origin_mm' (a model that was registered "
            f"without it must be registered again)"
        )
    if origin is not None and len(origin) != 3:
        problems.append(f"'origin_mm' must hold 3 numbers, got {len(origin)}")
    raise_problems(subject, problems)
    try:
        grid = Grid(
            shape=(source.shape[0], source.shape[1], source.shape[2]),
            spacing_mm=tuple(np.ravel(request["spacing_mm"])),
            direction=tuple(np.ravel(request["direction"])),
            origin_mm=(0.0, 0.0, 0.0) if origin is None else (origin[0], origin[1], origin[2]),
            frame_of_reference=str(params.get("frame_of_reference") or "") or None,
        )
    except QAError as error:
        raise InputError(f"{subject} has no possible grid: {error}") from None
    return grid, source


def _origin(params: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the origin of a request, or None where it says none."""
    given = params.get("origin_mm")
    numbers = () if given is None else np.ravel(np.asarray(given, dtype=float))
    return tuple(float(x) for x in numbers) if len(numbers) else None


def _geometry(grid: Grid, params: Mapping[str, Any]) -> dict[str, Any]:
    """Say where an answer lies, as far as the request said where its image lay."""
    told: dict[str, Any] = {
        "spacing_mm": np.asarray(grid.spacing_mm),
        "direction": np.asarray(grid.direction),
    }
    if _origin(params) is not None:
        told["origin_mm"] = np.asarray(grid.origin_mm)
    if grid.frame_of_reference is not None:
        told["frame_of_reference"] = grid.frame_of_reference
    return told


def _array(volume: Volume) -> NDArray[np.float32]:
    return np.asarray(volume.array, dtype=np.float32)


def _asked(params: Mapping[str, Any]) -> Asked:
    return Asked(
        steps=int(params.get("steps", 0)) or None,
        sampler=str(params.get("sampler", "")) or None,
        members=int(params.get("members", 0)) or None,
        seed=int(params.get("seed", 0)),
    )
