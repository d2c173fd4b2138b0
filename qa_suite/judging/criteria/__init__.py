"""Criteria profiles: YAML for people, checked as a whole when they are read.

A profile says what an evaluation must show for one kind of use. Those beside this file are
found by name; anyone's own is found by path. Every bound carries its source.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import ValidationError

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.records import Profile
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import read_yaml

_FOLDER = Path(__file__).parent
_SUFFIXES = (".yaml", ".yml")


def list_profiles() -> tuple[Profile, ...]:
    """Return the profiles that come with the suite, by name."""
    return tuple(
        load_profile(path) for path in sorted(_FOLDER.glob("*.yaml"), key=lambda path: path.stem)
    )


def load_profile(name_or_path: str | Path) -> Profile:
    """Read a profile by its name among those that come with the suite, or by its path.

    Anything that ends in ``.yaml`` or ``.yml`` is a path.

    Raises
    ------
    UnknownName
        If there is no profile of that name; the message lists the close matches.
    InputError
        If the file does not exist or is no YAML.
    Problems
        With every problem of the profile: unknown keys, missing sources, bounds that
        contradict themselves, two criteria of one name.
    """
    path = _find(name_or_path)
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no profile; see docs/judging.md for what one says.")
    try:
        profile = Profile.model_validate(data)
    except ValidationError as error:
        raise Problems(str(path), describe_validation(error)) from None
    twice = _named_twice(profile)
    if twice:
        raise Problems(str(path), [f"two criteria are named '{name}'" for name in twice])
    return profile


def _named_twice(profile: Profile) -> list[str]:
    names = [criterion.name for criterion in profile.criteria]
    return sorted({name for name in names if names.count(name) > 1})


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text.endswith(_SUFFIXES):
        path = Path(name_or_path)
        if not path.is_file():
            raise InputError(f"There is no profile at {path}.")
        return path
    known = {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}
    if text not in known:
        close = difflib.get_close_matches(text, list(known), n=3) or sorted(known)
        raise UnknownName(
            f"Unknown profile {text!r}; did you mean {' or '.join(close)}? A profile of your own "
            f"is given by its path, ending in .yaml."
        )
    return known[text]
