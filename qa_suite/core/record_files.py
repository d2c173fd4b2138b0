"""Reading and writing the record: tables as parquet, the rest as JSON; whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from qa_suite.core.errors import InputError, Problems, raise_problems
from qa_suite.core.json_files import Model, parse_json, read_json, read_json_model
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_checks import record_problems
from qa_suite.core.record_names import (
    CASES_FILE,
    COSTS_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
)
from qa_suite.core.records import CaseRecord, CurvePoint, Evaluation, Measurement
from qa_suite.core.row_writer import RowWriter
from qa_suite.core.table_files import read_parquet
from qa_suite.core.table_parts import parts_of, texts_in
from qa_suite.core.validation import describe_validation
from qa_suite.core.whole_files import replacing, write_text

ABSENT = "absent_in_reference"
"""Column of the measurements; empty where a record does not say."""

Row = TypeVar("Row", bound=BaseModel)

ROW_KEYS = {
    MEASUREMENTS_FILE: ("family", "metric", "region", "variant"),
    COSTS_FILE: ("family", "metric", "region", "variant"),
    CURVES_FILE: ("family", "curve", "region", "variant", "x"),
}
"""Tables with many rows a case, and by what those are sorted."""
_JSON_COLUMNS = (
    "preflight",
    "strata",
    "history",
    "volumes",
    "hluts",
    "remarks",
    "structures",
    "voxel_hashes",
)


def write_table(path: Path, rows: list[Row], row_type: type[Row]) -> str:
    """Write rows as a parquet file in a fixed order; return its SHA-256.

    The nested columns of the case table (preflight, strata, history ...) are JSON text,
    so that every reader of parquet can open it.
    """
    if path.name in ROW_KEYS:
        return _write_rows(path, rows, row_type)
    columns = list(row_type.model_fields)
    data = [row.model_dump(mode="json") for row in rows]
    for row in data:
        for column in _JSON_COLUMNS:
            if column in row:
                row[column] = json.dumps(row[column], sort_keys=True, ensure_ascii=False)
    frame = pd.DataFrame(data, columns=columns)
    for column, info in row_type.model_fields.items():
        if info.annotation in (float, float | None):
            frame[column] = frame[column].astype("float64")
    frame = frame.sort_values("case", kind="stable").reset_index(drop=True)
    with replacing(path) as draft:
        frame.to_parquet(draft, index=False, compression="zstd")
    return sha256_of(path)


def _write_rows(path: Path, rows: Sequence[Row], row_type: type[Row]) -> str:
    by_case: dict[str, list[Row]] = {}
    for row in rows:
        by_case.setdefault(getattr(row, "case"), []).append(row)  # noqa: B009
    with rows_into(path, row_type) as writer:
        for case in sorted(by_case):
            writer.add(case, by_case[case])
    return writer.sha256


def rows_into(path: Path, row_type: type[BaseModel]) -> RowWriter:
    """Return what writes one of the tables with many rows a case, case by case."""
    return RowWriter(path, row_type, ROW_KEYS[path.name])


def read_measurements(folder: Path) -> pd.DataFrame:
    """Read the measurements of an evaluation: the columns of :class:`Measurement`.

    Time and memory of the translations, which have a file of their own, come after the others.
    A record of schema 1 has no bounds of censored values: their columns are empty; so is the column
    that says what is absent in the reference, in a record made before it was told.
    """
    table = _whole(_read_table(folder, MEASUREMENTS_FILE, Measurement))
    if not (Path(folder) / COSTS_FILE).is_file():  # a record without costs
        return table
    costs = _whole(_read_table(folder, COSTS_FILE, Measurement))
    return pd.concat([table, costs], ignore_index=True) if len(costs) else table


def read_measurements_of(
    folder: Path, names: Sequence[str], *, by: Literal["metric", "family"] = "metric"
) -> pd.DataFrame:
    """Read the measurements of a few metrics or families; time and memory are those of their rows.

    Columns and errors are those of :func:`read_measurements`; costs come along.
    """
    found = [
        _whole(_read_table(folder, name, Measurement, among=(by, tuple(names))))
        for name in (MEASUREMENTS_FILE, COSTS_FILE)
        if name == MEASUREMENTS_FILE or (Path(folder) / name).is_file()
    ]
    return pd.concat(found, ignore_index=True) if len(found) > 1 and len(found[1]) else found[0]


def valued_measures(folder: Path) -> set[tuple[str, str]]:
    """Return metric and region of what has a value, or a bound of one, in any case."""
    found: set[tuple[str, str]] = set()
    for name in (MEASUREMENTS_FILE, COSTS_FILE):
        path = Path(folder) / name
        if name == MEASUREMENTS_FILE or path.is_file():
            _require_file(folder, path)
            columns = ["metric", "region", "status"]
            rows = read_parquet(path, columns=columns, sha256=_digest_said(folder, name))
            known = rows.loc[rows["status"].isin(("ok", "censored")), ["metric", "region"]]
            found.update(known.drop_duplicates().itertuples(index=False, name=None))
    return found


def measured_families(folder: Path) -> set[str]:
    """Return the families that a record has measurements of; memory is that of their names."""
    found: set[str] = set()
    for name in (MEASUREMENTS_FILE, COSTS_FILE):
        path = Path(folder) / name
        if name == MEASUREMENTS_FILE or path.is_file():
            _require_file(folder, path)
            found |= texts_in(path, column="family", sha256=_digest_said(folder, name))
    return found


def measurement_parts(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Read the measurements part by part, the costs last; a part holds whole cases.

    Columns are those of :func:`read_measurements`, texts as categories. The cases are whole where
    the rows of a case stand together, as this suite writes them.

    Yields
    ------
    The name of the file and the part.
    """
    for name in (MEASUREMENTS_FILE, COSTS_FILE):
        path = Path(folder) / name
        if name == COSTS_FILE and not path.is_file():
            return
        _require_file(folder, path)
        for part in parts_of(path, by="case", sha256=_digest_said(folder, name)):
            _require_columns(path, part, Measurement)
            yield name, _whole(part)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Give an old table the columns that it lacks, empty."""
    columns = list(Measurement.model_fields)
    empty: dict[str, Any] = {"at_least": float("nan"), "at_most": float("nan"), ABSENT: None}
    lacking = {name: value for name, value in empty.items() if name not in table}
    return table.assign(**lacking)[columns] if lacking else table


def read_curves(folder: Path) -> pd.DataFrame:
    """Read the curves of an evaluation: the columns of :class:`CurvePoint`."""
    return _read_table(folder, CURVES_FILE, CurvePoint)


def read_cases(folder: Path) -> tuple[CaseRecord, ...]:
    """Read what happened to every case of an evaluation."""
    frame = _read_table(folder, CASES_FILE, CaseRecord)
    old = _said(folder).get("schema_version", 1) == 1 and (Path(folder) / EVALUATION_FILE).is_file()
    records = []
    read: dict[str, Any] = {}  # texts of which many cases have the same
    for row in frame.to_dict(orient="records"):
        for column in (column for column in _JSON_COLUMNS if column in row):
            text = str(row[column])
            if text not in read:
                read[text] = parse_json(text, f"{folder / CASES_FILE}, {column}")
            row[column] = read[text]
        if old:
            row["preflight"] = _known_preflight(row["preflight"])
        if row["split"] is None or row["split"] != row["split"]:
            row["split"] = None
        try:
            records.append(CaseRecord.model_validate(row))
        except ValidationError as error:
            where = f"{folder / CASES_FILE}, case {row.get('case')}"
            raise Problems(where, describe_validation(error)) from None
    return tuple(records)


_PARTS_OF_THE_MOTION = ("alignment_shift", "alignment_rotation")


def _said(folder: Path) -> dict[str, Any]:
    """Return what a record says of itself; nothing where there is no evaluation yet."""
    path = Path(folder) / EVALUATION_FILE
    said = read_json(path) if path.is_file() else {}
    return said if isinstance(said, dict) else {}


def _known_preflight(checks: dict[str, Any]) -> dict[str, Any]:
    """Read checks of schema 1, which gave a lower bound, or zero, as the value of what it lacked.

    There ``alignment_displacement_95`` was ok whatever was undetermined beneath it.
    """
    checks = {name: dict(check) for name, check in checks.items()}
    whole = checks.get("alignment_displacement_95")
    if whole is not None and whole["status"] == "ok":
        parts = [checks[name] for name in _PARTS_OF_THE_MOTION if name in checks]
        unknown = [part["why"] for part in parts if part["status"] == "undetermined"]
        if unknown:
            whole |= {"status": "undetermined", "why": "; ".join(unknown)}
    for check in checks.values():
        if check["status"] == "undetermined" and check["value"] is not None:
            check |= {"value": None, "at_least": check["value"] or None}
        if check["status"] == "ok" and check["value"] is None:
            check |= {"status": "undetermined", "why": "no value was recorded"}
        if check["status"] != "ok" and not check["why"]:
            check["why"] = "no reason was recorded"
    return checks


def _read_table(
    folder: Path,
    name: str,
    row_type: type[BaseModel],
    among: tuple[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    path = Path(folder) / name
    _require_file(folder, path)
    table = read_parquet(path, sha256=_digest_said(folder, name), among=among)
    _require_columns(path, table, row_type)
    return table


def _require_file(folder: Path, path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{folder} is not a whole evaluation: {path.name} is missing.")


def _require_columns(path: Path, table: pd.DataFrame, row_type: type[BaseModel]) -> None:
    fields = row_type.model_fields.items()
    needed = [key for key, field in fields if field.is_required()]
    if lacking := [key for key in needed if key not in table]:
        raise InputError(f"{path} lacks the column {', '.join(lacking)}.")


def _digest_said(folder: Path, name: str) -> str | None:
    """Return what the record says that the SHA-256 of a table is."""
    said = _said(folder)
    digests = said.get("tables_sha256")
    if name == COSTS_FILE and isinstance(said.get("when"), dict):
        found = said["when"].get("costs_sha256")
    else:
        found = digests.get(name) if isinstance(digests, dict) else None
    return found if isinstance(found, str) else None


def write_model(path: Path, model: BaseModel) -> None:
    """Write a record as indented JSON, all at once or not at all."""
    text = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")


def read_model(path: Path, model_type: type[Model]) -> Model:
    """Read a record written by :func:`write_model`.

    Raises
    ------
    InputError
        If the file is missing or no JSON.
    Problems
        If it is not the record asked for; all differences are named.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no {model_type.__name__.lower()} at {path}.")
    return read_json_model(path, model_type)


def read_evaluation(folder: Path) -> Evaluation:
    """Read ``evaluation.json`` and hold it against everything that lies beside it but volumes.

    Raises
    ------
    InputError
        If there is no evaluation.
    Problems
        If a table is missing or was changed after it was written, if the identifier, the counts
        or the facts of the cohort do not follow from what lies there, or rows are of no case.
    """
    folder = Path(folder)
    evaluation = read_model(folder / EVALUATION_FILE, Evaluation)
    raise_problems(f"The record in {folder}", record_problems(folder, evaluation))
    return evaluation
