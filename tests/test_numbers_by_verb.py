"""A number that cannot be is refused by every verb, before its work and never as our mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qa_suite.cli import app, run
from tests.verb_cases import command, make_material

ALSO = {"preflight": ["tiny"], "dashboard": ["--headless"], "power": ["gap"]}
WORK = (
    "qa_suite.cli.checks.check_cases",
    "qa_suite.cli.demo._demo",
    "qa_suite.lab.phantom.make._make",
    "qa_suite.lab.exam.run._exam",
    "qa_suite.lab.utility.experiment._measure",
    "qa_suite.evaluation.evaluate._evaluate",
    "qa_suite.instruments.registering._train_and_register",
    "translators.registry.train._train",
    "reports.dashboard.launch",
)
WRONG = ("-1", "0", "nan", "inf", "-inf", "1e400", "99999999999999999999")


class Reached(Exception):
    """The work would have begun."""


def numbers() -> Iterator[tuple[str, str]]:
    """Every option of every verb that takes a number."""
    import typer

    root: Any = typer.main.get_command(app)
    for verb, one in root.commands.items():
        for param in one.params:
            kind = str(getattr(param.type_descriptor, "annotation", ""))
            if param.opts[0].startswith("--") and ("int" in kind or "float" in kind):
                yield verb, param.opts[0]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    make_material(folder)
    return folder


def test_the_numbers_are_found() -> None:
    found = set(numbers())
    assert len(found) > 40
    assert {("phantom", "--patients"), ("dashboard", "--port"), ("power", "--share")} <= found


@pytest.mark.parametrize(("verb", "option"), sorted(numbers()))
def test_a_number_that_cannot_be_is_no_mistake_of_ours(
    ready: Path, own_store: Path, tmp_path: Path, monkeypatch, capsys, verb: str, option: str
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise Reached

    for place in WORK:
        monkeypatch.setattr(place, reached)
    monkeypatch.chdir(ready)
    words = [verb, *ALSO[verb]] if verb in ALSO else command(verb, tmp_path / "out")
    for wrong in WRONG:
        status = run([*words, f"{option}={wrong}"])
        said = capsys.readouterr().err
        if status == 4:
            assert "Reached" in said, f"{option}={wrong}: {said[-300:]}"
            assert wrong not in ("nan", "-inf", "1e400"), f"{option}={wrong} went on to the work"
