"""Criteria profiles: YAML for people, checked as a whole when they are read.

A profile says what an evaluation must show for one kind of use. Those beside this file are
found by name; anyone's own is found by path. Every bound carries its source.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.records import Profile
from qa_suite.judging.criteria.measures import Measures
from qa_suite.judging.criteria.reading import read_profile

_FOLDER = Path(__file__).parent
_SUFFIXES = (".yaml", ".yml")


def list_profiles() -> tuple[Profile, ...]:
    """Return the profiles that come with the suite, by name."""
    return tuple(
        load_profile(path) for path in sorted(_FOLDER.glob("*.yaml"), key=lambda path: path.stem)
    )


def load_profile(name_or_path: str | Path, measures: Measures | None = None) -> Profile:
    """Read a profile by its name among those that come with the suite, or by its path.

    Anything that ends in ``.yaml`` or ``.yml`` is a path. Who can know the measures reads it with
    :func:`qa_suite.evaluation.profiles.load_profile`.

    Parameters
    ----------
    name_or_path
        Of the profile.
    measures
        What is known of the measures that it may bound; None checks none of them.

    Raises
    ------
    UnknownName
        If there is no profile of that name; the message lists the close matches.
    InputError
        If the file does not exist or is no YAML.
    Problems
        With every problem of the profile and its line: unknown keys, keys twice, values of another
        type, blank sources, bounds that contradict themselves, ask nothing or ask twice; and, of
        what is known, unknown metrics, regions and variants, wrong units, bounds on the wrong side.
    """
    return read_profile(_find(name_or_path), measures)


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
