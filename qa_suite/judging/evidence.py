"""From what judging says to a verdict on disk: who, when, with which code, after which tries."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.examination_log import LogLine, append, log_beside
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_checks import table_digests
from qa_suite.core.record_files import EVALUATION_FILE, read_evaluation
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import Evaluation, Evidence, ProfileTried, Supersession, Verdict
from qa_suite.core.suite import suite_code
from qa_suite.core.verdict_files import (
    Overall,
    WrittenVerdict,
    identifier_of,
    named,
    number_of,
    overall,
    profiles_tried,
    why_not_superseded,
    write_new,
)
from qa_suite.judging.history import look
from qa_suite.judging.protocol import protocol_of

_TRIES = 100


def save_verdict(
    verdict: Verdict,
    folder: Path,
    *,
    by: str = "",
    supersedes: Sequence[str] = (),
    because: str = "",
    ask_store: bool = False,
) -> Path:
    """Write a verdict with its evidence beside its evaluation, as a new file; return its path.

    Nothing is overwritten, whoever else judges the same folder at the same time.

    Parameters
    ----------
    verdict
        From :func:`qa_suite.judging.judge.judge`.
    folder
        Of the evaluation that it judges.
    by
        Who judges; by default the name of the account, or nobody where it has none.
    supersedes
        Verdicts that stand no longer: identifiers, their first six digits or more, or file names.
    because
        The reason; required with ``supersedes``.
    ask_store
        Whether the MLflow store is asked too how often the test cohort was examined.

    Raises
    ------
    InputError
        If the record is not whole or of another evaluation.
    Problems
        If a verdict to be superseded is unknown, stands no longer or may not be.
    """
    evaluation = read_evaluation(folder)
    if verdict.evaluation != evaluation.evaluation:
        raise InputError(
            f"The verdict is of evaluation {verdict.evaluation}, and {folder} holds "
            f"{evaluation.evaluation}."
        )
    folder = Path(folder)
    for _ in range(_TRIES):
        known = overall(folder)
        written = _with_evidence(verdict, folder, evaluation, known, by, ask_store)
        _require_supersession(written, known, supersedes, because)
        written = _superseding(written, known, supersedes, because)
        named = _named(written)
        path = write_new(folder, named)
        if path is not None:
            _note(named, folder, evaluation)
            return path
    raise InputError(f"{folder} is judged by others all the time; try again.")


def written_before(verdict: Verdict, folder: Path) -> Verdict | None:
    """Return the newest verdict with evidence that says the same of the same record, if any."""
    statement, evaluation = digest_of(verdict.statement), read_evaluation(folder)
    for one in reversed(overall(folder).written):
        evidence = one.verdict.evidence
        if (
            evidence is not None
            and digest_of(one.verdict.statement) == statement
            and evidence.tables_sha256 == table_digests(evaluation)
        ):
            return one.verdict
    return None


def _with_evidence(
    verdict: Verdict, folder: Path, evaluation: Evaluation, known: Overall, by: str, ask_store: bool
) -> Verdict:
    """Return the verdict with all of its evidence but what it supersedes and its identifier."""
    cohort = (evaluation.cohort.digest, evaluation.cohort.split)
    history = look(
        folder,
        cohort=cohort,
        evaluation=evaluation.evaluation,
        model=(evaluation.model.uri, evaluation.model.weights_sha256),
        ask_store=ask_store,
    )
    statement = digest_of(verdict.statement)
    before = known.written
    person, source = person_of(by)
    code = suite_code()
    evidence = Evidence(
        verdict="",
        number=1 + max((number_of(Path(one.file)) for one in before), default=0),
        previous=before[-1].identifier if before else "",
        statement_sha256=statement,
        repeats=_repeated(statement, before),
        evaluation_sha256=sha256_of(folder / EVALUATION_FILE),
        tables_sha256=table_digests(evaluation),
        model=evaluation.model.uri,
        weights_sha256=evaluation.model.weights_sha256,
        suite_version=code.version,
        git_commit=code.commit,
        git_dirty=code.dirty,
        judged_at=datetime.now(UTC).isoformat(timespec="seconds"),
        judged_by=person,
        person_from=source,
        tried=_this_one_last(verdict, known, history.tried),
        tried_elsewhere=history.tried_elsewhere,
        cohort_digest=evaluation.cohort.digest,
        split=evaluation.cohort.split,
        examinations=history.uses,
        looked_in=history.looked_in,
        protocol=protocol_of(folder, evaluation, verdict.profile, history),
        log_head=history.log.head,
    )
    return verdict.model_copy(update={"schema_version": 3, "evidence": evidence})


def person_of(by: str) -> tuple[str | None, Literal["said", "account", "unknown"]]:
    """Return who judges, and how that is known."""
    if by.strip():
        return by.strip(), "said"
    try:
        return getpass.getuser(), "account"
    except (KeyError, OSError, ImportError):  # no such account, as in a container
        return None, "unknown"


def _repeated(statement: str, before: Sequence[WrittenVerdict]) -> str:
    """Return the identifier of the first verdict that says the same."""
    for one in before:
        if digest_of(one.verdict.statement) == statement:
            return one.identifier
    return ""


def _this_one_last(
    verdict: Verdict, known: Overall, seen: Sequence[ProfileTried]
) -> tuple[ProfileTried, ...]:
    """Return every profile tried on this evaluation, by what lies here and what was seen."""
    found = {one.sha256: one for one in seen}
    found |= {one.sha256: one for one in known.tried}
    found.pop(verdict.profile_sha256, None)
    return (*found.values(), *profiles_tried([verdict]))


def _note(verdict: Verdict, folder: Path, evaluation: Evaluation) -> None:
    """Add the judgement to the log beside the evaluations, where it can be written."""
    assert verdict.evidence is not None
    (profile,) = profiles_tried([verdict.model_copy(update={"evidence": None})])
    append(
        log_beside(folder),
        LogLine(
            what="judged",
            at=verdict.evidence.judged_at,
            cohort=evaluation.cohort.name,
            cohort_digest=evaluation.cohort.digest,
            split=evaluation.cohort.split,
            evaluation=evaluation.evaluation,
            folder=folder.absolute().name,
            model=evaluation.model.uri,
            weights_sha256=evaluation.model.weights_sha256,
            verdict=verdict.evidence.verdict,
            profile=profile,
            lock=verdict.evidence.protocol.lock,
        ),
    )


def _named(verdict: Verdict) -> Verdict:
    assert verdict.evidence is not None
    name = identifier_of(verdict.model_dump(mode="json"))
    return verdict.model_copy(
        update={"evidence": verdict.evidence.model_copy(update={"verdict": name})}
    )


# ---------------------------------------------------------------------------------------
# Superseding


def _require_supersession(
    verdict: Verdict, known: Overall, names: Sequence[str], because: str
) -> None:
    """Refuse to supersede what is unknown, stands no longer or may not be, all at once."""
    problems = []
    if names and not because.strip():
        problems.append("a verdict is superseded with a reason, in words; there is none")
    if because.strip() and not names:
        problems.append("there is a reason, and no verdict is named that it supersedes")
    for name in names:
        found = named(known, name)
        if isinstance(found, str):
            problems.append(found)
        elif why := why_not_superseded(verdict, found):
            problems.append(f"{name} cannot be superseded: {why}")
    raise_problems("The superseding", problems)


def _superseding(verdict: Verdict, known: Overall, names: Sequence[str], because: str) -> Verdict:
    assert verdict.evidence is not None
    found = [named(known, name) for name in names]
    taken = {one.identifier: one for one in found if isinstance(one, WrittenVerdict)}
    supersedes = tuple(Supersession(verdict=name, because=because.strip()) for name in taken)
    evidence = verdict.evidence.model_copy(update={"supersedes": supersedes})
    return verdict.model_copy(update={"evidence": evidence})
