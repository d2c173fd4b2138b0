"""The code of a registered instrument: MLflow runs this file when it loads one.

It reads safetensors and JSON only, and refuses weights that are not those that were registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel

from qa_suite.instruments.files import Instrument, read_instrument
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.volume import Grid, Volume

ARTIFACT = "instrument"


class InstrumentModel(PythonModel):
    """A segmenter or a feature extractor behind MLflow's pyfunc interface."""

    # the signature is given explicitly; else MLflow asks for type hints at every load
    _skip_type_hint_validation = True

    instrument: Instrument

    def load_context(self, context: Any) -> None:
        """Load the instrument from the model's artifacts and check its weights."""
        self.instrument = read_instrument(Path(context.artifacts[ARTIFACT]))

    # no type hints: MLflow would try to make the signature of them
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Read one CT: ``volume`` (HU), ``domain``, ``spacing_mm`` and ``direction``.

        A segmenter answers with ``masks``, shape (structures, i, j, k), in the order of its
        structures, and with the geometry of the request (``origin_mm`` and
        ``frame_of_reference`` where the parameters said them); an extractor with ``features``,
        shape (slices, dimensions).
        """
        array = np.asarray(model_input["volume"], dtype=np.float32)
        grid = Grid(
            shape=array.shape,
            spacing_mm=tuple(np.asarray(model_input["spacing_mm"], dtype=float)),
            direction=tuple(np.asarray(model_input["direction"], dtype=float).ravel()),
        )
        volume = Volume(array=array, grid=grid, quantity="HU")
        domain = np.asarray(model_input["domain"]) > 0
        if isinstance(self.instrument, TrainedSegmenter):
            masks = self.instrument.segment(volume, domain)
            stacked = np.stack([masks[name] for name in masks]).astype(np.uint8)
            return {"masks": stacked} | _geometry(grid, params or {})
        return {"features": self.instrument.features(volume, domain)}


def _geometry(grid: Grid, params: Mapping[str, Any]) -> dict[str, Any]:
    """Say where masks lie, as far as the request said where its volume lay."""
    told: dict[str, Any] = {
        "spacing_mm": np.asarray(grid.spacing_mm),
        "direction": np.asarray(grid.direction),
    }
    if len(params.get("origin_mm", ())):
        told["origin_mm"] = np.asarray(params["origin_mm"], dtype=float)
    if params.get("frame_of_reference"):
        told["frame_of_reference"] = str(params["frame_of_reference"])
    return told


mlflow.models.set_model(InstrumentModel())
