"""The log of check-ups: an append-only CSV file, one row a measure a check-up.

A log may hold more than one model: each row names the one whose image was checked, and each model
is charted by itself. Logs without that column are of an older form, which goes on as it is; there
the evaluation that was compared with stands for the model.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qa_suite.checkup.findings import CheckUp
from qa_suite.core.errors import InputError
from qa_suite.core.records import MeasurementStatus, ModelFacts
from qa_suite.core.table_files import read_cells
from qa_suite.core.whole_files import append_bytes

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LogRow(BaseModel):
    """One measure of one check-up in the log."""

    model_config = _STRICT

    time: str
    case: str
    evaluation: str
    metric: str
    region: str
    variant: str
    unit: str
    value: float | None
    outside: bool
    model: str = ""
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"

    @property
    def charted_as(self) -> str:
        """The model, or what stands for it in a log that does not name models."""
        return self.model or f"the model of evaluation {self.evaluation[:12]}"


_COLUMNS = tuple(LogRow.model_fields)[:-3]
"""Of the file: a bound of a censored value stands in the column of the value, as ``>=10``, and
where there is no value it says so: ``undefined`` or ``error``."""
_OLD_COLUMNS = _COLUMNS[:-1]


def model_key(model: ModelFacts) -> str:
    """Name a model so that another version, other weights or other settings are another name."""
    words = [model.name, model.version or "", (model.weights_sha256 or "")[:12]]
    asked = [f"{name}={value}" for name, value in sorted(model.asked.items())]
    return " ".join(filter(None, (*words, *asked)))


def read_log(path: Path) -> list[LogRow]:
    """Read a log of check-ups, oldest first; an absent one is empty.

    Raises
    ------
    InputError
        If it is not such a log; the line is named.
    """
    if not path.exists():
        return []
    rows = []
    titles, *lines = read_cells(path) or [[]]
    if tuple(titles) not in (_COLUMNS, _OLD_COLUMNS):
        raise InputError(
            f"{path} is no log of check-ups: its first line should be {','.join(_COLUMNS)}."
        )
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        try:
            row = dict(zip(titles, cells, strict=True))
            rows.append(LogRow.model_validate({**row, **_read_value(row["value"])}))
        except (ValidationError, ValueError, KeyError):
            raise InputError(f"Line {number} of {path} is damaged; mend or remove it.") from None
    return rows


def _read_value(text: str) -> dict[str, str | None]:
    """Read a cell: a value, bounds of one, or why there is none (in old logs nothing)."""
    if text in ("", "undefined", "error"):
        return {"value": None, "status": text or "undefined"}
    if not text.startswith((">=", "<=")):
        return {"value": text}
    names = {">=": "at_least", "<=": "at_most"}
    bounds = {names[part[:2]]: part[2:] for part in text.split()}
    return {"value": None, "status": "censored", **bounds}


def _written_value(row: LogRow) -> str | float | None:
    if row.status in ("undefined", "error"):
        return row.status
    bounds = ((">=", row.at_least), ("<=", row.at_most))
    return " ".join(f"{sign}{end!r}" for sign, end in bounds if end is not None) or row.value


def append_log(
    path: Path, check_up: CheckUp, *, time: str, evaluation: str, model: str = ""
) -> list[LogRow]:
    """Add a check-up to a log in one write; return the whole log.

    Parameters
    ----------
    path
        Of the log; made where there is none.
    check_up
        One patient.
    time
        When, in ISO 8601.
    evaluation
        Identifier of the evaluation that it was compared with.
    model
        Whose image was checked, as :func:`model_key` names it. A log of the older form does not
        keep it.

    Raises
    ------
    InputError
        If the file is no such log, or holds this case already.
    """
    known = read_log(path)
    begins = not path.exists() or path.stat().st_size == 0
    columns = _COLUMNS if begins else _columns_of(path)
    rows = [
        LogRow(
            time=time,
            case=check_up.case,
            evaluation=evaluation,
            metric=f.metric,
            region=f.region,
            variant=f.variant,
            unit=f.unit,
            value=f.value,
            at_least=f.at_least,
            at_most=f.at_most,
            outside=f.outside,
            status=f.status,
            model=model if columns == _COLUMNS else "",
        )
        for f in check_up.findings
    ]
    as_now = {row.charted_as for row in rows}
    if any(row.case == check_up.case and row.charted_as in as_now for row in known):
        raise InputError(
            f"{path} holds a check-up of {check_up.case} already; a log takes each image once."
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    if begins:
        writer.writeheader()
    for row in rows:
        writer.writerow({**row.model_dump(), "value": _written_value(row)})
    append_bytes(path, text.getvalue().encode())
    return [*known, *rows]


def _columns_of(path: Path) -> tuple[str, ...]:
    return tuple(next(iter(read_cells(path)), ()))
