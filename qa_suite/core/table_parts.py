"""A table of parquet in parts of whole groups, texts as categories: memory is that of a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.table_files import require_table

ROWS = 1 << 16
"""Of a part, beside what belongs to the last of its groups."""


def parts_of(path: Path, *, by: str, sha256: str | None = None) -> Iterator[pd.DataFrame]:
    """Read a table part by part; the rows of one group that stand together stay together.

    Parameters
    ----------
    path
        Of the file.
    by
        Column of texts whose neighbouring equal rows come in one part.
    sha256
        As in :func:`~qa_suite.core.table_files.read_parquet`.

    Raises
    ------
    InputError
        As in :func:`~qa_suite.core.table_files.read_parquet`, or if the groups are no texts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_table(path, sha256=sha256)
    schema = pq.read_schema(path)
    texts = [
        f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
    ]
    if by not in texts:
        raise InputError(f"{path} has no column {by} of texts.")
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        rest = None
        for batch in file.iter_batches(batch_size=ROWS):
            table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            if rest is not None:
                table = pa.concat_tables([rest, table]).unify_dictionaries().combine_chunks()
            groups = table[by].combine_chunks().indices.to_numpy(zero_copy_only=False)
            whole = int(np.argmax(groups == groups[-1])) if len(groups) else 0
            rest = table.slice(whole)
            if whole:
                yield table.slice(0, whole).to_pandas()
        if rest is not None:
            yield rest.to_pandas()


def texts_in(path: Path, *, column: str, sha256: str | None = None) -> set[str]:
    """Return the different texts of one column; memory does not grow with the rows.

    Errors are those of :func:`~qa_suite.core.table_files.read_parquet`.
    """
    import pyarrow.parquet as pq

    require_table(path, columns=[column], sha256=sha256)
    found: set[str] = set()
    with pq.ParquetFile(path, read_dictionary=[column]) as file:
        if column not in file.schema_arrow.names:
            raise InputError(f"{path} lacks the column {column}.")
        for batch in file.iter_batches(batch_size=ROWS, columns=[column]):
            found.update(map(str, batch.column(0).unique().to_pylist()))
    return found


def joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join parts of one table, their categories united."""
    columns = {}
    for name in parts[0]:
        pieces = [part[name] for part in parts]
        if all(isinstance(piece.dtype, pd.CategoricalDtype) for piece in pieces):
            columns[name] = pd.Series(pd.api.types.union_categoricals(pieces))
        else:
            columns[name] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame(columns)
