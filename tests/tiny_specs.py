"""What the tests of all families of translators need: changed specifications, compared weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.cohort import Cohort
from qa_suite.learning.summary import FitSummary
from translators.base import Translator, create
from translators.spec import TranslatorSpec, parse_spec


def changed(data: dict[str, Any], changes: Mapping[str, Any]) -> TranslatorSpec:
    """Return the specification after changes such as ``training__batch=2`` or ``contours=None``."""
    for path, value in changes.items():
        block, _, key = path.partition("__")
        if key:
            data[block][key] = value
        else:
            data[block] = value
    return parse_spec(data, subject="the tiny specification")


def fitted(
    spec: TranslatorSpec, folder: Path, cohort: Cohort, workdir: Path, **more: Any
) -> tuple[Translator, FitSummary]:
    """Train a translator on the CPU."""
    translator = create(spec)
    return translator, translator.fit(cohort, folder, workdir=workdir, device="cpu", **more)


def same_weights(a: Translator, b: Translator) -> bool:
    """Whether both have the same weights to the bit."""
    mine, theirs = a.weights(), b.weights()
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[n], theirs[n]) for n in mine)
