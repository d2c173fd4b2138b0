"""Releasing a model: the alias of the registry is moved, noted first, and never in silence.

What is about to be done is written down before it is done: the statement beside the evaluation,
then the line of the log, then the registry. So a release that was cut off shows as an entry that
the registry does not follow, and the same command carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import LogLine, append, log_beside, read_log
from qa_suite.core.numbered_files import write_numbered
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import ModelFacts, Profile, Verdict
from qa_suite.core.records.signature import Release, Signed
from qa_suite.core.signing.reviewers import Reviewers
from qa_suite.core.signing.signatures import text_of
from qa_suite.core.verdict_files import overall
from qa_suite.judging.verify import verify
from qa_suite.release.aliases import OVERRIDE_TAG, WITHDRAWN_TAG, alias_doubts, holder
from qa_suite.release.refusals import Candidate, Refusal, refusals, reviews_of

RELEASES_FOLDER = "releases"
_STEM = "release"
_BELOW = "\n\n---\n\n"
"""Between the card of the training and the report by which a version was released."""
_LONGEST_TAG = 4000


@dataclass(frozen=True, kw_only=True)
class Released:
    """What was done: which version holds the alias, and which held it before."""

    model: str
    alias: str
    was: str
    now: str
    overridden: tuple[str, ...]
    log_head: str


def candidate_for(folder: Path, model: ModelFacts, profile: Profile, *, client: Any) -> Candidate:
    """Gather what decides whether a registered model may be released by an evaluation.

    Parameters
    ----------
    folder
        Of the evaluation.
    model
        The registered version, with a URI ``models:/NAME/VERSION``.
    profile
        That its verdict must be under.
    client
        Of the registry.

    Raises
    ------
    InputError
        If the model is no registered version, or there is no evaluation that can be read.
    """
    if model.version is None:
        raise InputError(f"{model.uri} is no registered version; name one as models:/NAME/VERSION.")
    doubts = (*verify(folder), *alias_doubts(read_log(log_beside(folder))))
    with store.reached():
        version = client.get_model_version(model.name, model.version)
    evaluation = read_evaluation(folder)
    return Candidate(
        folder=Path(folder),
        evaluation=evaluation,
        judged=overall(folder),
        doubts=doubts,
        model=model,
        withdrawn=version.tags.get(WITHDRAWN_TAG, ""),
        profile=profile,
        profile_sha256=digest_of(profile.asks),
    )


def statement_of(
    candidate: Candidate,
    refused: Sequence[Refusal],
    reviewers: Reviewers | None,
    *,
    alias: str,
    was: str,
    name: str,
    role: str,
    because: str,
    now: datetime,
) -> Release:
    """Return what is done, by whom and on what it rests, as it is kept and signed."""
    one = candidate.verdict
    return Release(
        name=name,
        role=role,
        at=now.astimezone(UTC).isoformat(timespec="seconds"),
        log_head=read_log(log_beside(candidate.folder)).head,
        model=candidate.model.uri,
        weights_sha256=candidate.model.weights_sha256,
        alias=alias,
        was=was,
        evaluation=candidate.evaluation.evaluation,
        verdict="" if one is None else one.identifier,
        profile=f"{candidate.profile.name} {candidate.profile.version}",
        profile_sha256=candidate.profile_sha256,
        reviews=reviews_of(candidate.signed(reviewers, now)),
        in_spite_of=tuple(f"{one.code}: {one.words}" for one in refused),
        because=because,
    )


def release(
    candidate: Candidate, statement: Release, signed: Signed | None, *, client: Any, card: str = ""
) -> Released:
    """Move the alias, and leave everything that tells of it.

    Parameters
    ----------
    candidate, statement
        What is released, and the statement of it.
    signed
        The same statement, signed; an override has to be.
    client
        Of the registry.
    card
        The short report in Markdown, which stands below the training's card from then on.

    Raises
    ------
    InputError
        If it is an override that is not signed, or the log cannot be written: nothing is moved.
    StoreAway
        If the registry stops answering; the entry stands, and the same command carries it out.
    """
    if statement.in_spite_of and signed is None:
        raise InputError("A release in spite of a refusal is signed; give --key.")
    name, version = candidate.model.name, str(candidate.model.version)
    folder = candidate.folder
    path = _keep(folder, statement, signed)
    line = LogLine(
        what="overridden" if statement.in_spite_of else "released",
        at=statement.at,
        cohort=candidate.evaluation.cohort.name,
        cohort_digest=candidate.evaluation.cohort.digest,
        split=candidate.evaluation.cohort.split,
        evaluation=candidate.evaluation.evaluation,
        folder=folder.absolute().name,
        model=candidate.model.uri,
        weights_sha256=candidate.model.weights_sha256,
        verdict=statement.verdict,
        who=", ".join(filter(None, (statement.name, statement.role))),
        signature="" if signed is None else digest_of(signed.model_dump(mode="json")),
        alias=statement.alias,
        was=statement.was,
        now=version,
        because=statement.because,
    )
    if problem := append(log_beside(folder), line):
        path.unlink()
        raise InputError(f"Nothing was released: {problem}.")
    head = read_log(log_beside(folder)).head
    with store.reached():
        for key, value in _tags(candidate, statement, head).items():
            client.set_model_version_tag(name, version, key, value[:_LONGEST_TAG])
        if card:
            said = (client.get_model_version(name, version).description or "").partition(_BELOW)[0]
            client.update_model_version(name, version, description=said + _BELOW + card)
        client.set_registered_model_alias(name, statement.alias, version)
    return Released(
        model=candidate.model.uri,
        alias=statement.alias,
        was=statement.was,
        now=version,
        overridden=statement.in_spite_of,
        log_head=head,
    )


def _keep(folder: Path, statement: Release, signed: Signed | None) -> Path:
    text = statement.model_dump_json(indent=2) + "\n" if signed is None else text_of(signed)
    return write_numbered(folder / RELEASES_FOLDER, _STEM, lambda _: text)


def _tags(candidate: Candidate, statement: Release, head: str) -> dict[str, str]:
    """Tell the registry what the release rests on; an override stays, whatever comes later."""
    by_profile: dict[str, str] = {}
    for standing in candidate.judged.standing:
        by_profile[f"qa.outcome.{standing.verdict.profile.name}"] = standing.outcome
    one = candidate.verdict
    verdict = _short(None if one is None else one.verdict)
    tags = {
        **by_profile,
        "qa.outcome": candidate.judged.outcome,
        "qa.evaluation": candidate.evaluation.evaluation,
        "qa.log_head": head,
        f"qa.release.{statement.alias}": f"{statement.at[:16].replace('T', ' ')} UTC by "
        f"{statement.name} under {statement.profile}{verdict}",
    }
    if statement.in_spite_of:
        tags[f"{OVERRIDE_TAG}.{statement.alias}"] = (
            f"{statement.at[:16].replace('T', ' ')} UTC by {statement.name}, because: "
            f"{statement.because}. In spite of: {'; '.join(statement.in_spite_of)}"
        )
    return tags


def _short(verdict: Verdict | None) -> str:
    if verdict is None or verdict.evidence is None:
        return ", without a verdict"
    return f", verdict {verdict.evidence.verdict[:8]} ({verdict.outcome_word})"


def why_refused(
    candidate: Candidate, reviewers: Reviewers | None, *, now: datetime | None = None
) -> tuple[Refusal, ...]:
    """Return every reason against the release at this moment."""
    return refusals(candidate, reviewers, now or datetime.now(UTC))


def held_by(client: Any, name: str, alias: str) -> str:
    """Return the version that holds an alias now; empty where none does."""
    with store.reached():
        return holder(client, name, alias)
