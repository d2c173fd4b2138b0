"""One virtual patient is measured to be what he was measured to be, dose and curves included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.golden import KEPT, make

GOLDEN = Path(__file__).parent / "data" / "golden"
RELATIVE, ABSOLUTE = 1e-6, 1e-9  # other processors round otherwise


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", KEPT)
def test_every_row_is_as_it_was(record: Path, name: str) -> None:
    was, now = pd.read_parquet(GOLDEN / name), pd.read_parquet(record / name)
    assert list(now.columns) == list(was.columns)
    words = [c for c in was.columns if not pd.api.types.is_float_dtype(was[c])]
    keys = [c for c in words if c != "why"]
    assert now[keys].astype(str).equals(was[keys].astype(str))
    for column in was.columns.difference(words):
        far = ~np.isclose(
            now[column].to_numpy(float), was[column].to_numpy(float), RELATIVE, ABSOLUTE,
            equal_nan=True,
        )  # fmt: skip
        different = pd.concat([was[far], now.loc[far, column].rename("now")], axis=1)
        assert not far.any(), f"{int(far.sum())} of {len(was)} values:\n{different.head(20)}"
