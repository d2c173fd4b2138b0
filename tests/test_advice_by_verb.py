"""A message names options of the very verb that says it, and its command lines can be run."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.advice import GAP, LABELS, texts, verbs
from tests.advice_graph import messages, modules, reached, verb_functions

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
COMMAND = re.compile(r"(?:(?<=['`\"])|^)qa-suite ([a-z][\w-]*)([^'`\"]*)")


EXCUSED = {
    ("qa_suite.api.examinations", "examined"): "only evaluate hands it --ask",
    ("qa_suite.cli.flows", "run_evaluation"): "only evaluate leaves model and images open",
}
"""Functions that verbs share, and why a verb cannot get to a message of theirs.

The verb demo is left out as a whole: it calls the others with values of its own.
"""


def without_commands(words: str) -> str:
    """A text without command lines of other programs and of verbs that it names itself."""
    return re.sub(r"'[^']*'|`[^`]*`", " ", COMMAND.sub(" ", words))


def wrong_options(verb: str, options: frozenset[str]) -> set[str]:
    """Every message that a verb of these options can say and that names another one."""
    return {
        f"{place}: qa-suite {verb} has no {option}: {words}"
        for key in reached(verb_functions()[verb])
        for place, words in messages(key)
        for option in OPTION.findall(without_commands(words))
        if option not in options and " " in words.strip() and key not in EXCUSED
    }


@pytest.mark.parametrize("verb", sorted(set(verb_functions()) - {"demo"}))
def test_options_that_a_message_names_are_its_verbs_own(verb: str) -> None:
    wrong = wrong_options(verb, verbs()[verb])
    assert not wrong, "\n".join(sorted(wrong))


def test_an_option_that_goes_away_leaves_its_advice_behind_and_is_found() -> None:
    gone = "--prescription-gy"
    (found,) = wrong_options("gamma", verbs()["gamma"] - {gone})
    assert gone in found


def test_every_verb_leads_somewhere() -> None:
    assert set(verb_functions()) == set(verbs())
    for verb, function in verb_functions().items():
        assert function[0] in modules()
        assert len(reached(function)) > 2, verb
    gamma = reached(verb_functions()["gamma"])
    assert ("qa_suite.io.rt.dose.advice", "require_scale") in gamma
    assert ("qa_suite.dose.gamma.shells", "require_an_end") in gamma


QUOTED = re.compile(r"(?:^|(?P<mark>['`]))qa-suite (?P<verb>[a-z][\w-]*)(?P<rest>.*)")


def command_lines() -> list[tuple[str, str, str]]:
    """Every command line of the suite that a message, a help or a page quotes.

    A verb alone, or with an option alone, is a mention and no command line.
    """
    found = []
    for text in texts():
        for label in LABELS:
            if label in text.words:
                break
        else:
            words = re.sub(r"\s+", " ", text.words.strip())
            for start in re.finditer(r"(?:^|['`])qa-suite ", words):
                line = QUOTED.match(words[start.start() :])
                if line is None:
                    continue
                rest = line["rest"].split("  #")[0].split(" #")[0].rstrip("\\")
                if line["mark"]:
                    rest = rest.split(line["mark"])[0]
                if any(not word.startswith("-") for word in rest.split()):
                    found.append((text.place, line["verb"], rest))
    return found


def arguments_of(verb: str, rest: str) -> list[str]:
    """The words of a command line, each gap filled with what its place takes."""
    import typer

    from qa_suite.cli import app

    command: Any = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    options = {word: param for param in command.params for word in param.opts}
    words = shlex.split(rest.replace("…", "").replace("...", ""), posix=True)
    filled, before = [], None
    for word in words:
        param = options.get(before or "")
        kind = str(getattr(getattr(param, "type_descriptor", None), "annotation", ""))
        number = "int" in kind or "float" in kind
        filled.append(word.replace(GAP, "1" if number else "x"))
        before = word if word.startswith("--") else None
    return filled


def test_every_command_line_that_is_quoted_can_be_run() -> None:
    """Parsed by the verb itself, up to where it would begin its work."""
    import click
    import typer
    from typer.exceptions import TyperException

    from qa_suite.cli import app

    root: Any = typer.main.get_command(app)
    lines = command_lines()
    assert len(lines) > 100
    wrong = set()
    for place, verb, rest in lines:
        if verb not in root.commands:
            wrong.add(f"{place}: there is no verb {verb}")
            continue
        try:
            words = arguments_of(verb, rest)
            root.commands[verb].make_context(verb, words, resilient_parsing=False)
        except (click.ClickException, TyperException, ValueError) as error:
            wrong.add(f"{place}: qa-suite {verb}{rest}: {getattr(error, 'message', error)}")
    assert not wrong, "\n".join(sorted(wrong))
