"""Asking a registered translator, and reading what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qa_suite.core.answers import checked
from qa_suite.core.errors import InputError
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.volume import Grid, Quantity, Volume


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A translator of this suite, read by its installed code, with the face of MLflow's pyfunc."""

    answer: Callable[[Mapping[str, Any], Mapping[str, Any] | None], dict[str, Any]]

    def predict(
        self, request: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Translate one image given as tensors."""
        return self.answer(request, params)


def ask(
    model: Any, source: Volume, quantity: Quantity, asked: Mapping[str, int | str]
) -> Prediction:
    """Ask a loaded model for the translation of an image.

    Parameters
    ----------
    model
        :class:`OwnModel`, or what MLflow loaded.
    source
        The image.
    quantity
        Of its answer.
    asked
        Of its prediction, see :data:`qa_suite.evaluation.registered.ASKABLE`.
    """
    told = _takes_place(model)
    params: dict[str, Any] = dict(asked)
    if told:
        params["origin_mm"] = [float(x) for x in source.grid.origin_mm]
        params["frame_of_reference"] = source.grid.frame_of_reference or ""
    answer = model.predict(
        {
            "source": np.ascontiguousarray(source.array, dtype=np.float32),
            "spacing_mm": np.asarray(source.grid.spacing_mm, dtype=np.float64),
            "direction": np.asarray(source.grid.direction, dtype=np.float64),
        },
        params=params or None,
    )
    return prediction_of(answer, source, quantity, placed=told)


def _takes_place(model: Any) -> bool:
    """Whether a model takes where the image lies; a foreign pyfunc says so in its signature."""
    if isinstance(model, OwnModel):
        return True
    schema = model.metadata.get_params_schema()
    return schema is not None and "origin_mm" in {param.name for param in schema.params}


def prediction_of(
    answer: Mapping[str, Any], source: Volume, quantity: Quantity, *, placed: bool = False
) -> Prediction:
    """Read what a registered model answered.

    Parameters
    ----------
    answer
        ``mean`` and, where the model gives them, ``std``, ``half_width`` (shape (i, j, k)),
        ``samples`` (shape (samples, i, j, k)), ``interval`` (``voxel_share``, ``level``,
        ``patients``) and ``cost`` (by a name of
        :data:`~qa_suite.core.prediction.COST_UNITS`); and where
        its arrays lie: ``spacing_mm``, ``direction``, ``origin_mm``, ``frame_of_reference``.
    source
        The image it was asked to translate.
    quantity
        Of its answer.
    placed
        Whether the model was told where the image lies, and so must say where its answer
        does. Else its arrays are those of the source's voxels, in their order.

    Raises
    ------
    InputError
        If the mean is missing, an array is not of the source's shape, a voxel is NaN or inf,
        or a fact is unknown.
    GeometryError
        If the answer lies elsewhere than the source.
    """
    where = _answered_grid(answer, source.grid, placed)

    def volume(name: str, array: Any) -> Volume:
        array = np.asarray(array, dtype=np.float32)
        if array.shape != where.shape:
            raise InputError(
                f"the model answered with {name!r} of shape {array.shape} to a source of "
                f"{source.grid.shape}"
            )
        said = Volume(array=array, grid=where, quantity=quantity)
        return checked(said, source.grid, who=f"the model ({name})")

    def optional(name: str) -> Volume | None:
        return None if answer.get(name) is None else volume(name, answer[name])

    samples = answer.get("samples")
    return Prediction(
        mean=volume("mean", answer["mean"]),
        std=optional("std"),
        samples=() if samples is None else tuple(volume("samples", one) for one in samples),
        half_width=optional("half_width"),
        interval=_interval(answer.get("interval")),
        cost={name: float(value) for name, value in (answer.get("cost") or {}).items()},
    )


def _answered_grid(answer: Mapping[str, Any], asked: Grid, placed: bool) -> Grid:
    """Return the grid that an answer says it lies on, or the one asked for where it may not."""
    if answer.get("mean") is None:
        raise InputError("the model's answer has no 'mean'")
    names = ("spacing_mm", "direction", "origin_mm")
    lacking = [name for name in names if answer.get(name) is None]
    if placed and lacking:
        raise InputError(
            f"the model was told where the image lies and its answer has no {', '.join(lacking)}"
        )
    shape = np.shape(answer["mean"])
    if lacking or len(shape) != 3:
        return asked
    spacing, direction, origin = (np.ravel(np.asarray(answer[n], dtype=float)) for n in names)
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=tuple(spacing),
        direction=tuple(direction),
        origin_mm=tuple(origin),
        frame_of_reference=answer.get("frame_of_reference") or None,
    )


def _interval(facts: Any) -> IntervalFacts | None:
    if facts is None:
        return None
    lacking = {"voxel_share", "level", "patients"} ^ set(facts)
    if lacking:
        raise InputError(
            f"the model's interval must state voxel_share, level and patients; wrong or missing: "
            f"{', '.join(sorted(lacking))}"
        )
    return IntervalFacts(
        voxel_share=float(facts["voxel_share"]),
        level=float(facts["level"]),
        patients=int(facts["patients"]),
    )
