"""Run by tests in a process of its own: evaluate a tiny cohort of which everything is known.

Arguments: the folder to write into, and the families to measure. The registry is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.io.cases import LoadedCase
from qa_suite.preflight import PreflightSettings
from tests.tiny_cohort import make_tiny_cohort

SHIFT_HU = 7.0


def shifted(loaded: LoadedCase) -> Prediction:
    """The reference, everywhere too high."""
    assert loaded.reference is not None
    return Prediction(mean=loaded.reference.with_array(loaded.reference.array + SHIFT_HU))


def main(out: Path, families: tuple[str, ...]) -> None:
    folder = out / "cohort"
    make_tiny_cohort(folder, "tvsss")
    examination = Examination(
        cohort=load_cohort(folder),
        folder=folder,
        model=ModelFacts(uri="test:shifted", name="shifted", family="test"),
        translate=shifted,
        settings=EvaluationSettings(
            preflight=PreflightSettings(estimate_alignment=False),
            families=families,
            keep_volumes="none",
        ),
    )
    evaluate(examination, out / "record")
    run(["list", "metrics", "--json"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]))
