"""Reading specifications: from YAML files, or by the name of a bundled one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qa_suite.core.errors import InputError, UnknownName, raise_problems
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import read_yaml
from translators.spec.families import blocks_of_all, spec_type
from translators.spec.translator import TranslatorSpec

CONFIG_FOLDER = Path(__file__).parent.parent / "configs"


def config_names() -> tuple[str, ...]:
    """Names of the specifications that come with the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))


def load_spec(path_or_name: str | Path) -> TranslatorSpec:
    """Read a specification from a YAML (or JSON) file, or by the name of a bundled one.

    Raises
    ------
    InputError
        If there is no such file or name, or it is no YAML mapping.
    Problems
        With one sentence for every unknown key or impossible value.
    """
    path = Path(path_or_name)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        path = CONFIG_FOLDER / f"{path_or_name}.yaml"
        if not path.is_file():
            sentence = unknown_name("specification", str(path_or_name), list(config_names()))
            raise InputError(f"{sentence} A path to a .yaml file is taken too.")
    if not path.is_file():
        raise InputError(f"There is no specification at {path}.")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no specification; start from one in translators/configs.")
    return parse_spec(data, subject=str(path))


def parse_spec(data: dict[str, Any], *, subject: str) -> TranslatorSpec:
    """Validate plain data as a specification of its family.

    Parameters
    ----------
    data
        As YAML or JSON gives it. A block of another family may be there as null, as
        specifications that version 0.1 saved have them all.
    subject
        Names it in the error.

    Raises
    ------
    Problems
        With one sentence for every unknown key or impossible value.
    UnknownName
        If there is no such family.
    """
    name = data.get("family")
    if not isinstance(name, str):
        return _validated(TranslatorSpec, data, subject, [])
    try:
        kind = spec_type(name)
    except UnknownName as error:
        raise UnknownName(f"{subject}: {error}") from None
    strange = {key for key in data if key not in kind.model_fields}
    others = strange & blocks_of_all() if strange else set[str]()
    told = [f"family {name} takes no '{b}'" for b in sorted(others) if data[b] is not None]
    return _validated(kind, {k: v for k, v in data.items() if k not in others}, subject, told)


def _validated(
    kind: type[TranslatorSpec], data: dict[str, Any], subject: str, problems: list[str]
) -> TranslatorSpec:
    try:
        found = kind.model_validate(data)
    except ValidationError as error:
        problems = [*describe_validation(error), *problems]
    raise_problems(subject, problems)
    return found
