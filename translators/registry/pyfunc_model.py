"""The code of a registered model: MLflow runs this file when it loads one.

``mlflow models serve`` and ``predict`` do so; ``qa-suite`` reads the files beside it with its own
code and never runs this. It reads safetensors and JSON only, and refuses weights that are not those
it was registered with. A program that the specification names is run only where its digest stands
in the environment variable ``QA_SUITE_TRUST``. See ``docs/loading-models.md``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel

from qa_suite.core.trust import read_trust
from translators.base import Translator, load_registered
from translators.predict import answer

ARTIFACT = "translator"


class TranslatorModel(PythonModel):
    """A translator behind MLflow's pyfunc interface."""

    # the signature is given explicitly; else MLflow asks for type hints at every load
    _skip_type_hint_validation = True

    translator: Translator

    def load_context(self, context: Any) -> None:
        """Load the translator from the model's artifacts; check weights and whose code it is."""
        trust = read_trust(os.environ.get("QA_SUITE_TRUST", "").split())
        self.translator = load_registered(Path(context.artifacts[ARTIFACT]), trust=trust)

    # no type hints: MLflow would try to make the signature of them
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Translate one volume; see :func:`translators.predict.answer`."""
        return answer(self.translator, model_input, params)


mlflow.models.set_model(TranslatorModel())
