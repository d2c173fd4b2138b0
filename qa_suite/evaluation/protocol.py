"""Before the first case is translated: the lock is held against what is asked, and it is noted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.examination_log import LogLine, append, log_beside, read_log, scans
from qa_suite.core.locks import (
    LOCK_FILE,
    differences,
    lock_identifier,
    locked_instruments,
    read_lock,
)
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import EVALUATION_FILE
from qa_suite.core.records import InstrumentFacts, ModelFacts, Profile
from qa_suite.core.records.lock import Lock
from qa_suite.core.whole_files import place_new
from qa_suite.evaluation.case_run import EvaluationSettings, Examination
from qa_suite.evaluation.journal import RunPlan
from qa_suite.evaluation.provenance import code_facts
from qa_suite.judging.evidence import person_of
from qa_suite.judging.history import look


def lock_of(examination: Examination, out: Path) -> str:
    """Return the identifier of the lock in an evaluation's folder, or nothing where there is none.

    Raises
    ------
    Problems
        If the cohort, the split, the settings, the examiner's networks or the model differ from
        what was locked.
    """
    path = out / LOCK_FILE
    if not path.is_file():
        return ""
    lock = read_lock(path)
    found = differences(
        lock,
        cohort_digest=examination.cohort.digest,
        split=examination.settings.split,
        settings=examination.settings.model_dump(mode="json"),
        instruments=examination.instrument_facts,
        model=examination.model.uri,
        weights_sha256=examination.model.weights_sha256,
        profile=examination.profile,
    )
    raise_problems(f"The evaluation, held against the lock {path},", found)
    return lock.lock


def make_lock(
    profile: Profile,
    cohort: Cohort,
    settings: EvaluationSettings,
    instruments: Sequence[InstrumentFacts],
    model: ModelFacts | None,
    out: Path,
    *,
    by: str = "",
    ask_store: bool = False,
) -> Path:
    """Write down criteria, cohort and settings in ``out``, before anything is translated.

    Parameters
    ----------
    model
        What will be examined; None locks the protocol for every model.
    out
        Folder of the evaluation, or any other from which ``evaluate --lock`` takes the file.
    by
        Who locks; by default the name of the account, or nobody where it has none.
    ask_store
        Whether the MLflow store is asked too how often the cohort was examined until now.

    Raises
    ------
    InputError
        If a lock lies there already: one is never overwritten.
    """
    held_out = scans(cohort.in_split(settings.split))
    history = look(out, cohort=(cohort.digest, settings.split), scans=held_out, ask_store=ask_store)
    person, source = person_of(by)
    code = code_facts()
    lock = Lock(
        lock="",
        profile=profile,
        cohort=cohort.name,
        cohort_digest=cohort.digest,
        split=settings.split,
        settings=settings.model_dump(mode="json"),
        instruments=locked_instruments(instruments),
        model="" if model is None else model.uri,
        weights_sha256=None if model is None else model.weights_sha256,
        suite_version=code.suite_version,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        written_by=person,
        person_from=source,
        examined_before=history.uses,
        looked_in=history.looked_in,
    )
    lock = lock.model_copy(update={"lock": lock_identifier(lock.model_dump(mode="json"))})
    text = json.dumps(lock.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    return place_lock(text.encode() + b"\n", out)


def place_lock(content: bytes, out: Path) -> Path:
    """Put a lock into an evaluation's folder and note it in the log; return its path.

    Raises
    ------
    InputError
        If another lock lies there, or what is given is none.
    """
    path = out / LOCK_FILE
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{LOCK_FILE}.{uuid.uuid4().hex}.tmp"
    try:
        draft.write_bytes(content)
        place_new(draft, path)
    except FileExistsError:
        if path.read_bytes() != content:
            raise InputError(
                f"{path} is there, and a lock is never overwritten; choose another --out."
            ) from None
    finally:
        draft.unlink(missing_ok=True)
    lock = read_lock(path)
    log = log_beside(out)
    if not any(one.what == "locked" and one.lock == lock.lock for one in read_log(log).lines):
        append(
            log,
            LogLine(
                what="locked",
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                cohort=lock.cohort,
                cohort_digest=lock.cohort_digest,
                split=lock.split,
                folder=out.absolute().name,
                model=lock.model,
                weights_sha256=lock.weights_sha256,
                lock=lock.lock,
            ),
        )
    return path


def note_examination(examination: Examination, out: Path, plan: RunPlan) -> tuple[str, ...]:
    """Add this examination to the log beside the evaluations; return what must be announced.

    One that is carried on after it was stopped is no second one.
    """
    path, name = log_beside(out), out.absolute().name
    for line in read_log(path).lines:
        if (line.evaluation, line.at, line.folder) == (plan.evaluation, plan.started, name):
            return ()
    held_out = examination.cohort.in_split(examination.settings.split)
    line = _line(examination, out, plan, "examined", plan.started)
    problem = append(path, line.model_copy(update={"cases": scans(held_out)}))
    if not problem:
        return ()
    return (f"This examination stands in no log of its test cohort: {problem}.",)


def note_record(examination: Examination, out: Path, plan: RunPlan, finished: str) -> None:
    """Note the digest of ``evaluation.json`` in the log, so that a later edit of it is noticed."""
    line = _line(examination, out, plan, "recorded", finished)
    digest = sha256_of(out / EVALUATION_FILE)
    append(log_beside(out), line.model_copy(update={"evaluation_sha256": digest}))


def _line(
    examination: Examination,
    out: Path,
    plan: RunPlan,
    what: Literal["examined", "recorded"],
    at: str,
) -> LogLine:
    return LogLine(
        what=what,
        at=at,
        cohort=examination.cohort.name,
        cohort_digest=examination.cohort.digest,
        split=examination.settings.split,
        evaluation=plan.evaluation,
        folder=out.absolute().name,
        model=examination.model.uri,
        weights_sha256=examination.model.weights_sha256,
        lock=plan.lock,
    )
