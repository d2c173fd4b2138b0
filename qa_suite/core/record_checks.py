"""Whether a record is what was written: tables, counts, identifier, rows and kept volumes.

Everything is recomputed from the files themselves and every problem is said at once. The content
of volumes is compared on request alone: it takes as long as reading them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import read_json
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import (
    CASES_FILE,
    COSTS_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    NORMS_FILE,
    VOLUMES_FOLDER,
    evaluation_identifier,
)
from qa_suite.core.records import Evaluation
from qa_suite.core.table_files import read_parquet
from qa_suite.core.table_parts import texts_in
from qa_suite.core.wording import count, listing, some

_OF_CASES = (MEASUREMENTS_FILE, COSTS_FILE, CURVES_FILE)
_OF_A_CASE = ("case", "patient", "site", "split", "status")
_STATUSES = ("refused", "failed", "evaluated")


def table_digests(evaluation: Evaluation) -> dict[str, str]:
    """Return every table that a record must have, and its SHA-256."""
    costs = evaluation.when.costs_sha256
    return {**evaluation.tables_sha256, **({COSTS_FILE: costs} if costs else {})}


def record_problems(folder: Path, evaluation: Evaluation) -> list[str]:
    """Say everything that is wrong with a record but its volumes, one part of a sentence each."""
    folder = Path(folder)
    known = {CASES_FILE: None, **table_digests(evaluation)}
    problems = [*_table_problems(folder, evaluation), *_identifier_problems(folder, evaluation)]
    if (folder / CASES_FILE).is_file():
        try:
            cases = read_parquet(folder / CASES_FILE, columns=_OF_A_CASE, sha256=known[CASES_FILE])
        except InputError as error:
            return [*problems, str(error).rstrip(".")]
        problems += _count_problems(evaluation, cases)
        problems += _row_problems(folder, set(cases["case"]), known)
    return problems


def _table_problems(folder: Path, evaluation: Evaluation) -> Iterator[str]:
    """Hold every table against its digest; a table without one is as bad as none."""
    known = table_digests(evaluation)
    for name in (MEASUREMENTS_FILE, CASES_FILE):
        if name not in known:
            yield f"{EVALUATION_FILE} holds no digest of {name}"
    for name, expected in known.items():
        if not (folder / name).is_file():
            yield f"{name} is missing, so this is not a whole evaluation"
        elif sha256_of(folder / name) != expected:
            yield (
                f"{name} was changed after it was measured (its hash differs from the record); "
                f"evaluate again"
            )
    for name in (COSTS_FILE, CURVES_FILE, NORMS_FILE):
        if name not in known and (folder / name).is_file():
            yield f"{name} lies there, and {EVALUATION_FILE} holds no digest of it"


def _identifier_problems(folder: Path, evaluation: Evaluation) -> Iterator[str]:
    """Recompute the identifier; records of schema 1 had another rule for it."""
    if evaluation.schema_version == 1:
        return
    raw: dict[str, Any] = read_json(folder / EVALUATION_FILE)
    norms = None
    if NORMS_FILE in evaluation.tables_sha256 and (folder / NORMS_FILE).is_file():
        try:
            norms = read_json(folder / NORMS_FILE)
        except InputError:
            return  # its digest differs too, and says so
    found = evaluation_identifier(
        cohort_digest=raw["cohort"]["digest"],
        model=raw["model"],
        settings=raw["settings"],
        instruments=raw.get("instruments", ()),
        norms=norms,
    )
    if found != evaluation.evaluation:
        yield (
            f"its identifier is {evaluation.evaluation}, and cohort, model and settings give "
            f"{found}: {EVALUATION_FILE} was changed after it was measured"
        )


def _count_problems(evaluation: Evaluation, cases: pd.DataFrame) -> Iterator[str]:
    """Hold the counts and the cohort's facts against the table of cases."""
    for case, n in cases["case"].value_counts().items():
        if n > 1:
            yield f"case {case} stands {n} times in {CASES_FILE}"
    held_out = cases[cases["split"] == evaluation.cohort.split]
    counted = {status: int((held_out["status"] == status).sum()) for status in _STATUSES}
    counted |= {"held_out": len(held_out), "import_failed": int(cases["split"].isna().sum())}
    for what, said in evaluation.case_counts.items():
        if what in counted and counted[what] != said:
            yield (
                f"case_counts says {said} {what.replace('_', ' ')}, and {CASES_FILE} holds "
                f"{counted[what]}"
            )
    facts = evaluation.cohort
    for what, said, found in (
        ("cases", facts.cases, len(held_out)),
        ("patients", facts.patients, held_out["patient"].nunique()),
    ):
        if said != found:
            yield f"the cohort's facts say {said} {what}, and {CASES_FILE} holds {found}"
    if missing := sorted(map(str, set(held_out["site"]) - set(facts.sites))):
        yield f"{listing(missing)} in {CASES_FILE} is no site of the cohort's facts"


def _row_problems(folder: Path, cases: set[str], known: Mapping[str, str | None]) -> Iterator[str]:
    """Say which rows are of a case that the table of cases does not hold."""
    for name in _OF_CASES:
        if not (folder / name).is_file():
            continue
        try:
            rows = texts_in(folder / name, column="case", sha256=known.get(name))
        except InputError as error:
            yield str(error).rstrip(".")
            continue
        if strangers := sorted(map(str, rows - cases)):
            yield f"{name} has rows of {listing(some(strangers))}, not in {CASES_FILE}"


def volume_problems(folder: Path, named: dict[str, dict[str, str]], *, content: bool) -> list[str]:
    """Hold the kept volumes against the names that the cases give them.

    Parameters
    ----------
    named
        Case to its volumes, role to file name.
    content
        Whether every file is read and compared with its name, which begins its SHA-256.
    """
    place = Path(folder) / VOLUMES_FOLDER
    present = {path.name for path in place.glob("*")} if place.is_dir() else set()
    users: dict[str, list[str]] = {}
    for case, volumes in named.items():
        for role, name in volumes.items():
            users.setdefault(name, []).append(f"{case} ({role})")
    problems = [
        f"the volume {name} of {listing(some(who))} is missing"
        for name, who in sorted(users.items())
        if name not in present
    ]
    if strangers := sorted(present - set(users)):
        what = count(len(strangers), "file")
        problems.append(f"{VOLUMES_FOLDER}/ holds {what} of no case: {listing(some(strangers))}")
    for name in sorted(present & set(users)) if content else ():
        if not is_what_it_was(place / name):
            problems.append(
                f"the volume {name} of {listing(some(users[name]))} is not what it was: its "
                f"content does not give its name"
            )
    return problems


def is_what_it_was(volume: Path) -> bool:
    """Say whether a kept volume's content gives its name, which begins its SHA-256."""
    return sha256_of(volume).startswith(volume.name.partition(".")[0])
