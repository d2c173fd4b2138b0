"""Rows are compared by numbers for their texts, and by nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qa_suite.judging.tables import distinct, together


@pytest.mark.parametrize("columns", [1, 2, 4, 9])
@pytest.mark.parametrize("words", [1, 2, 40, 4000])
def test_two_rows_are_alike_where_every_column_is(columns: int, words: int) -> None:
    rng = np.random.default_rng(columns * words)
    names = [f"c{n}" for n in range(columns)]
    table = pd.DataFrame({name: rng.integers(0, words, 5000).astype(str) for name in names})
    table = pd.concat([table, table.sample(50, random_state=1)], ignore_index=True)
    found = together(table, names)
    expected = table.duplicated(names)
    assert (found.duplicated() == expected).all()
    pd.testing.assert_frame_equal(distinct(table, names), table[~expected])


def test_nothing_and_no_rows() -> None:
    table = pd.DataFrame({"a": ["x", None, None, ""], "b": [None, "x", "x", "x"]}, dtype="str")
    assert list(together(table, ["a", "b"]).duplicated()) == [False, False, True, False]
    assert together(table.iloc[:0], ["a", "b"]).empty
