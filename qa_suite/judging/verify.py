"""A verdict is recomputed, never believed: what in a folder is not what was written or follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qa_suite.core.differences import by_name, differences_of
from qa_suite.core.errors import QAError
from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_checks import record_problems, table_digests, volume_problems
from qa_suite.core.record_files import read_cases, read_model
from qa_suite.core.record_names import EVALUATION_FILE, digest_of
from qa_suite.core.records import Evaluation, Verdict, asked_by
from qa_suite.core.review_queue import QUEUE_FILE, read_queue
from qa_suite.core.suite import suite_code
from qa_suite.core.verdict_files import (
    WrittenVerdict,
    identifier_of,
    load_verdict,
    number_of,
    verdict_paths,
    why_not_superseded,
)
from qa_suite.core.wording import some
from qa_suite.judging.doubts import Doubt
from qa_suite.judging.history import look
from qa_suite.judging.judge import judge_record
from qa_suite.judging.protocol import protocol_of
from qa_suite.judging.signature_doubts import signature_doubts

UNREADABLE = (QAError, OSError, ValueError, KeyError)
"""What a table that is none, or another one, raises when it is read."""


def verify(folder: Path) -> tuple[Doubt, ...]:
    """Check a record, its volumes, verdicts, signatures, lock and log; return every doubt.

    Parameters
    ----------
    folder
        Of an evaluation.

    Raises
    ------
    QAError
        If there is no evaluation at all.
    """
    folder = Path(folder)
    evaluation = read_model(folder / EVALUATION_FILE, Evaluation)
    doubts = [
        Doubt(file="record", problem=problem) for problem in record_problems(folder, evaluation)
    ]
    try:
        named = {case.case: dict(case.volumes) for case in read_cases(folder)}
        volumes = volume_problems(folder, named, content=True)
        doubts += [Doubt(file="volumes", problem=problem) for problem in volumes]
    except UNREADABLE as error:
        doubts.append(Doubt(file="record", problem=_plain(error)))
    verdicts: list[WrittenVerdict] = []
    doubts += _verdict_doubts(folder, evaluation, verdicts)
    doubts += signature_doubts(folder, evaluation, verdicts)
    doubts += [Doubt(file=QUEUE_FILE, problem=problem) for problem in read_queue(folder).problems]
    doubts += _log_doubts(folder, evaluation)
    return tuple(doubts)


# ---------------------------------------------------------------------------------------
# Verdicts


def _verdict_doubts(
    folder: Path, evaluation: Evaluation, before: list[WrittenVerdict]
) -> Iterator[Doubt]:
    """Check the verdicts one after the other; those that can be read go into ``before``."""
    for path in verdict_paths(folder):
        try:
            raw, one = load_verdict(path)
        except QAError as error:
            yield Doubt(file=path.name, problem=_plain(error))
            continue
        if one.verdict.evaluation != evaluation.evaluation:
            yield Doubt(
                file=path.name,
                problem=f"it is of evaluation {one.verdict.evaluation}, and this record is "
                f"{evaluation.evaluation}",
            )
        if digest_of(asked_by(raw["profile"])) != one.verdict.profile_sha256:
            yield Doubt(file=path.name, problem="its profile is not the one whose digest it holds")
        if one.verdict.evidence is not None:
            yield from _evidence_doubts(folder, evaluation, raw, one, before)
        yield from _recomputed(folder, evaluation, one)
        before.append(one)


def _evidence_doubts(
    folder: Path,
    evaluation: Evaluation,
    raw: dict[str, Any],
    one: WrittenVerdict,
    before: list[WrittenVerdict],
) -> Iterator[Doubt]:
    """Hold what a verdict says it rests on against what lies there."""
    evidence = one.verdict.evidence
    assert evidence is not None
    statement = {k: v for k, v in raw.items() if k not in ("schema_version", "evidence")}
    given = one.verdict.profile_sha256
    expected: dict[str, tuple[Any, Any]] = {
        "verdict": (evidence.verdict, identifier_of(raw)),
        "number": (evidence.number, number_of(folder / one.file)),
        "previous": (evidence.previous, before[-1].identifier if before else ""),
        "statement_sha256": (evidence.statement_sha256, digest_of(statement)),
        "evaluation_sha256": (evidence.evaluation_sha256, sha256_of(folder / EVALUATION_FILE)),
        "tables_sha256": (evidence.tables_sha256, table_digests(evaluation)),
        "model": (evidence.model, evaluation.model.uri),
        "weights_sha256": (evidence.weights_sha256, evaluation.model.weights_sha256),
        "cohort_digest": (evidence.cohort_digest, evaluation.cohort.digest),
        "split": (evidence.split, evaluation.cohort.split),
        "the last of tried": ([p.sha256 for p in evidence.tried][-1:], [given]),
    }
    for what, (said, found) in expected.items():
        for difference in differences_of(said, found, what):
            then, now = difference.words
            yield Doubt(
                file=one.file,
                problem=f"{difference.place} is {then}, and what lies here gives {now}",
            )
    known = {profile.sha256 for profile in evidence.tried}
    for other in before:
        if other.verdict.profile_sha256 not in known:
            yield Doubt(file=one.file, problem=f"it counts no try of {other.title}")
    by_identifier = {other.identifier: other for other in before}
    if evidence.repeats and evidence.repeats not in by_identifier:
        yield Doubt(file=one.file, problem=f"the verdict {evidence.repeats} it repeats is gone")
    for step in evidence.supersedes:
        old = by_identifier.get(step.verdict)
        why = "it is not there" if old is None else why_not_superseded(one.verdict, old)
        if why:
            yield Doubt(file=one.file, problem=f"it supersedes {step.verdict}, and cannot: {why}")
    yield from _protocol_doubts(folder, evaluation, one)


def _protocol_doubts(folder: Path, evaluation: Evaluation, one: WrittenVerdict) -> Iterator[Doubt]:
    assert one.verdict.evidence is not None
    said = one.verdict.evidence.protocol
    history = look(
        folder,
        cohort=(evaluation.cohort.digest, evaluation.cohort.split),
        evaluation=evaluation.evaluation,
    )
    found = protocol_of(folder, evaluation, one.verdict.profile, history)
    if (said.state, said.lock) != (found.state, found.lock):
        yield Doubt(
            file=one.file,
            problem=f"it says '{said.state}' of its protocol, and what lies here gives "
            f"'{found.state}' ({'; '.join(found.reasons) or 'without a doubt'})",
            certain={said.state, found.state} != {"locked", "locked after the fact"},
        )


def _recomputed(folder: Path, evaluation: Evaluation, one: WrittenVerdict) -> Iterator[Doubt]:
    """Judge the tables anew by the verdict's own profile and say what comes out differently."""
    try:
        found = judge_record(folder, evaluation, one.verdict.profile)
    except UNREADABLE as error:
        yield Doubt(file=one.file, problem=f"it cannot be recomputed: {_plain(error)}")
        return
    if not one.verdict.speaks_of:  # from before verdicts said it
        found = found.model_copy(update={"speaks_of": ""})
    changes = [
        f"{one.place} is {one.words[0]}, and the tables give {one.words[1]}"
        for one in differences_of(_named(one.verdict), _named(found))
    ]
    if not changes:
        return
    writer = _other_suite(one.verdict)
    yield Doubt(file=one.file, problem="; ".join((*some(changes), *writer)), certain=not writer)


def _named(verdict: Verdict) -> dict[str, Any]:
    """Return what a verdict says, with its findings by name and scope; its profile is given."""
    said = verdict.statement
    findings = [{**one, "name": one["criterion"]["name"]} for one in said["findings"]]
    gaps = by_name(said["site_gaps"], "metric", "region", "variant", "site")
    named = {"findings": by_name(findings, "name", "scope_name"), "site_gaps": gaps}
    rest = {k: v for k, v in said.items() if k not in ("profile", "profile_sha256")}
    return {**rest, **named}


def _other_suite(verdict: Verdict) -> list[str]:
    """Say that another suite judged, whose rules may explain a difference."""
    evidence = verdict.evidence
    if evidence is None:
        return [f"which suite judged is not known (schema {verdict.schema_version})"]
    here = suite_code()
    if (evidence.suite_version, evidence.git_commit) == (here.version, here.commit):
        return []
    said = f"{evidence.suite_version} at {(evidence.git_commit or 'no commit')[:8]}"
    return [f"it was judged by qa-suite {said}, and this is {here.words}, whose rules may differ"]


# ---------------------------------------------------------------------------------------
# The log


def _log_doubts(folder: Path, evaluation: Evaluation) -> Iterator[Doubt]:
    """Follow the log's chain, and look for verdicts that it knows and nobody else."""
    log = read_log(log_beside(folder))
    name = log.path.name
    for problem in log.problems:
        yield Doubt(file=name, problem=problem)
    here = Path(folder).absolute().name
    recorded = [
        line.evaluation_sha256
        for line in log.lines
        if line.what == "recorded"
        and (line.evaluation, line.folder) == (evaluation.evaluation, here)
    ]
    if recorded and sha256_of(Path(folder) / EVALUATION_FILE) not in recorded:
        yield Doubt(
            file=EVALUATION_FILE,
            problem=f"it is not the file whose digest {name} noted when it was written "
            f"({recorded[-1][:12]})",
        )
    noted = {
        line.verdict: line
        for line in log.lines
        if line.what == "judged" and (line.evaluation, line.folder) == (evaluation.evaluation, here)
    }
    present: set[str] = set()
    for path in verdict_paths(folder):
        try:
            _, one = load_verdict(path)
        except QAError:
            continue  # told above
        evidence = one.verdict.evidence
        if evidence is None:
            continue
        present.add(evidence.verdict)
        if evidence.log_head and not log.knows(evidence.log_head):
            yield Doubt(
                file=one.file,
                problem=f"the last line of {name} when it was written ({evidence.log_head}) is "
                f"not there: the log was cut, changed or left behind",
                certain=bool(log.lines),
            )
        if noted and evidence.verdict not in noted:
            yield Doubt(file=one.file, problem=f"no line of {name} notes it", certain=False)
    for verdict, line in noted.items():
        if verdict not in present:
            assert line.profile is not None
            yield Doubt(
                file=name,
                problem=f"verdict {verdict} of {line.at[:16]} ({line.profile.title}) was written "
                f"here and is gone, or is no longer what it was",
            )


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
