"""Results of single specifications on disk, so that a table can be made of several runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.controls import Control
from benchmarks.families.run import Result
from qa_suite.judging.statistics import Interval
from translators.spec import TranslatorSpec, load_spec


def write_result(folder: Path, result: Result) -> Path:
    """Write a result as JSON, named by its specification."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "label": result.label,
        "spec_digest": result.spec.digest,
        "uri": result.uri,
        "learning_s": result.learning_s,
        "training_s": result.training_s,
        "training_cpu_s": result.training_cpu_s,
        "iterations": result.iterations,
        "measured": [[*key, *value] for key, value in result.measured.items()],
        "controls": [asdict(control) for control in result.controls],
    }
    path = folder / f"{result.spec.name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n")
    return path


def read_result(folder: Path, name: str) -> Result | None:
    """Read the result of a specification; None where there is none, or it is of another one."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    facts = json.loads(path.read_text())
    spec: TranslatorSpec = load_spec(name)
    if facts["spec_digest"] != spec.digest:
        return None
    return Result(
        label=facts["label"],
        spec=spec,
        uri=facts["uri"],
        learning_s=facts["learning_s"],
        training_s=facts["training_s"],
        training_cpu_s=facts["training_cpu_s"],
        iterations=facts["iterations"],
        measured={(m, r): (value, n) for m, r, value, n in facts["measured"]},
        controls=tuple(
            Control(**(c | {"difference": Interval(**c["difference"])})) for c in facts["controls"]
        ),
    )
