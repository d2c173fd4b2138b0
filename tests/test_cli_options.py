"""Options are written once: what a verb's model holds is its command line and its settings file.

The properties run over every verb that takes a model.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
import yaml

from qa_suite.cli import app, run
from qa_suite.cli import options as module
from qa_suite.cli.evaluate_options import EvaluateOptions
from qa_suite.cli.options import Options, add_verb, read_options
from qa_suite.core.errors import InputError, Problems
from qa_suite.evaluation.evaluate import EvaluationSettings
from qa_suite.preflight import PreflightSettings
from tests.tiny_cohort import make_tiny_cohort


def models() -> dict[str, type[Options]]:
    """Every verb that takes a model, and the model."""
    found = {}
    for command in app.registered_commands:
        inner: Any = inspect.unwrap(command.callback)
        (first, *_) = inspect.signature(inner).parameters.values()
        kind = inner.__globals__.get(first.annotation)
        if isinstance(kind, type) and issubclass(kind, Options):
            found[command.name or inner.__name__] = kind
    return found


VERBS = models()


def fields(model: type[Options], *kinds: str) -> dict[str, Any]:
    found = model.model_fields.items()
    return {name: info for name, info in found if module._facts(info)["kind"] in kinds}


def key_of(model: type[Options], field: str) -> str:
    return module._key(field, model.model_fields[field])


def value_of(info: Any) -> Any:
    """A value of a field that is not its default, as it stands in YAML."""
    kind = module._kind(info.annotation)
    if kind is bool:
        return not info.default
    if get_origin(kind) is Literal:
        return next(word for word in get_args(kind) if word != info.default)
    if get_origin(kind) is tuple:
        return ["one", "two"]
    share = kind is float and is_share(info)
    return {int: 7, float: 0.625 if share else 2.25, str: "word", Path: "folder/file"}[kind]


def is_share(info: Any) -> bool:
    """Whether a number has a bound of 1 or less."""
    bounds = [getattr(b, "lt", None) or getattr(b, "le", None) for b in info.metadata]
    return any(bound is not None and bound <= 1 for bound in bounds)


def words_of(model: type[Options], field: str, value: Any) -> list[str]:
    """The words of a command line that say a value."""
    option = "--" + key_of(model, field).replace("_", "-")
    if isinstance(value, bool):
        return [option if value else f"--no-{option[2:]}"]
    several = value if isinstance(value, list) else [value]
    return [word for one in several for word in (option, str(one))]


def arguments(model: type[Options]) -> list[str]:
    """The words that the arguments of a verb need."""
    return [
        f"{name}-here" for name, info in fields(model, "argument").items() if info.is_required()
    ]


def needed(model: type[Options]) -> dict[str, Any]:
    """The options that must be said, by field."""
    found = fields(model, "option").items()
    return {name: value_of(info) for name, info in found if info.is_required()}


def parsed(model: type[Options], words: list[str]) -> Options:
    """What a verb of this model is asked by a command line."""
    caught = []

    def verb(asked: Options) -> None:
        caught.append(asked)

    mine = typer.Typer()
    add_verb(mine, verb, model)
    typer.main.get_command(mine).main(args=words, standalone_mode=False)
    (asked,) = caught
    return asked


def asked_by_file(model: type[Options], path: Path, told: dict[str, Any], *words: str) -> Options:
    keys = {key_of(model, field): value for field, value in told.items()}
    path.write_text(yaml.safe_dump(keys))
    return parsed(model, [*arguments(model), "--settings", str(path), *words])


def test_the_verbs_with_many_options_take_models() -> None:
    assert {"evaluate", "dose", "dvh", "gamma", "measure", "checkup", "preflight", "report"} <= set(
        VERBS
    )


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_and_a_name_of_its_own(verb: str) -> None:
    model = VERBS[verb]
    names = [key_of(model, field) for field in model.model_fields]
    assert len(set(names)) == len(names) and "settings" not in names
    assert all(info.description for info in model.model_fields.values())


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_says_what_the_command_line_says(verb: str, tmp_path: Path) -> None:
    model = VERBS[verb]
    must = needed(model)
    base = [word for f, v in must.items() for word in words_of(model, f, v)]
    for field, info in fields(model, "option").items():
        said = must | {field: value_of(info)}
        line = [*base, *words_of(model, field, said[field])]
        by_line = parsed(model, arguments(model) + (base if field in must else line))
        by_file = asked_by_file(model, tmp_path / "mine.yaml", said)
        assert by_file == by_line, field
        assert by_file.model_fields_set == by_line.model_fields_set


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_line_overrules_the_file(verb: str, tmp_path: Path) -> None:
    """Also a flag that the file sets can be taken back."""
    model = VERBS[verb]
    for field, info in fields(model, "option").items():
        if info.is_required():
            continue
        value, kind = value_of(info), module._kind(info.annotation)
        number = 0.75 if is_share(info) else 4.5
        others = {str: "other", int: 3, float: number, Path: "other", bool: info.default}
        other = others.get(kind, info.default if get_origin(kind) is Literal else ["three"])
        words = words_of(model, field, other)
        asked = asked_by_file(model, tmp_path / "m.yaml", needed(model) | {field: value}, *words)
        got = getattr(asked, field)
        expected = tuple(other) if isinstance(other, list) else other
        if kind == tuple[Path, ...]:
            expected = (Path("three"),)
        assert got == (Path(expected) if kind is Path else expected), field


@pytest.mark.parametrize("verb", VERBS)
def test_every_problem_of_a_file_is_said_at_once(verb: str, tmp_path: Path) -> None:
    model = VERBS[verb]
    path = tmp_path / "bad.yaml"
    option = next(iter(fields(model, "option")))
    wrong = key_of(model, option) + "x"
    arguments = list(fields(model, "argument"))[:1]  # the dashboard has none
    said = {wrong: 1, **dict.fromkeys(arguments, "x"), "json": "perhaps", "nowhere": 2}
    path.write_text(yaml.safe_dump(said))
    with pytest.raises(Problems) as caught:
        read_options(model, {}, path)
    text = str(caught.value)
    assert f"did you mean {key_of(model, option)}" in text
    assert all(f"{one} is an argument of the command" in text for one in arguments)
    assert "'nowhere'" in text
    assert text.count(str(path)) >= 3
    if "as_json" in model.model_fields:
        assert "json: input should be a valid boolean" in text
    for field in needed(model):
        assert f"--{key_of(model, field)} is missing" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("- a\n- b\n", "a block of keys is needed"),
        ("workers: [1, 2\n", "not a readable YAML file"),
        ("workers: 1\nworkers: 2\n", "'workers' is there twice, in lines 1 and 2"),
        ("dose-grid-mm: 1\ndose_grid_mm: 2\n", "dose_grid_mm is there twice"),
        ("workers: yes\n", "workers: yes is no answer here"),
        ("name: no\n", "name: no is no answer here"),
        ("keep_volumes: some\n", "keep_volumes: input should be 'worst', 'all' or 'none'"),
        ("max_misalignment_mm: .nan\n", "max_misalignment_mm: input should be a finite number"),
        ("plan: {a: b}\n", "plan: a list is needed"),
        ("preflight: 5\n", "preflight: a block of keys is needed"),
        ("preflight: {max_rotation_de: 5}\n", "did you mean preflight.max_rotation_deg"),
        ("preflight: {max_rotation_deg: -5}\n", "preflight.max_rotation_deg: input should be"),
        ("preflight: {max_misalignment_mm: 5}\n", "is the key max_misalignment_mm of this file"),
        ("measures: {dose: {grid_mm: 3}}\n", "is the key dose_grid_mm of this file"),
        ("measures: {dose: {causs: no}}\n", "did you mean measures.dose.causes"),
    ],
)
def test_what_a_file_cannot_say_is_one_sentence(tmp_path, monkeypatch, capsys, content, words):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(content)
    assert run(["evaluate", "nowhere", "oracle:truth", "--settings", "mine.yaml"]) == 2
    printed = capsys.readouterr().err
    assert words in printed and "mine.yaml" in printed and printed.count("\n") == 1


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file of settings at .*none\.yaml"):
        read_options(EvaluateOptions, {"cohort": Path("c")}, tmp_path / "none.yaml")


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# plan: photon-pelvis\n")
    said = {"cohort": Path("c")}
    assert read_options(EvaluateOptions, said, tmp_path / "empty.yaml") == EvaluateOptions(**said)


def test_one_is_a_list_of_one_and_a_list_is_written_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("plan: photon-pelvis\nfamilies: [image, dose]\n")
    asked = read_options(EvaluateOptions, {"cohort": Path("c")}, path)
    assert asked.plans == ("photon-pelvis",) and asked.families == "image,dose"


def test_defaults_and_choices_are_those_of_the_record() -> None:
    settings, asked = EvaluationSettings.model_fields, EvaluateOptions.model_fields
    for name in ("split", "keep_volumes", "dose_cases", "allow_leakage"):
        assert asked[name].default == settings[name].default
        assert get_args(asked[name].annotation) == get_args(settings[name].annotation)
    field = "max_misalignment_mm"
    assert asked[field].default == PreflightSettings.model_fields[field].default


@pytest.fixture
def examined(tmp_path, monkeypatch) -> list[Any]:
    """What is about to be measured; nothing is."""
    found: list[Any] = []

    def stop(examination: Any, *_: object, **__: object) -> None:
        found.append(examination)
        raise InputError("far enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("qa_suite.evaluation.evaluate.evaluate", stop)
    make_tiny_cohort(tmp_path / "tiny", "s")
    return found


def test_the_record_is_the_same_whoever_says_it(examined: list[Any]) -> None:
    line = "--plan photon-pelvis --hlut thomas-1999 --dose-grid-mm 6 --dose-cases one_per_site"
    Path("mine.yaml").write_text(
        "plan: photon-pelvis\nhlut: [thomas-1999]\ndose-grid-mm: 6\ndose_cases: one_per_site\n"
        "max_misalignment_mm: 30\n"
    )
    evaluate = ["evaluate", "tiny", "oracle:truth", "--no-track", "--max-misalignment-mm", "8"]
    assert run([*evaluate, *line.split()]) == run([*evaluate, "--settings", "mine.yaml"]) == 2
    one, other = (examination.settings for examination in examined)
    assert one == other and one.preflight.max_misalignment_mm == 8
    assert one.measures.dose.grid_mm == 6 and one.dose_cases == "one_per_site"


def test_settings_that_no_option_reaches_are_recorded(examined: list[Any]) -> None:
    Path("mine.yaml").write_text(
        "plan: photon-pelvis\nhlut: thomas-1999\nfamilies: [image, dose]\n"
        "preflight: {max_rotation_deg: 4}\n"
        "measures: {dose: {causes: false, gamma: [{dose_pct: 2, distance_mm: 1}]}}\n"
    )
    assert run(["evaluate", "tiny", "oracle:truth", "--settings", "mine.yaml"]) == 2
    (settings,) = (examination.settings for examination in examined)
    dose = settings.measures.dose
    assert settings.preflight.max_rotation_deg == 4 and settings.families == ("image", "dose")
    assert not dose.causes and [(g.dose_pct, g.distance_mm) for g in dose.gamma] == [(2, 1)]
    assert [choice.key for choice in dose.plans] == ["photon-pelvis"]


def test_an_unknown_family_is_refused_before_anything_is_measured(examined, capsys) -> None:
    assert run(["evaluate", "tiny", "oracle:truth", "--families", "imag"]) == 2
    assert "did you mean image" in capsys.readouterr().err and not examined


def test_a_default_of_a_python_caller_is_checked_too() -> None:
    with pytest.raises(ValueError, match="keep_volumes"):
        EvaluateOptions(cohort=Path("c"), keep_volumes="some")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a, b ,,c", ["a", "b", "c"]),
        ('"Dice of bone, worst",b', ["Dice of bone, worst", "b"]),
        ('a, "says ""so"", here"', ["a", 'says "so", here']),
    ],
)
def test_a_name_with_a_comma_stands_in_quotes(text: str, found: list[str]) -> None:
    from pydantic import TypeAdapter

    from qa_suite.cli.options import Commas, names

    assert names(text) == found
    assert names(TypeAdapter(Commas).validate_python(found)) == found  # as a file gives them
