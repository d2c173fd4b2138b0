"""Signatures under the verdicts of an evaluation, on disk, and what they come to.

Each is a file of its own, ``signatures/signature-0001.json`` and so on, and stays. Of one person
the last review of a verdict counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.examination_log import LogLine, append, log_beside
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.numbered_files import numbered_paths, write_numbered
from qa_suite.core.plain_files import read_bytes, sha256_of
from qa_suite.core.records import Evaluation, Verdict
from qa_suite.core.records.signature import Review, Signed, content_of
from qa_suite.core.signing import keys
from qa_suite.core.signing.reviewers import Reviewers, moment, why_not_counted
from qa_suite.core.verdict_files import VERDICTS_FOLDER, WrittenVerdict
from qa_suite.core.wording import count, listing

if TYPE_CHECKING:
    from pydantic import BaseModel

SIGNATURES_FOLDER = "signatures"
_STEM = "signature"
_MOST_BYTES = 1 << 20
State = Literal["signed", "rejected", "not signed"]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature as it lies on disk; ``why_not`` says why it does not count."""

    signed: Signed
    file: str
    sha256: str
    why_not: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether a person of the reviewers' file stands behind it."""
        return not self.why_not

    @property
    def sentence(self) -> str:
        """Who means what, by the clock of who signed, and whether it counts."""
        said = self.signed.statement
        meaning = said.meaning if isinstance(said, Review) else "signed"
        when = said.at[:16].replace("T", " ")
        words = f"{meaning} by {said.name}, {said.role}, {when} (time as claimed)"
        words += f": {said.comment}" if said.comment else ""
        return words if self.counts else f"{words}; does not count: {'; '.join(self.why_not)}"


@dataclass(frozen=True, kw_only=True)
class SignOff:
    """What the signatures under one verdict come to."""

    required: int
    signatures: tuple[Signature, ...]

    @property
    def deciding(self) -> tuple[Signature, ...]:
        """The last review of each person that says yes or no, of those that count."""
        last: dict[str, Signature] = {}
        for one in self.signatures:
            said = one.signed.statement
            if one.counts and isinstance(said, Review) and said.meaning != "reviewed":
                last[said.name] = one
        return tuple(last.values())

    @property
    def approved(self) -> tuple[Signature, ...]:
        """Approvals that count, one a person."""
        return tuple(one for one in self.deciding if _meaning(one) == "approved")

    @property
    def state(self) -> State:
        """Rejected by anybody, signed by as many as must, or not signed."""
        if any(_meaning(one) == "rejected" for one in self.deciding):
            return "rejected"
        return "signed" if len(self.approved) >= self.required else "not signed"

    @property
    def sentence(self) -> str:
        """Say what the signatures come to."""
        people = count(self.required, "person", "people")
        names = listing([_who(one) for one in self.approved])
        if self.state == "rejected":
            against = [_who(one) for one in self.deciding if _meaning(one) == "rejected"]
            return f"Rejected by {listing(against)}."
        if self.state == "signed":
            return f"Approved by {names}."
        got = f"approved by {names} alone" if names else "nobody's approval counts"
        return f"Not signed: {got}, and {people} must approve."


def _meaning(one: Signature) -> str:
    said = one.signed.statement
    return said.meaning if isinstance(said, Review) else ""


def _who(one: Signature) -> str:
    said = one.signed.statement
    return f"{said.name} ({said.role})"


def signatures_required(verdict: Verdict, reviewers: Reviewers | None) -> int:
    """Return how many people must approve: as the profile or the hospital asks, the larger."""
    policy = 1 if reviewers is None else reviewers.policy.signatures
    return max(verdict.profile.signatures_asked, policy)


def review_of(
    folder: Path,
    one: WrittenVerdict,
    *,
    name: str,
    role: str,
    meaning: str,
    comment: str,
    head: str,
) -> Review:
    """Return what a person says of a verdict, with every digest that it rests on.

    Raises
    ------
    InputError
        If the verdict is of before schema 3 and holds no digests.
    """
    evidence = one.verdict.evidence
    if evidence is None:
        raise InputError(
            f"{one.file} was written before verdicts held digests of what they rest on, so there "
            f"is nothing to sign; judge again."
        )
    return Review.model_validate(
        {
            "name": name,
            "role": role,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "comment": comment,
            "log_head": head,
            "meaning": meaning,
            "verdict": one.identifier,
            "verdict_sha256": sha256_of(Path(folder) / VERDICTS_FOLDER / one.file),
            "statement_sha256": evidence.statement_sha256,
            "evaluation": one.verdict.evaluation,
            "evaluation_sha256": evidence.evaluation_sha256,
            "tables_sha256": evidence.tables_sha256,
            "profile_sha256": one.verdict.profile_sha256,
            "model": evidence.model,
            "weights_sha256": evidence.weights_sha256,
        }
    )


def signed_with(statement: Review | BaseModel, key_file: Path, passphrase: str) -> Signed:
    """Sign a statement with a private key."""
    key = keys.load_key(key_file, passphrase)
    public = keys.public_text(key)
    signature = keys.sign(key, content_of(statement, public))
    return Signed.model_validate({"statement": statement, "key": public, "signature": signature})


def text_of(signed: Signed) -> str:
    """Return a signature as its file holds it."""
    data = signed.model_dump(mode="json")
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_signature(folder: Path, signed: Signed) -> Path:
    """Write a signature beside the others of an evaluation; return its path."""
    return write_numbered(Path(folder) / SIGNATURES_FOLDER, _STEM, lambda _: text_of(signed))


def log_signature(folder: Path, evaluation: Evaluation, signed: Signed, path: Path) -> str:
    """Note a signature in the log; return why it could not be noted, or nothing."""
    said = signed.statement
    assert isinstance(said, Review)
    return append(
        log_beside(folder),
        LogLine(
            what="signed",
            at=said.at,
            cohort=evaluation.cohort.name,
            cohort_digest=evaluation.cohort.digest,
            split=evaluation.cohort.split,
            evaluation=evaluation.evaluation,
            folder=Path(folder).absolute().name,
            model=evaluation.model.uri,
            weights_sha256=evaluation.model.weights_sha256,
            verdict=said.verdict,
            who=f"{said.name}, {said.role}",
            signature=sha256_of(path),
            meaning=said.meaning,
            because=said.comment,
        ),
    )


def signature_paths(folder: Path) -> list[Path]:
    """Return the files of an evaluation's signatures, in the order they were written."""
    return numbered_paths(Path(folder) / SIGNATURES_FOLDER, _STEM)


def read_signed(path: Path) -> tuple[Signed, str]:
    """Read one signature and the digest of its file, whether or not it is genuine.

    Raises
    ------
    InputError
        If the file is no signature.
    """
    content = read_bytes(path, most_bytes=_MOST_BYTES)
    try:
        signed = parse_json_model(content, Signed, path)
    except Problems as error:
        raise InputError(f"{path} is no signature: {'; '.join(error.problems)}.") from None
    return signed, hashlib.sha256(content).hexdigest()


def sign_off(
    folder: Path, one: WrittenVerdict, reviewers: Reviewers | None, *, now: datetime | None = None
) -> SignOff:
    """Return what the signatures under one verdict come to.

    Parameters
    ----------
    folder
        Of the evaluation.
    one
        The verdict.
    reviewers
        Whose signatures count; without it none does.
    now
        The time; by default this moment.

    Raises
    ------
    InputError
        If a file among the signatures is none.
    """
    at = now or datetime.now(UTC)
    found = []
    for path in signature_paths(folder):
        signed, digest = read_signed(path)
        said = signed.statement
        if isinstance(said, Review) and said.verdict == one.identifier:
            why = (*why_not_genuine(folder, signed, one), *why_not_counted(signed, reviewers, at))
            found.append(
                Signature(signed=signed, file=path.name, sha256=digest, why_not=tuple(why))
            )
    return SignOff(required=signatures_required(one.verdict, reviewers), signatures=tuple(found))


def why_not_genuine(folder: Path, signed: Signed, one: WrittenVerdict) -> Iterator[str]:
    """Say what of a signature does not fit its text, or its text the verdict that lies there."""
    said = signed.statement
    if not keys.is_signed(signed.key, signed.signature, signed.content):
        yield "its text was changed after it was signed"
    if not isinstance(said, Review) or one.verdict.evidence is None:
        yield "it is no review of a verdict that holds digests"
        return
    there = review_of(
        folder, one, name=said.name, role=said.role, meaning=said.meaning, comment="", head=""
    )
    of_whom = ("name", "role", "at", "comment", "log_head")
    signed_facts = said.model_dump(exclude=set(of_whom))
    found = there.model_dump(exclude=set(of_whom))
    changed = [key for key, value in signed_facts.items() if found[key] != value]
    if changed:
        yield f"the verdict it is of is no longer the one that lies here ({', '.join(changed)})"
    at, judged = moment(said.at), moment(one.verdict.evidence.judged_at)
    if at is not None and judged is not None and at < judged:
        yield f"it claims {said.at}, before the verdict was written ({judged.isoformat()})"
