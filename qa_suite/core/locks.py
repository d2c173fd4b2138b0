"""Locks on disk, and what an evaluation does differently from what was locked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qa_suite.core.differences import by_name, differences_of
from qa_suite.core.errors import InputError
from qa_suite.core.json_files import read_json
from qa_suite.core.record_files import read_model
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import InstrumentFacts, Profile
from qa_suite.core.records.lock import Lock
from qa_suite.core.wording import some

LOCK_FILE = "lock.json"
_ID_DIGITS = 16


def read_lock(path: Path) -> Lock:
    """Read a lock and recompute its identifier.

    Raises
    ------
    InputError
        If the file is missing, no lock, or was changed after it was written.
    """
    lock = read_model(path, Lock)
    identifier = lock_identifier(read_json(path))
    if identifier != lock.lock:
        raise InputError(
            f"{path} was changed after it was written: its content gives {identifier}, and it says "
            f"{lock.lock}; take the file that was written, or lock anew."
        )
    return lock


def lock_identifier(data: Mapping[str, Any]) -> str:
    """Return the identifier that a lock's content gives, as plain data."""
    return digest_of({key: value for key, value in data.items() if key != "lock"})[:_ID_DIGITS]


def locked_instruments(instruments: Iterable[InstrumentFacts]) -> tuple[str, ...]:
    """Say each of the examiner's networks as a lock does: its kind, name and weights."""
    return tuple(sorted(f"{f.kind} {f.name} {f.weights_sha256}" for f in instruments))


def differences(
    lock: Lock,
    *,
    cohort_digest: str,
    split: str,
    settings: Mapping[str, Any],
    instruments: Iterable[InstrumentFacts],
    model: str,
    weights_sha256: str | None,
    profile: Profile | None = None,
) -> list[str]:
    """Say what differs from a lock, one part of a sentence each; nothing where it is kept.

    Parameters
    ----------
    profile
        What it is judged by; None where that is not known yet.
    """
    found = []
    if cohort_digest != lock.cohort_digest:
        found.append(
            f"the cohort is {cohort_digest[:12]}, and {lock.cohort} ({lock.cohort_digest[:12]}) "
            f"was locked"
        )
    if split != lock.split:
        found.append(f"the set is '{split}', and '{lock.split}' was locked")
    changed = list(_changes(lock.settings, dict(settings), "settings"))
    networks = locked_instruments(instruments)
    if networks != lock.instruments:
        said, locked = (", ".join(names) or "none" for names in (networks, lock.instruments))
        changed.append(f"the examiner's networks are {said}, and {locked} were locked")
    if lock.model and (model, weights_sha256) != (lock.model, lock.weights_sha256):
        found.append(
            f"the model is {model} ({(weights_sha256 or 'no weights')[:12]}), and {lock.model} "
            f"({(lock.weights_sha256 or 'no weights')[:12]}) was locked"
        )
    if profile is not None:
        changed += _changes(_named(lock.profile), _named(profile), "profile")
    return [*found, *some(changed)]


def _named(profile: Profile) -> dict[str, Any]:
    data = profile.asks
    return {**data, "criteria": by_name(data["criteria"], "name")}


def _changes(locked: Any, now: Any, where: str) -> Iterator[str]:
    """Say each value that is not what was locked, with its place."""
    for found in differences_of(locked, now, where):
        then, here = found.words
        yield f"{found.place} is {here}, and {then} was locked"
