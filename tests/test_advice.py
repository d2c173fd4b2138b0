"""Never advice that names what does not exist: one test over every text that people read."""

from __future__ import annotations

import pytest

from tests.advice import Text, paragraphs, problems, sentences, texts
from tests.conftest import ROOT


def test_what_a_text_names_exists() -> None:
    found = {f"{text.place}: {problem}" for text in texts() for problem in problems(text)}
    assert not found, "\n".join(sorted(found))


def test_enough_is_looked_at() -> None:
    """A change of how texts are collected must not empty the test."""
    every = list(texts())
    for word, least in (("--", 150), ("qa-suite ", 100), ("docs/", 20), ("MLFLOW_", 5)):
        assert sum(word in text.words for text in every) >= least, word


BROKEN = [
    ("try 'qa-suite juge FOLDER'", "no verb juge"),
    ("'qa-suite judge {folder} --profil NAME' does", "judge has no option --profil"),
    ("name one with --keyring or leave it", "option --keyring"),
    ("give `qa-suite evaluate COHORT --seed 3` a seed", "evaluate has no option --seed"),
    ("run 'make examine' first", "no target examine"),
    ("see docs/familes/external.md for more", "no docs/familes/external.md"),
    ("as in `qa-suite judge x --profile mr-to-ct-pelwis`", "--profile knows no mr-to-ct-pelwis"),
    ("as in `qa-suite train regresion cohort`", "no specification regresion"),
    ("as in `qa-suite list metric`", "list knows no metric"),
    ("as in `qa-suite exam --faults shift,swop`", "--faults knows no swop"),
    ("the metric `largest_falze_depth` says", "is called largest_falze_depth"),
    ("bounded by `mr-to-ct-pelwis`", "is called mr-to-ct-pelwis"),
    ("set MLFLOW_TRAKING_URI to it", "variable MLFLOW_TRAKING_URI"),
    ("set QA_SUITE_DBUG=1", "variable QA_SUITE_DBUG"),
    ("see inference.batches for it", "no inference.batches"),
    ("(external.timeout) is too short", "no external.timeout"),
]


@pytest.mark.parametrize(("words", "expected"), BROKEN)
def test_advice_that_is_broken_by_hand_is_found(words: str, expected: str) -> None:
    (inside,) = sentences(f"raise InputError({words!r})", "x.py")
    assert any(expected in problem for problem in problems(inside)), list(problems(inside))
    as_page = list(paragraphs(words, "x.md", page=ROOT / "docs" / "x.md"))
    assert any(expected in problem for text in as_page for problem in problems(text))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("see [this](dosis.md)", "no page dosis.md"),
        ("see [this](exam.md#nowhere)", "exam.md has no heading #nowhere"),
        ("    qa-suite evaluate cohorts/a --foo", "evaluate has no option --foo"),
    ],
)
def test_links_and_lines_of_code_of_a_page(words: str, expected: str) -> None:
    (text,) = paragraphs(words, "x.md", page=ROOT / "docs" / "x.md")
    assert any(expected in problem for problem in problems(text))


def test_a_gap_of_a_message_and_a_foreign_command_are_no_advice() -> None:
    (text,) = sentences("f\"'qa-suite judge {folder} --profile {name}' does\"", "x.py")
    assert list(problems(text)) == []
    page = ROOT / "docs" / "x.md"
    foreign = Text(place="x", words="    mlflow models predict --env-manager local", page=page)
    assert list(problems(foreign)) == []
