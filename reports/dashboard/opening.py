"""Opening an evaluation: its record and verdicts, read once as long as nothing was written."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.record_files import (
    measured_families,
    read_cases,
    read_evaluation,
    read_measurements_of,
)
from qa_suite.core.record_names import CASES_FILE, EVALUATION_FILE, MEASUREMENTS_FILE
from qa_suite.core.records import Verdict
from qa_suite.core.verdict_files import VERDICTS_FOLDER, overall, verdict_paths
from reports.dashboard import store
from reports.dashboard.catalogue import Known
from reports.dashboard.store import REPORT_FILE, Record
from reports.facts.dose import FAMILY as DOSE
from reports.facts.measures import FamilyTable, family_tables, in_order

_OPENED = 24
_State = tuple[tuple[str, int, int], ...]


def folder_of(known: Known) -> Path:
    """Return where the record lies on this machine, fetched from the store where need be."""
    if known.folder is not None:
        return known.folder
    if known.run_id is None:
        raise InputError(f"The evaluation {known.evaluation[:12]} lies nowhere that can be read.")
    return store.record_folder(known.run_id)


def open_known(known: Known) -> Record:
    """Open an evaluation; it is read again where a file of it was written since.

    Raises
    ------
    InputError, Problems
        If the record is not whole, or a verdict of it was changed.
    """
    folder = folder_of(known)
    return _opened(folder, state_of(folder))


@lru_cache(maxsize=_OPENED)
def _opened(folder: Path, _: _State) -> Record:
    report = folder / REPORT_FILE
    return Record(
        folder=folder,
        evaluation=read_evaluation(folder),
        cases=read_cases(folder),
        judged=overall(folder),
        report=report if report.is_file() else None,
    )


def measurements_of(record: Record, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a few metrics; do not write into them."""
    return _measurements(record.folder, metrics, state_of(record.folder))


@lru_cache(maxsize=_OPENED)
def _measurements(folder: Path, metrics: tuple[str, ...], _: _State) -> pd.DataFrame:
    return read_measurements_of(folder, metrics)


def families_of(record: Record) -> tuple[str, ...]:
    """Return the families that have a table of measures, in the report's order."""
    return _families(record.folder, state_of(record.folder))


@lru_cache(maxsize=_OPENED)
def _families(folder: Path, _: _State) -> tuple[str, ...]:
    return in_order(measured_families(folder) - {DOSE})


def family_of(record: Record, verdict: Verdict | None, family: str) -> FamilyTable | None:
    """Return the table of one family; None where all of its cases were left out."""
    excluded = frozenset(() if verdict is None else verdict.excluded)
    bounded = "" if verdict is None else verdict.profile_sha256
    key = (record.folder, family, excluded, bounded, state_of(record.folder))
    if key not in _tables:
        while len(_tables) >= _OPENED:
            _tables.pop(next(iter(_tables)))
        rows = read_measurements_of(record.folder, (family,), by="family")
        criteria = () if verdict is None else verdict.profile.criteria
        findings = () if verdict is None else verdict.findings
        judged = rows[~rows["case"].isin(excluded)]
        found = family_tables(judged, record.evaluation, criteria, findings)
        _tables[key] = found[0] if found else None
    return _tables[key]


_tables: dict[object, FamilyTable | None] = {}


def state_of(folder: Path) -> _State:
    """Return size and moment of every file that an opened record depends on."""
    return tuple(_stated(folder))


def _stated(folder: Path) -> Iterator[tuple[str, int, int]]:
    names = [EVALUATION_FILE, CASES_FILE, MEASUREMENTS_FILE, REPORT_FILE]
    names += [f"{VERDICTS_FOLDER}/{path.name}" for path in verdict_paths(folder)]
    for name in names:
        try:
            facts = (folder / name).stat()
        except OSError:
            continue
        yield name, facts.st_size, facts.st_mtime_ns
