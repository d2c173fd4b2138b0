"""Whether an evaluation kept a protocol that was locked before its first case was translated."""

from __future__ import annotations

from pathlib import Path

from qa_suite.core.errors import QAError
from qa_suite.core.locks import LOCK_FILE, differences, read_lock
from qa_suite.core.records import CohortUse, Evaluation, Profile, Protocol
from qa_suite.core.records.lock import Lock
from qa_suite.core.wording import count
from qa_suite.judging.history import History


def protocol_of(
    folder: Path, evaluation: Evaluation, profile: Profile, history: History
) -> Protocol:
    """Say how far the protocol of an evaluation was locked.

    Parameters
    ----------
    folder, evaluation
        The record; the lock lies beside it.
    profile
        What it is judged by.
    history
        When this test cohort was examined, and the log beside the evaluation.
    """
    path, began = Path(folder) / LOCK_FILE, evaluation.when.lock
    if not path.is_file():
        if not began:
            return Protocol()
        why = f"the evaluation was begun under this lock, and {LOCK_FILE} is not there"
        return Protocol(state="broken", lock=began, reasons=(why,))
    try:
        lock = read_lock(path)
    except QAError as error:
        return Protocol(state="broken", lock=began, reasons=(str(error).rstrip("."),))
    broken = _broken(lock, evaluation, profile)
    late = _late(lock, evaluation, history)
    return Protocol(
        state="broken" if broken else "locked after the fact" if late else "locked",
        lock=lock.lock,
        written=lock.written,
        reasons=tuple(broken or late),
    )


def _broken(lock: Lock, evaluation: Evaluation, profile: Profile) -> list[str]:
    began = evaluation.when.lock
    other = [f"the evaluation was begun under the lock {began[:8]}"]
    return [
        *(other if began and began != lock.lock else []),
        *differences(
            lock,
            cohort_digest=evaluation.cohort.digest,
            split=evaluation.cohort.split,
            settings=evaluation.settings,
            instruments=evaluation.instruments,
            model=evaluation.model.uri,
            weights_sha256=evaluation.model.weights_sha256,
            profile=profile,
        ),
    ]


def _late(lock: Lock, evaluation: Evaluation, history: History) -> list[str]:
    """Say what shows that something was examined before the lock was written.

    The digest in the plan and the order of the log hold whatever the clock says; times decide
    where neither does.
    """
    late = []
    if not evaluation.when.lock:
        late.append(
            "the evaluation's plan, written before the first case was translated, does not name it"
        )
    elif lock.written > evaluation.when.started:
        late.append(
            f"it is of {lock.written[:19]}, and the first case was begun at "
            f"{evaluation.when.started[:19]}"
        )
    before = lock.examined_before or [use for use in history.uses if _older(use, lock, history)]
    if before:
        first = min(before, key=lambda use: use.begun)
        late.append(
            f"cases of this test cohort had been examined {count(len(before), 'time')} before it "
            f"was written, first with {first.model} at {first.begun[:19] or 'an unknown time'}"
        )
    return late


def _older(use: CohortUse, lock: Lock, history: History) -> bool:
    """Say whether an examination came before the lock: by the log's order, else by the clocks."""
    lines = history.log.lines
    locked = [n for n, one in enumerate(lines) if one.what == "locked" and one.lock == lock.lock]
    begun = [
        n
        for n, one in enumerate(lines)
        if one.what == "examined" and (one.evaluation, one.at) == (use.evaluation, use.begun)
    ]
    if locked and begun:
        return begun[0] < locked[0]
    return use.begun < lock.written
