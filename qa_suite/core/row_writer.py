"""A table of a record, written case by case: what is in memory does not grow with the cases.

The order of the rows is that of the cases' names, and within a case the table's own, so that the
same rows are the same bytes, whoever measured them and in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from qa_suite.core.plain_files import sha256_of
from qa_suite.core.whole_files import replacing

ROWS_OF_A_GROUP = 1 << 18
_ROWS_AT_A_TIME = 1 << 14
_TYPES = {str: pa.string(), float: pa.float64(), bool: pa.bool_(), int: pa.int64()}


class RowWriter:
    """Writes a parquet file of rows of one type, all at once or not at all.

    Parameters
    ----------
    path
        The file that it becomes at the end of the block.
    row_type
        Its fields are texts, numbers and truths; they are the columns.
    keys
        By which the rows of one case are sorted; those that are equal stay in their order.
    """

    def __init__(self, path: Path, row_type: type[BaseModel], keys: Sequence[str]) -> None:
        self._path = path
        self._keys = tuple(keys)
        self._schema = pa.schema(
            [(name, _type(info.annotation)) for name, info in row_type.model_fields.items()]
        )
        self._rows: list[BaseModel] = []
        self._batches: list[pa.RecordBatch] = []
        self._last = ""
        self.sha256 = ""

    def __enter__(self) -> RowWriter:
        self._place = replacing(self._path)
        self._writer = pq.ParquetWriter(self._place.__enter__(), self._schema, compression="zstd")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush(1)
            self._writer.close()
        except BaseException as failure:
            self._place.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._place.__exit__(kind, error, trace)
        if kind is None:
            self.sha256 = sha256_of(self._path)

    def add(self, case: str, rows: Iterable[BaseModel]) -> None:
        """Write what one case gave.

        Raises
        ------
        ValueError
            If its name does not come after that of the case before it.
        """
        if case <= self._last:
            raise ValueError(f"The case {case} comes after {self._last}.")
        self._last = case
        self._rows += sorted(rows, key=lambda row: [getattr(row, key) for key in self._keys])
        if len(self._rows) >= _ROWS_AT_A_TIME:
            self._pack()
            if sum(batch.num_rows for batch in self._batches) >= ROWS_OF_A_GROUP:
                self._flush(ROWS_OF_A_GROUP)

    def _pack(self) -> None:
        """Keep the rows as columns, which take a tenth of the memory."""
        if not self._rows:
            return
        columns = [
            pa.array([getattr(row, field.name) for row in self._rows], type=field.type)
            for field in self._schema
        ]
        self._batches.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._rows.clear()

    def _flush(self, least: int) -> None:
        """Write groups of rows while at least so many wait."""
        self._pack()
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        while table.num_rows >= least:
            self._writer.write_table(table.slice(0, ROWS_OF_A_GROUP))
            table = table.slice(ROWS_OF_A_GROUP)
        self._batches = table.combine_chunks().to_batches()


def _type(annotation: Any) -> pa.DataType:
    """Return the column's type of a field; whether it may be empty says the model."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        annotation = type(get_args(annotation)[0])
    return _TYPES[annotation]
