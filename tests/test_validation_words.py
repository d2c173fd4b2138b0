"""What pydantic refuses reaches people in their own words, never in Python's notation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from qa_suite.cli import run
from qa_suite.core.errors import QAError
from qa_suite.core.validation import describe_validation
from tests.conftest import ROOT

PACKAGES = ("qa_suite", "translators", "reports")
PYTHON = re.compile(
    r"[{\[]['\"]|\[type=|input_value|For further information|<class|<qa_suite|Path\(|\bdict\b"
    r"|instance of|\btuple\b|\bNoneType\b|validation errors? for|function-|literal\[|\('"
)
"""Signs of Python's own notation."""

ELSEWHERE = ("qa_suite/lab/reference_dose/worker.py",)
"""Runs in another environment, without the suite, and is read by the suite alone."""

WRONG: tuple[Any, ...] = (
    {"an": "unknown key"},
    {"nested": {"a": [1, {"b": None}]}},
    ["a", {"b": 1}],
    ("x",),
    None,
    7,
    -1.0,
    "nonsense",
    float("nan"),
    float("inf"),
    True,
    Path("a/b"),
)


def models() -> Iterator[type[BaseModel]]:
    """Every pydantic model of the project."""
    import importlib

    for package in ("qa_suite", "translators"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "BaseModel" in path.read_text() and "worker" not in path.name:
                importlib.import_module(
                    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                )
    waiting, seen = [BaseModel], set()
    while waiting:
        for model in waiting.pop().__subclasses__():
            if model not in seen and model.__module__.split(".")[0] in ("qa_suite", "translators"):
                seen.add(model)
                yield model
                waiting.append(model)


def test_every_model_is_refused_in_words():
    """Each field of each model, given each kind of wrong value."""
    count, bad = 0, set()
    for model in models():
        for field in model.model_fields:
            for value in WRONG:
                try:
                    model.model_validate({field: value})
                except ValidationError as error:
                    for sentence in describe_validation(error):
                        count += 1
                        if PYTHON.search(sentence) or "\n" in sentence:
                            bad.add(f"{model.__name__}: {sentence}")
                except QAError as error:  # an unknown name, in a sentence of the registry's
                    if PYTHON.search(str(error)):
                        bad.add(f"{model.__name__}: {error}")
                except Exception as error:
                    bad.add(f"{model.__name__}.{field} of {value!r} ends in {error!r}")
        for value in WRONG:
            try:
                model.model_validate(value)
            except ValidationError as error:
                for sentence in describe_validation(error):
                    if PYTHON.search(sentence):
                        bad.add(f"{model.__name__}: {sentence}")
    assert not bad, "\n".join(sorted(bad))
    assert count > 1000


def test_a_message_never_quotes_pydantic_itself():
    """Where a ValidationError may be caught, its text is not put into a message as it is."""
    raw = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            code = path.read_text()
            if "pydantic" not in code and "model_validate" not in code:
                continue
            for handler in ast.walk(ast.parse(code)):
                if isinstance(handler, ast.ExceptHandler) and _may_hold_pydantic(handler):
                    raw += [f"{path.relative_to(ROOT)}:{n}" for n in _quotes(handler)]
    raw = [one for one in raw if not one.startswith(ELSEWHERE)]
    assert not raw, f"say it by in_words or describe_validation: {raw}"


def _may_hold_pydantic(handler: ast.ExceptHandler) -> bool:
    caught = (
        {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)} if handler.type else set()
    )
    return bool(caught & {"ValueError", "ValidationError", "Exception"})


def _quotes(handler: ast.ExceptHandler) -> Iterator[int]:
    for node in ast.walk(handler):
        value = None
        if isinstance(node, ast.FormattedValue):
            value = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("str", "repr"):
            value = node.args[0]
        if isinstance(value, ast.Name) and value.id == handler.name:
            yield node.lineno


OPTIONS = [
    ("--dose-pct", "-1"),
    ("--dose-pct", "nan"),
    ("--distance-mm", "0"),
    ("--criteria", "3"),
    ("--normalisation", "-2"),
    ("--normalisation", "nan"),
    ("--cutoff-pct", "200"),
    ("--cutoff-of", "mean"),
    ("--mode", "quick"),
    ("--max-gamma", "0.5"),
    ("--max-gamma", "inf"),
    ("--interp-fraction", "0"),
    ("--matrad-n", "9"),
    ("--fractions", "half"),
    ("--fractions", "0"),
    ("--dose-type", "biological"),
    ("--summation", "beams"),
    ("--summation", "plan,beam,plan"),
    ("--relative-unit-gy", "-1"),
    ("--plane-mm", "0"),
    ("--dose-unit", "rad"),
    ("--prescription-gy", "-5"),
    ("--threads", "0"),
]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_an_option_out_of_range_is_one_sentence(option, value, tmp_path, capsys):
    import numpy as np

    from qa_suite.core.volume import Grid, Volume
    from qa_suite.io.images import write_image

    dose = Volume(
        array=np.linspace(1, 60, 27, dtype=np.float32).reshape(3, 3, 3),
        grid=Grid(shape=(3, 3, 3), spacing_mm=(2, 2, 2)),
        quantity="Gy",
    )
    write_image(dose, tmp_path / "d.nii.gz")
    words = ["gamma", str(tmp_path / "d.nii.gz"), str(tmp_path / "d.nii.gz"), option, value]
    more = ["--cutoff-of", "prescription"] if option == "--prescription-gy" else []
    assert run([*words, *more]) == 2
    said = capsys.readouterr().err
    assert not PYTHON.search(said), said


@pytest.mark.parametrize(
    "text",
    [
        "- {structure: PTV, goal: 'D95 is high', source: x}",
        "- {structure: PTV, goal: [D95, 60], source: x}",
        "- [PTV, D95]",
        "- {structure: {name: PTV}, goal: 'D95 >= 60 Gy', source: x}",
        "- 7",
    ],
)
def test_goals_are_refused_in_words(text, tmp_path):
    from qa_suite.core.errors import Problems
    from qa_suite.dose.dvh.goals import load_goals

    (tmp_path / "goals.yaml").write_text(text)
    with pytest.raises(Problems) as caught:
        load_goals(tmp_path / "goals.yaml")
    assert not PYTHON.search(str(caught.value)), caught.value
