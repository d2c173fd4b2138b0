"""Which evaluations there are: those of the MLflow store and those in folders of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qa_suite.core.errors import QAError
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.record_names import EVALUATION_FILE
from qa_suite.core.records import Evaluation
from qa_suite.core.wording import count
from reports.dashboard import store

_DEPTH = 4
_JOURNAL = "journal"
SHORTEST = 6
"""Digits by which an evaluation may be named."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """An evaluation that can be opened.

    ``folder`` is where it lies on this machine, where reviews and signatures are written; None
    where only the store has it. ``run_id`` is its run in the store, if it has one.
    """

    evaluation: str
    model: str
    cohort: str
    begun: str
    folder: Path | None = None
    run_id: str | None = None

    @property
    def title(self) -> str:
        """Model, cohort and day."""
        return f"{self.model} on {self.cohort}, {self.begun[:16].replace('T', ' ')}"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Every evaluation that is known, the newest first, and what could not be read."""

    known: tuple[Known, ...]
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> Known | str:
        """Return the evaluation whose identifier begins with a name, or why there is none."""
        found = [one for one in self.known if one.evaluation.startswith(name)]
        if len(name) < SHORTEST or len(found) != 1:
            what = (
                "names no evaluation" if not found else f"names {count(len(found), 'evaluation')}"
            )
            return f"{name!r} {what} that the store or the folders know; choose one on the left."
        return found[0]


def catalogue(folders: Iterable[Path]) -> Catalogue:
    """Look for evaluations; a store that does not answer is a problem of the catalogue alone."""
    problems: list[str] = []
    by_identifier: dict[str, Known] = {}
    for folder in folders:
        for path in evaluations_below(folder, problems):
            try:
                one = known_in(path, read_evaluation(path))
            except QAError as error:
                problems.append(str(error))
                continue
            by_identifier.setdefault(one.evaluation, one)
    try:
        runs = store.evaluations()
    except QAError as error:
        problems.append(str(error))
        runs = ()
    for run in runs:
        if run.status != "FINISHED":
            problems.append(
                f"The run {run.name} of MLflow has not ended ({run.status.lower()}): its logging "
                f"was interrupted; 'qa-suite sync' with the evaluation's folder ends it."
            )
            continue
        here = by_identifier.get(run.evaluation)
        by_identifier[run.evaluation] = (
            replace(here, run_id=run.run_id)
            if here is not None
            else Known(
                evaluation=run.evaluation,
                model=run.model,
                cohort=run.cohort,
                begun=store.moment(run.started_ms),
                run_id=run.run_id,
            )
        )
    newest = sorted(by_identifier.values(), key=lambda one: (one.begun, one.evaluation))
    return Catalogue(known=tuple(reversed(newest)), problems=tuple(problems))


def known_in(folder: Path, evaluation: Evaluation) -> Known:
    """Return what a catalogue says of the evaluation in a folder."""
    return Known(
        evaluation=evaluation.evaluation,
        model=evaluation.model.uri,
        cohort=evaluation.cohort.name,
        begun=evaluation.when.started,
        folder=folder,
    )


def evaluations_below(root: Path, problems: list[str]) -> Iterator[Path]:
    """Yield the folders of whole evaluations; of an unfinished one it says that it is."""
    if not root.is_dir():
        problems.append(f"There is no folder {root}.")
        return
    for place, folders, files in os.walk(root):
        path = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if EVALUATION_FILE in files:
            folders.clear()
            yield path
        elif _JOURNAL in folders and (path / _JOURNAL / "plan.json").is_file():
            done = len(list((path / _JOURNAL).glob("case-*.json")))
            folders.clear()
            problems.append(
                f"{path} is unfinished: {count(done, 'case')} examined so far. The command that "
                f"began it carries on."
            )
        elif len(path.relative_to(root).parts) >= _DEPTH:
            folders.clear()
