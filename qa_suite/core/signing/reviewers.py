"""The file of reviewers: whose signatures count, in which role, by which keys, from when to when.

It belongs to the hospital and lies outside every evaluation. Keys are rotated by adding one: a
person may have several, each with its time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from qa_suite.core.errors import InputError, Problems, raise_problems
from qa_suite.core.names import look_alike, name_problems
from qa_suite.core.records.measurement import STRICT
from qa_suite.core.records.signature import Signed
from qa_suite.core.signing.keys import key_problem
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import read_yaml

REVIEWERS_VARIABLE = "QA_SUITE_REVIEWERS"


class Key(BaseModel):
    """A public key, and when it counts."""

    model_config = STRICT

    key: str
    valid_from: date
    valid_until: date = Field(description="the last day")
    revoked: date | None = Field(
        default=None, description="the first day on which it counts no more"
    )
    compromised: bool = Field(
        default=False, description="whether somebody else may have had it: then nothing counts"
    )
    because: str = Field(default="", description="why it was revoked")


class Reviewer(BaseModel):
    """A person who may sign."""

    model_config = STRICT

    name: str
    role: str = Field(min_length=1)
    keys: tuple[Key, ...] = Field(min_length=1)


class Policy(BaseModel):
    """What a hospital asks for beside what the profile asks."""

    model_config = STRICT

    signatures: int = Field(default=1, ge=1, le=10, description="people who must approve")
    roles: tuple[str, ...] = Field(default=(), description="whose approval counts; empty: any")
    valid_days: int | None = Field(
        default=None, ge=1, description="how long a verdict may be used for a release"
    )


class Reviewers(BaseModel):
    """Who may sign, and what a release asks for."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    policy: Policy = Policy()
    reviewers: tuple[Reviewer, ...] = ()

    def of_key(self, public: str) -> tuple[Reviewer, Key] | None:
        """Return whose key it is."""
        for person in self.reviewers:
            for key in person.keys:
                if key.key == public:
                    return person, key
        return None


def reviewers_file(given: Path | None) -> Path | None:
    """Return the file of reviewers: the one given, or that of :data:`REVIEWERS_VARIABLE`."""
    named = os.environ.get(REVIEWERS_VARIABLE)
    return given or (Path(named) if named else None)


def read_reviewers(path: Path, *, outside: Path | None = None) -> Reviewers:
    """Read a file of reviewers.

    Parameters
    ----------
    path
        Of the YAML file.
    outside
        Folder of an evaluation that must not hold it: who can write the one could write both.

    Raises
    ------
    InputError
        If it lies in that folder or is no YAML.
    Problems
        With everything that is wrong in it.
    """
    path = Path(path)
    if outside is not None and path.resolve().is_relative_to(Path(outside).resolve()):
        raise InputError(
            f"The reviewers' file {path} lies in the evaluation whose signatures it is to confirm; "
            f"keep it outside, where who evaluates cannot write."
        )
    data = read_yaml(path)
    try:
        found = Reviewers.model_validate(data)
    except ValidationError as error:
        raise Problems(str(path), describe_validation(error)) from None
    raise_problems(str(path), _problems(found))
    return found


def _problems(found: Reviewers) -> Iterator[str]:
    names = [person.name for person in found.reviewers]
    keys: dict[str, str] = {}
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is there twice; one person with several keys has a list of keys"
    for one, other in look_alike(sorted(set(names))):
        yield f"{one} and {other} look alike"
    for person in found.reviewers:
        yield from (f"the name {person.name!r}: {why}" for why in name_problems(person.name))
        for number, key in enumerate(person.keys, start=1):
            where = f"key {number} of {person.name}"
            if problem := key_problem(key.key):
                yield f"{where}: {problem}"
            if key.valid_until < key.valid_from:
                yield f"{where} ends ({key.valid_until}) before it begins ({key.valid_from})"
            if (key.revoked is None) != (not key.because.strip()):
                yield f"{where}: 'revoked' and 'because' belong together"
            if key.compromised and key.revoked is None:
                yield f"{where}: a compromised key is revoked, with its day and the reason"
            if keys.setdefault(key.key, person.name) != person.name:
                yield f"{where} is {keys[key.key]}'s too: a key is one person's"
    known = {person.role for person in found.reviewers}
    for role in found.policy.roles:
        if role not in known:
            yield f"policy.roles names {role!r}, and nobody has that role"


def why_not_counted(signed: Signed, reviewers: Reviewers | None, now: datetime) -> Iterator[str]:
    """Say why a genuine signature does not count; nothing where it does.

    The time that is held against the key's days is the one that the signature claims; what else is
    known of the order of things stands in the log.
    """
    said = signed.statement
    if reviewers is None:
        yield f"no file of reviewers confirms the key ({REVIEWERS_VARIABLE} names none)"
        return
    found = reviewers.of_key(signed.key)
    if found is None:
        yield "its key is nobody's in the reviewers' file"
        return
    person, key = found
    if (said.name, said.role) != (person.name, person.role):
        yield (
            f"it says {said.name}, {said.role}, and the key is that of {person.name}, {person.role}"
        )
    at = moment(said.at)
    if at is None:
        yield f"its time {said.at!r} is none"
        return
    day = at.astimezone(UTC).date()
    if (at - now).total_seconds() > 300:
        yield f"its time {said.at} is yet to come"
    if not key.valid_from <= day <= key.valid_until:
        yield f"the key is valid from {key.valid_from} to {key.valid_until}, and it is of {day}"
    if key.revoked is not None and (key.compromised or day >= key.revoked):
        how = "as compromised " if key.compromised else ""
        yield f"the key was revoked {how}on {key.revoked} ({key.because.strip()})"
    if reviewers.policy.roles and person.role not in reviewers.policy.roles:
        yield f"the policy counts {' or '.join(reviewers.policy.roles)}, not {person.role}"


def moment(text: str) -> datetime | None:
    """Return a time in ISO 8601 with its zone; None where the text is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
