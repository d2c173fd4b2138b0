"""A criteria file, read whole: every problem of it at once, each with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.records import Criterion, Described, Profile
from qa_suite.core.records.profile import contradictions
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import name_of_place, placed_validation
from qa_suite.core.wording import listing
from qa_suite.core.yaml_files import unreadable
from qa_suite.core.yaml_lines import Place, Written, read_as_written
from qa_suite.judging.criteria.asked import has_power, not_asked_of, planned_patients
from qa_suite.judging.criteria.checks import (
    criterion_problems,
    measure_problems,
    profile_problems,
    repeated,
)
from qa_suite.judging.criteria.family import family_problems
from qa_suite.judging.criteria.measures import Measures
from qa_suite.judging.references import hazard_keys

Found = Iterator[tuple[Place, str]]


def read_profile(path: Path, measures: Measures | None) -> Profile:
    """Read a profile from a file.

    Parameters
    ----------
    path
        Of the YAML.
    measures
        What is known of the measures; None checks nothing of them.

    Raises
    ------
    InputError
        If it is no YAML, or holds no block of keys.
    Problems
        With everything that is wrong with it, by line.
    """
    written = read_as_written(path)
    if not isinstance(written.data, dict) or not Profile.model_fields.keys() & written.data.keys():
        if written.problems:
            raise unreadable(path, "; ".join(one.sentence for one in written.problems))
        raise InputError(f"{path} holds no profile; see docs/judging.md for what one says.")
    said = [(one.line, f"line {one.line}: {one.sentence}") for one in written.problems]
    profile, wrong = _validated(Profile, written.data)
    given = _sound(Profile, written.data, wrong)
    found = [
        *(one for one in wrong if not _of_a_whole_criterion(one[0])),
        *_of_profile(written.data, given, measures),
    ]
    said += [_placed(written, place, sentence) for place, sentence in found]
    if profile is not None and not said:
        said = [_placed(written, place, text) for place, text in _of_the_plan(profile)]
    raise_problems(str(path), [text for _, text in sorted(dict.fromkeys(said))])
    assert profile is not None
    return profile


def _of_the_plan(profile: Profile) -> Found:
    """Hold ``min_patients`` to the power that the profile promises."""
    needed = planned_patients(profile)
    for at, criterion in enumerate(profile.criteria):
        if needed is not None and has_power(criterion) and criterion.min_patients < needed:
            yield (
                ("criteria", at, "min_patients"),
                f"criteria.{at}.min_patients ('{criterion.name}'): {criterion.min_patients} are "
                f"fewer than the {needed} that the planned power needs",
            )


def _of_a_whole_criterion(place: Place) -> bool:
    """Whether pydantic says that a criterion contradicts itself, which is said by its keys too."""
    return len(place) == 2 and place[0] == "criteria"


def _placed(written: Written, place: Place, sentence: str) -> tuple[int, str]:
    line = written.line_of(place)
    return line, f"line {line}: {sentence}"


def _validated(
    kind: type[BaseModel], data: Mapping[str, Any]
) -> tuple[Any, list[tuple[Place, str]]]:
    """Read a block as a model, in strict types: a text is no number, ``yes`` is none either."""
    try:
        return kind.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, placed_validation(error)


def _sound(
    kind: type[BaseModel], data: Any, wrong: list[tuple[Place, str]], *, under: Place = ()
) -> dict[str, Any]:
    """Return the values of a block that can be read, with the defaults of what is not said."""
    if not isinstance(data, dict):
        return {}
    bad = {
        place[len(under)]
        for place, _ in wrong
        if place[: len(under)] == under and len(place) > len(under)
    }
    defaults = {
        key: field.default
        for key, field in kind.model_fields.items()
        if not field.is_required() and field.default_factory is None
    }
    known = {key: data[key] for key in data if key in kind.model_fields and data[key] is not None}
    return {key: value for key, value in (defaults | known).items() if key not in bad}


def _of_profile(
    data: Mapping[str, Any], given: Mapping[str, Any], measures: Measures | None
) -> Found:
    for key, sentence in profile_problems(given):
        yield (key,), f"{key}: {sentence}"
    direction = given.get("direction", "any")
    blocks = list(_blocks(data, "criteria", Criterion))
    if given.get("schema_version") == 2:
        yield from _of_schema_2(data, given, blocks)
    for place, _, one in blocks:
        for key, sentence in (*contradictions(one), *criterion_problems(one)):
            yield _said((*place, key), one, sentence)
    yield from family_problems(given, [one for _, _, one in blocks])
    for at, key, sentence in repeated([one for _, _, one in blocks]):
        place, _, one = blocks[at]
        yield _said((*place, key) if key else place, one, sentence)
    if measures is None:
        return
    for place, _, one in [*blocks, *_blocks(data, "describe", Described)]:
        for key, sentence in measure_problems(one, direction, measures):
            yield _said((*place, key), one, sentence)


def _of_schema_2(
    data: Mapping[str, Any],
    given: Mapping[str, Any],
    blocks: list[tuple[Place, Any, dict[str, Any]]],
) -> Found:
    """Ask of a profile of schema 2 what one of schema 1 need not say."""
    for key in ("clinical", "does_not_ask"):
        if data.get(key) in (None, [], [""]):
            yield (key,), f"{key}: field required by schema 2"
    for place, block, one in blocks:
        for key in ("rationale", "population"):
            if not block.get(key):
                yield _said((*place, key), one, "field required by schema 2")
    unknown = set(given.get("hazards") or ()) - set(hazard_keys())
    for name in sorted(map(str, unknown)):
        yield ("hazards",), unknown_name("hazard", name, list(hazard_keys()))
    if given.get("clinical") and (lacking := not_asked_of(one for _, _, one in blocks)):
        yield (
            ("clinical",),
            f"clinical: a profile that carries a clinical decision bounds more than the image; "
            f"it lacks {listing(lacking)}",
        )


def _blocks(
    data: Mapping[str, Any], key: str, kind: type[BaseModel]
) -> Iterator[tuple[Place, Any, dict[str, Any]]]:
    """Yield place, block and sound values of each item of a list of the profile."""
    items = data.get(key)
    for at, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            _, wrong = _validated(kind, item)
            yield (key, at), item, _sound(kind, item, wrong)


def _said(place: Place, one: Mapping[str, Any], sentence: str) -> tuple[Place, str]:
    name = one.get("name")
    whose = f" ('{name}')" if isinstance(name, str) and name.strip() else ""
    return place, f"{name_of_place(place)}{whose}: {sentence}"
