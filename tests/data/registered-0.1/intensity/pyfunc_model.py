"""The code of a registered model: MLflow runs this file when it loads one.

It reads safetensors and JSON only, and refuses weights that are not those it was registered
with. See ``docs/translators.md`` for the layout of the artifacts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel

from qa_suite.errors import InputError
from translators.base import Translator, load, weights_sha256
from translators.predict import answer

ARTIFACT = "translator"
TRAINING_FILE = "training.json"


class TranslatorModel(PythonModel):
    """A translator behind MLflow's pyfunc interface."""

    # the signature is given explicitly; else MLflow asks for type hints at every load
    _skip_type_hint_validation = True

    translator: Translator

    def load_context(self, context: Any) -> None:
        """Load the translator from the model's artifacts and check its weights."""
        folder = Path(context.artifacts[ARTIFACT])
        registered = json.loads((folder / TRAINING_FILE).read_text())["weights_sha256"]
        if weights_sha256(folder) != registered:
            raise InputError(f"The weights in {folder} are not those that were registered.")
        self.translator = load(folder)

    # no type hints: MLflow would try to make the signature of them
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Translate one volume; see :func:`translators.predict.answer`."""
        return answer(self.translator, model_input, params)


mlflow.models.set_model(TranslatorModel())
