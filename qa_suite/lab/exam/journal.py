"""The exam's journal: what was measured is kept, so that an exam that was ended carries on.

One line of JSON a patient and candidate, written as he is finished. A line that was cut off
in the middle of its writing is measured again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import parse_json
from qa_suite.core.plain_files import read_text
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import CodeFacts
from qa_suite.core.whole_files import append_bytes, write_text
from qa_suite.lab.exam.readings import Answers, Task
from qa_suite.lab.exam.settings import ExamSettings

JOURNAL_FILE = "journal.jsonl"
_FREE = {"candidates", "clean_only", "clean_cohorts", "faults", "clinical_only", "trials"}
"""Settings that say how much is examined, and change no measurement."""


class Journal:
    """What a folder holds of one exam; without a folder nothing is kept.

    Parameters
    ----------
    folder
        Of the exam, or None.
    settings, profile_sha256, patients_from, code
        What the measurements depend on; an exam of anything else has a journal of its own.
    again
        Whether what was measured is judged again, under another profile or by another version of
        the suite. Nothing is measured then, and nothing written.

    Raises
    ------
    InputError
        If the folder holds the journal of another exam, or there is none to judge again.
    """

    def __init__(
        self,
        folder: Path | None,
        settings: ExamSettings,
        *,
        profile_sha256: str,
        patients_from: str,
        code: CodeFacts,
        again: bool = False,
    ) -> None:
        self._again = again
        self._file = None if folder is None else folder / JOURNAL_FILE
        self._known: dict[tuple[str, str, str], Answers] = {}
        self.measured_by = suite_of(code)
        """The version and commit of the suite that measured."""
        if again and (self._file is None or not self._file.is_file()):
            where = "without a folder" if folder is None else f"in {folder}"
            raise InputError(
                f"There is no journal to judge again {where}; run the exam into a folder first."
            )
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        head = {
            "settings": settings.model_dump(mode="json", exclude=_FREE),
            "profile_sha256": profile_sha256,
            "patients_from": patients_from,
            "suite": self.measured_by,
        }
        if self._file.is_file():
            self._read(self._file, parse_json(json.dumps(head), self._file))
        else:
            write_text(self._file, _line(head))

    def _read(self, file: Path, head: dict[str, Any]) -> None:
        lines = read_text(file).split("\n")
        found = parse_json(lines[0], file)
        if not isinstance(found, dict):
            raise InputError(f"{file} is no journal of an exam; give another folder.")
        free: tuple[str, ...] = ()
        if self._again:
            free = ("profile_sha256", "suite")
            head["settings"]["profile"] = found.get("settings", {}).get("profile")
        differ = sorted(key for key in head if found.get(key) != head[key] and key not in free)
        if differ:
            raise InputError(
                f"{file} is the journal of another exam (it differs in {', '.join(differ)}); give "
                f"another folder, or remove the file to begin anew."
            )
        self.measured_by = str(found.get("suite"))
        whole = [lines[0]]
        for line in lines[1:]:
            try:
                key, answers = parse_json(line, file)
                self._known[tuple(key)] = Answers.model_validate(answers)
            except (InputError, ValueError, TypeError, ValidationError):
                continue  # cut off while it was written
            whole.append(line)
        if not self._again:
            write_text(file, "".join(f"{line}\n" for line in whole))

    def known(self, task: Task) -> dict[str, Answers]:
        """Return what is there already of a task, by candidate."""
        keys = {candidate: _key(task, candidate) for candidate in task.candidates}
        return {name: self._known[key] for name, key in keys.items() if key in self._known}

    def add(self, task: Task, answers: Answers) -> None:
        """Keep what one candidate's images of one patient gave."""
        if self._file is None:
            return
        line = _line([_key(task, answers.candidate), answers.model_dump(mode="json")])
        append_bytes(self._file, line.encode())


def suite_of(code: CodeFacts) -> str:
    """Name the version and the commit of a suite."""
    return f"{code.suite_version} {code.git_commit or ''}".strip()


def _key(task: Task, candidate: str) -> tuple[str, str, str]:
    """Name what was measured: whose image by whom, and all that was planted and looked at."""
    plain = candidate in task.plain
    what = {
        "number": task.someone.number,
        "side": task.someone.side,
        "faults": [] if plain else [list(one) for one in task.faults],
        "alone": task.alone and not plain,
        "alone_many": task.alone_many,
    }
    return task.someone.case, candidate, digest_of(what)[:16]


def _line(what: object) -> str:
    return json.dumps(what, ensure_ascii=False) + "\n"
