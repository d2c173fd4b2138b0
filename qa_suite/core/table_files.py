"""Tables from outside: parquet and lines of cells, read in one way and within borders."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qa_suite.core.apart import read_apart
from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import MOST_BYTES, read_text, reason_of, require_file, sha256_of
from qa_suite.core.wording import count

MOST_ROWS = 100_000_000
MOST_TABLE_BYTES = 8 << 30
"""Of a table, as it is stored and as it says that it is in memory."""

_TEXTS = ("string", "large_string")


def read_parquet(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    sha256: str | None = None,
    among: tuple[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Read a table of parquet.

    A file that is what its record says (``sha256``) is read as it is. Any other is read once by
    a helper first (:mod:`qa_suite.core.apart`), which may die of it.

    Parameters
    ----------
    path
        Of the file.
    columns
        To read; by default all.
    sha256
        What its record says that it is; None where no record says anything.
    among
        A column and the texts of which one must stand in it: only those rows are read.

    Raises
    ------
    InputError
        If it is no plain file, no whole table of parquet, too large, or lacks a column.
    """
    require_table(path, columns=columns, sha256=sha256)
    filters = None if among is None else [(among[0], "in", list(among[1]))]
    try:
        return pd.read_parquet(path, columns=_listed(columns), filters=filters)
    except Exception as error:  # of a file that changed meanwhile, or a column that is not there
        raise InputError(f"{path} cannot be read as a table ({reason_of(error)}).") from None


def require_table(
    path: Path, *, columns: Sequence[str] | None = None, sha256: str | None = None
) -> None:
    """Refuse a file that cannot be read as a table; a helper reads it, if no record says of it.

    Parameters and errors are those of :func:`read_parquet`.
    """
    require_file(path, most_bytes=MOST_TABLE_BYTES)
    if sha256 is None or sha256_of(path) != sha256:
        read_apart("qa_suite.core.table_files:rehearse", path, columns=_listed(columns))


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


def rehearse(path: Path, *, columns: list[str] | None) -> tuple[Any, None]:
    """Read a table as it will be read, and throw it away; done by the helper."""
    import pyarrow.parquet as pq

    facts = pq.read_metadata(path)
    size = sum(facts.row_group(n).total_byte_size for n in range(facts.num_row_groups))
    if facts.num_rows > MOST_ROWS or size > MOST_TABLE_BYTES:
        rows = count(facts.num_rows, "row")
        raise InputError(f"it says that it holds {rows} and {size} bytes")
    table = pq.read_table(path)
    table.validate(full=True)  # texts are texts
    texts = [field.name for field in table.schema if str(field.type) in _TEXTS]
    del table
    pq.read_table(path, read_dictionary=texts).validate(full=True)  # and each is in its list
    pd.read_parquet(path, columns=columns)
    return None, None


def read_cells(
    path: Path, *, delimiters: str = ",", most_bytes: int = MOST_BYTES
) -> list[list[str]]:
    """Read lines of cells, as spreadsheets write them.

    Parameters
    ----------
    path
        A text file in UTF-8.
    delimiters
        What may part the cells; the one that the first line has most often does.
    most_bytes
        Its largest size.

    Returns
    -------
    list of lines
        Each a list of cells as they are written; an empty line has none.

    Raises
    ------
    InputError
        If it is no plain file, no text in UTF-8, too large, or its quotes do not close.
    """
    text = read_text(path, most_bytes=most_bytes, mark=True)
    lines = text.split("\n")
    delimiter = max(delimiters, key=lines[0].count)
    try:
        return list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table ({reason_of(error)}).") from None
