"""Options written once: the fields of one model are a verb's options and the keys of its file.

A verb takes one model. Each field says what it means, its default and, where that is not its own
name, what the option is called. From that come the command line, with its help, and what
``--settings FILE`` may hold. What the command line says overrules the file.
"""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.names import name_problems

SETTINGS_HELP = (
    "YAML file with these options by their names; what is said on the command line overrules it."
)
REQUIRED: Any = ...
Model = TypeVar("Model", bound="Options")


def option(default: Any, help: str, name: str = "", **bounds: Any) -> Any:
    """Describe an option.

    Parameters
    ----------
    default, help
        Its value where it is not given, and what it means.
    name
        What it is called where that is not the field's name.
    bounds
        Of a number: ``ge``, ``gt``, ``le``, ``lt``, as pydantic has them.
    """
    facts: Any = {"kind": "option", "name": name}
    return Field(default, description=help, json_schema_extra=facts, **bounds)


def argument(default: Any, help: str) -> Any:
    """Describe an argument: it stands on the command line and never in a file."""
    return Field(default, description=help, json_schema_extra={"kind": "argument"})


def block(model: str, help: str, said_by: Mapping[str, str] | None = None) -> Any:
    """Describe a block of settings that only a file can give, since no option reaches them.

    Parameters
    ----------
    model
        Where the block's pydantic model is, ``module:name``; imported when there is a block.
    help
        What it decides.
    said_by
        Keys of the block that are an option's business, and the option's name.
    """
    facts: Any = {"kind": "block", "model": model, "said_by": dict(said_by or {})}
    return Field(default_factory=dict, description=help, json_schema_extra=facts)


def _joined(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([str(one) for one in value])
    return text.getvalue()


def names(text: str) -> list[str]:
    """Read several names; one that holds a comma stands in double quotes.

    Examples
    --------
    >>> names('a, "Dice of bone, worst", b')
    ['a', 'Dice of bone, worst', 'b']
    """
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [name.strip() for row in rows for name in row if name.strip()]


def _named(value: str | None) -> str | None:
    if value is not None and (problems := name_problems(value)):
        raise ValueError(f"this is no name: {'; '.join(problems)}")
    return value


Name = Annotated[str, AfterValidator(_named)]
"""A name of the one rule for names."""
NameOrNone = Annotated[str | None, AfterValidator(_named)]

Commas = Annotated[str, BeforeValidator(_joined)]
"""Several by comma on the command line (one with a comma in quotes), and a list in a file."""


class Options(BaseModel):
    """What a verb is asked."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_people_write_it(cls, value: Any, info: ValidationInfo) -> Any:
        """Take one for a list of one; do not take yes or no for a number or a text."""
        kind = _kind(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and kind is not bool:
            word = "yes" if value else "no"
            raise ValueError(f"{word} is no answer here; write a text in quotes")
        if get_origin(kind) is tuple and not isinstance(value, list | tuple | dict | NoneType):
            return (value,)
        return value


def add_verb(
    app: typer.Typer,
    function: Callable[[Any], Any],
    model: type[Options],
    name: str | None = None,
    *,
    writes: str = "",
    writes_file: str = "",
) -> None:
    """Add a verb to the command: a function that takes what it is asked as one model.

    Parameters
    ----------
    app
        The command.
    function, model
        What it does, and what it may be asked.
    name
        Of the verb; by default the function's.
    writes, writes_file
        The field that names the folder, or the file, that it writes: no other process may write
        there meanwhile, and one that cannot be written is refused before the work begins.
    """
    from qa_suite.core.one_writer import writing

    verb = name or function.__name__

    @wraps(function)
    def run(ctx: typer.Context, settings: Path | None = None, **values: Any) -> Any:
        said = {
            key: value
            for key, value in values.items()
            if (source := ctx.get_parameter_source(key)) and source.name == "COMMANDLINE"
        }
        asked = read_options(model, said, settings)
        place = getattr(asked, writes or writes_file) if writes or writes_file else None
        with writing(place, verb, file=bool(writes_file)):
            return function(asked)

    keyword = inspect.Parameter.KEYWORD_ONLY
    settings = Annotated[Path | None, typer.Option("--settings", help=SETTINGS_HELP)]
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(_parameter(field, info) for field, info in model.model_fields.items() if _shown(info)),
        inspect.Parameter("settings", keyword, annotation=settings, default=None),
    ]
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command(verb)(run)


def _shown(info: FieldInfo) -> bool:
    return _facts(info)["kind"] != "block"


def _facts(info: FieldInfo) -> dict[str, Any]:
    facts = info.json_schema_extra
    assert isinstance(facts, dict)
    return facts


def _key(field: str, info: FieldInfo) -> str:
    """Return what a field is called in a file."""
    return _facts(info).get("name") or field


def _parameter(field: str, info: FieldInfo) -> inspect.Parameter:
    """Return a field as a parameter that typer makes an option or an argument of."""
    kind, default, text = _kind(info.annotation), info.default, info.description or ""
    several = get_origin(kind) is tuple
    shown: Any = list[get_args(kind)[0]] if several else str if _is_choice(kind) else kind  # type: ignore[misc]
    declared: Any
    if _facts(info)["kind"] == "argument":
        declared = typer.Argument(help=text)
        if info.is_required():
            default = inspect.Parameter.empty
    else:
        long = "--" + _key(field, info).replace("_", "-")
        if kind is bool:
            long = f"{long}/--no-{long[2:]}"
        if info.is_required():
            text += " Required."
        declared = typer.Option(long, help=text, show_default=default is not False)
        if several or info.is_required():
            default = None
    if default is None:
        shown = shown | None
    return inspect.Parameter(
        field,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[shown, declared],
        default=default,
    )


def _kind(annotation: Any) -> Any:
    """Return the type of a field that may be None without the None."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    kinds = [part for part in get_args(annotation) if part is not NoneType]
    return kinds[0] if len(kinds) == 1 else annotation


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


# ---------------------------------------------------------------------------------------
# From a file and a command line to one model


def read_options(model: type[Model], said: Mapping[str, Any], path: Path | None = None) -> Model:
    """Return what is asked by the command line and a file of settings.

    Parameters
    ----------
    model
        What may be asked.
    said
        What the command line says, by field.
    path
        YAML file of settings; None without one.

    Raises
    ------
    InputError
        If the file is no YAML or no block of keys.
    Problems
        With every unknown key, value that cannot be, and option that is missing.
    """
    told, problems = ({}, []) if path is None else _read_file(model, path)
    found = None
    try:
        found = model(**{**told, **said})
    except ValidationError as error:
        problems += _sentences(model, error, said, path)
    raise_problems("The request", problems)
    assert found is not None
    return found


def _sentences(
    model: type[Options], error: ValidationError, said: Mapping[str, Any], path: Path | None
) -> Iterator[str]:
    """Say what is wrong, each with where it was said."""
    from qa_suite.core.validation import describe_validation

    missing = {item["loc"][0] for item in error.errors() if item["type"] == "missing"}
    for sentence in describe_validation(error):
        field, _, rest = sentence.partition(": ")
        field, *inside = field.split(".")
        key = _key(field, info := model.model_fields[field])
        dashed = "--" + key.replace("_", "-")
        if field in missing:
            yield f"{dashed} is missing: {info.description}"
        elif field in said:
            yield f"{dashed}: {rest}"
        else:
            yield f"{path}: {'.'.join([key, *inside])}: {rest}"


def _read_file(model: type[Options], path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a file says, by field, and what is wrong with its keys and blocks."""
    from qa_suite.core.registry import unknown_name
    from qa_suite.core.yaml_files import read_yaml

    if not path.is_file():
        raise InputError(f"There is no file of settings at {path}.")
    content = read_yaml(path)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise InputError(f"{path} is no file of settings: a block of keys is needed.")
    fields = {_key(field, info): field for field, info in model.model_fields.items()}
    told: dict[str, Any] = {}
    problems = []
    for word, value in content.items():
        key = str(word).removeprefix("--").replace("-", "_")
        if key not in fields:
            close = unknown_name("key", str(word), sorted(k for k in fields if k))
            problems.append(f"{path}: {close.rstrip('.')}")
            continue
        field = fields[key]
        facts = _facts(model.model_fields[field])
        if field in told:
            problems.append(f"{path}: {word} is there twice")
        elif facts["kind"] == "argument":
            problems.append(f"{path}: {word} is an argument of the command, not a setting")
        else:
            told[field] = value
        if facts["kind"] == "block":
            problems += [f"{path}: {what}" for what in _block_problems(key, value, facts)]
    return told, problems


def _block_problems(key: str, value: Any, facts: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong in a block of settings, its unknown keys with close matches."""
    from qa_suite.core.validation import describe_validation

    if not isinstance(value, dict):
        yield f"{key}: a block of keys is needed"
        return
    for place, name in facts["said_by"].items():
        if _holds(value, place.split(".")):
            yield f"{key}.{place} is the key {name} of this file, or an option; say it there"
    module, _, name = facts["model"].partition(":")
    model = getattr(import_module(module), name)
    unknown = dict(_unknown_keys(model, value, f"{key}."))
    yield from unknown.values()
    try:
        model(**value)
    except ValidationError as error:
        for sentence in describe_validation(error):
            if f"{key}.{sentence.partition(':')[0]}" not in unknown:
                yield f"{key}.{sentence}"


def _holds(value: Any, way: Sequence[str]) -> bool:
    for step in way:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _unknown_keys(
    model: type[BaseModel], value: Mapping[Any, Any], prefix: str
) -> Iterator[tuple[str, str]]:
    """Yield each unknown key of nested blocks with its sentence."""
    from qa_suite.core.registry import unknown_name

    for key, inner in value.items():
        if key not in model.model_fields:
            said = unknown_name(
                "key", f"{prefix}{key}", [f"{prefix}{k}" for k in model.model_fields]
            )
            yield f"{prefix}{key}", said.rstrip(".")
            continue
        kind = _kind(model.model_fields[key].annotation) if isinstance(inner, dict) else None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _unknown_keys(kind, inner, f"{prefix}{key}.")
