"""A table of parquet of which a byte is spoilt is read or refused, however it is read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.table_parts import parts_of, texts_in


def test_a_text_that_is_not_in_its_list_is_refused(tmp_path: Path) -> None:
    """Texts are stored as places in a list, of which one damaged length takes the last away."""
    path = tmp_path / "a.parquet"
    table = pd.DataFrame({"case": [f"c{number}" for number in range(8)] * 8})
    table.to_parquet(path, compression=None)
    whole = path.read_bytes()
    assert texts_in(path, column="case") == set(table["case"])
    refused = 0
    for place in range(15, 75):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            texts_in(path, column="case")
            list(parts_of(path, by="case"))
        except InputError:
            refused += 1
    assert refused > 10
