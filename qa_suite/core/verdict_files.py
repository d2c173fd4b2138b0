"""The verdicts of an evaluation on disk: never overwritten; which stand, and their worst.

Each judgement is a file of its own, ``verdicts/verdict-0001.json`` and so on. A verdict stands
until a later one supersedes it by name and with a reason; what an evaluation comes to is the worst
of those that stand.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError, Problems, raise_problems
from qa_suite.core.json_files import parse_json, parse_json_model
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import ProfileTried, Verdict
from qa_suite.core.whole_files import place_new
from qa_suite.core.wording import count, listing

VERDICTS_FOLDER = "verdicts"
NOT_JUDGED = "not judged"
_ORDER = (NOT_JUDGED, "described", "pass", "inconclusive", "fail")
"""From the least to what outdoes all others, where an evaluation has several verdicts."""
_ID_DIGITS = 16
_SHORTEST_NAME = 6


@dataclass(frozen=True, kw_only=True)
class WrittenVerdict:
    """A verdict as it lies on disk.

    ``identifier`` follows from its content; of one without evidence (schema 1 and 2) from its
    bytes. ``superseded_by`` is the identifier of the verdict that took its place, or empty.
    """

    verdict: Verdict
    identifier: str
    file: str
    superseded_by: str = ""

    @property
    def title(self) -> str:
        """How people name it: ``pelvis 1.0 (3f2a9c01, fail)``."""
        profile = self.verdict.profile
        return f"{profile.name} {profile.version} ({self.identifier[:8]}, {self.outcome})"

    @property
    def outcome(self) -> str:
        """The outcome, or 'described'."""
        return self.verdict.outcome_word


@dataclass(frozen=True, kw_only=True)
class Overall:
    """What an evaluation comes to: the worst of the verdicts that stand.

    ``written`` holds all of them, the oldest first; ``tried`` every profile once, in the order of
    its first try.
    """

    written: tuple[WrittenVerdict, ...]

    @property
    def standing(self) -> tuple[WrittenVerdict, ...]:
        """The verdicts that no other supersedes."""
        return tuple(one for one in self.written if not one.superseded_by)

    @property
    def outcome(self) -> str:
        """The worst outcome: fail, inconclusive, pass, described, or 'not judged'."""
        return worst([one.outcome for one in self.standing])

    @property
    def tried(self) -> tuple[ProfileTried, ...]:
        """Every profile that was applied."""
        return profiles_tried([one.verdict for one in self.written])

    @property
    def sentence(self) -> str:
        """Say the outcome and which verdicts decide it."""
        if not self.written:
            return "Not judged."
        deciding = [one.title for one in self.standing if one.outcome == self.outcome]
        gone = len(self.written) - len(self.standing)
        said = f"{self.outcome.capitalize()}, the worst of {count(len(self.standing), 'verdict')} "
        said += f"that stand{'s' if len(self.standing) == 1 else ''}: {listing(deciding)}"
        return f"{said}; {count(gone, 'verdict')} superseded." if gone else f"{said}."


def named(known: Overall, name: str) -> WrittenVerdict | str:
    """Return the verdict that is named, or why there is none.

    Parameters
    ----------
    known
        The verdicts of an evaluation.
    name
        An identifier, its first six digits or more, or a file's name.
    """
    matches = [
        one
        for one in known.written
        if name in (one.file, one.file.removesuffix(".json"))
        or (len(name) >= _SHORTEST_NAME and one.identifier.startswith(name))
    ]
    if len(matches) == 1:
        return matches[0]
    stand = ", ".join(one.title for one in known.standing) or "none"
    what = (
        f"names {count(len(matches), 'verdict')}" if matches else "is no verdict of this evaluation"
    )
    return f"{name!r} {what}; those that stand are {stand}"


def worst(outcomes: Sequence[str]) -> str:
    """Return the outcome that outdoes the others; 'not judged' where there is none."""
    return max(outcomes, key=_ORDER.index, default=NOT_JUDGED)


def profiles_tried(verdicts: Sequence[Verdict]) -> tuple[ProfileTried, ...]:
    """Return each profile once, in the order of its first try, with its latest outcome.

    Those that a verdict's evidence names are among them, whether or not their own verdicts lie
    here.
    """
    found: dict[str, ProfileTried] = {}
    for verdict in verdicts:
        for one in () if verdict.evidence is None else verdict.evidence.tried:
            found.setdefault(one.sha256, one)
        profile = verdict.profile
        found[verdict.profile_sha256] = ProfileTried(
            name=profile.name,
            version=profile.version,
            sha256=verdict.profile_sha256,
            outcome=verdict.outcome_word,
            bounds=len(profile.criteria),
        )
    return tuple(found.values())


def overall(folder: Path) -> Overall:
    """Read the verdicts of an evaluation and say which stand; none is no error.

    Raises
    ------
    Problems
        With every verdict that is none, or was changed after it was written.
    """
    written: dict[str, WrittenVerdict] = {}
    problems = []
    for path in verdict_paths(folder):
        try:
            one = read_verdict(path)
        except InputError as error:
            problems.append(str(error).rstrip("."))
            continue
        written[one.identifier] = one
        evidence = one.verdict.evidence
        for named in () if evidence is None else evidence.supersedes:
            old = written.get(named.verdict)
            if old is not None and not why_not_superseded(one.verdict, old):
                written[old.identifier] = WrittenVerdict(
                    verdict=old.verdict,
                    identifier=old.identifier,
                    file=old.file,
                    superseded_by=one.identifier,
                )
    raise_problems(f"The folder {Path(folder) / VERDICTS_FOLDER}", problems)
    return Overall(written=tuple(written.values()))


def read_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Read every verdict of an evaluation, the oldest first; none is no error."""
    return tuple(one.verdict for one in overall(folder).written)


def why_not_superseded(new: Verdict, old: WrittenVerdict) -> str:
    """Say why a verdict cannot take the place of another; nothing where it can."""
    if old.superseded_by:
        return f"it was superseded by {old.superseded_by[:8]} already"
    if old.verdict.evaluation != new.evaluation:
        return f"it is of another evaluation, {old.verdict.evaluation}"
    if old.verdict.profile.criteria and not new.profile.criteria:
        return (
            f"it judges by {count(len(old.verdict.profile.criteria), 'criterion', 'criteria')}, "
            f"and {new.profile.name} sets no bounds: a description takes no judgement's place"
        )
    then, now = old.verdict.evidence, new.evidence
    if then is not None and then.protocol.state == "locked":
        same = now is not None and now.protocol.state == "locked"
        if not (same and now is not None and now.protocol.lock == then.protocol.lock):
            return (
                f"it was reached under the locked protocol {then.protocol.lock[:8]}, and only "
                f"another verdict under the same lock takes its place"
            )
    return ""


# ---------------------------------------------------------------------------------------
# Files


def verdict_paths(folder: Path) -> list[Path]:
    """Return the files of an evaluation's verdicts, the oldest first.

    Those of before schema 3 have other names and stand first.
    """
    found = (Path(folder) / VERDICTS_FOLDER).glob("*.json")
    return sorted(found, key=lambda path: (number_of(path), path.name))


def number_of(path: Path) -> int:
    """Return the number in a verdict's file name; 0 for a name of before schema 3."""
    digits = path.stem.removeprefix("verdict-")
    return int(digits) if path.stem.startswith("verdict-") and digits.isdecimal() else 0


def load_verdict(path: Path) -> tuple[dict[str, Any], WrittenVerdict]:
    """Read one verdict as it says of itself, whether or not its identifier follows from it.

    Raises
    ------
    InputError
        If the file is no verdict.
    """
    content = read_bytes(path)
    raw = parse_json(content, path)
    try:
        verdict = parse_json_model(content, Verdict, path)
    except Problems as error:
        raise InputError(f"{path} is no verdict: {'; '.join(error.problems)}.") from None
    if verdict.evidence is None:
        if verdict.schema_version == 3:
            raise InputError(f"{path} is no verdict: its evidence is missing.")
        identifier = hashlib.sha256(content).hexdigest()[:_ID_DIGITS]
    else:
        identifier = verdict.evidence.verdict
    return raw, WrittenVerdict(verdict=verdict, identifier=identifier, file=path.name)


def read_verdict(path: Path) -> WrittenVerdict:
    """Read one verdict and recompute its identifier from what the file says.

    Raises
    ------
    InputError
        If the file is no verdict, or was changed after it was written.
    """
    raw, one = load_verdict(path)
    if one.verdict.evidence is not None and (found := identifier_of(raw)) != one.identifier:
        raise InputError(
            f"{path} was changed after it was written: its content gives {found}, and it says "
            f"{one.identifier}; 'qa-suite verify {path.parent.parent}' says what differs."
        )
    return one


def identifier_of(verdict: dict[str, Any]) -> str:
    """Return the identifier that a verdict's content gives, as plain data."""
    evidence = {key: value for key, value in verdict["evidence"].items() if key != "verdict"}
    return digest_of({**verdict, "evidence": evidence})[:_ID_DIGITS]


def write_new(folder: Path, verdict: Verdict) -> Path | None:
    """Write a verdict under its number; None where another has taken that number meanwhile.

    The file appears whole or not at all, and never in the place of another.
    """
    assert verdict.evidence is not None
    place = Path(folder) / VERDICTS_FOLDER
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"verdict-{verdict.evidence.number:04d}.json"
    text = json.dumps(verdict.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    draft = place / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        place_new(draft, path)
    except FileExistsError:
        return None
    finally:
        draft.unlink(missing_ok=True)
    return path
