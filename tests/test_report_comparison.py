"""The model beside floor and baseline: hand-computable tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.facts import wording
from reports.facts.comparison import ALL_SITES, compare, comparison_lines
from tests.record_factory import make_record


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for kind in ("model", "floor", "baseline"):
        make_record(folder / kind, kind=kind, keep=False)
    return folder


def measured(values: dict[str, float | None], site: str = "A") -> pd.DataFrame:
    """Body MAE of patients; a name such as p1.2 is the second examination of p1."""
    return pd.DataFrame(
        [
            {
                "case": case,
                "patient": case.split(".")[0],
                "site": site,
                "metric": "mae",
                "region": "body",
                "variant": "default",
                "value": value,
                "unit": "HU",
                "status": "ok" if value is not None else "undefined",
                "why": "" if value is not None else "planted",
            }
            for case, value in values.items()
        ]
    )


def test_improvement_after_subtracting_the_floor() -> None:
    here, everywhere = compare(
        measured({"p1": 50.0, "p2": 70.0}),
        ("A",),
        floor=measured({"p1": 5.0, "p2": 15.0}),
        baseline=measured({"p1": 60.0, "p2": 160.0}),
    )
    assert (here.model, here.floor, here.baseline) == (60.0, 10.0, 110.0)
    assert here.improvement == pytest.approx(0.5)
    assert (here.better_in, here.patients, here.not_common) == (2, 2, 0)
    assert everywhere.site == ALL_SITES


def test_improvement_without_a_floor() -> None:
    row, _ = compare(measured({"p1": 60.0}), ("A",), floor=None, baseline=measured({"p1": 120.0}))
    assert row.improvement == pytest.approx(0.5)
    assert row.floor is None


def test_only_common_patients_are_compared() -> None:
    row, _ = compare(
        measured({"p1": 50.0, "p2": None, "p3": 10.0}),
        ("A",),
        floor=None,
        baseline=measured({"p1": 100.0, "p2": 1.0}),
    )
    assert (row.patients, row.not_common, row.model, row.baseline) == (1, 2, 50.0, 100.0)


def test_a_patient_counts_once_however_often_examined() -> None:
    row, _ = compare(
        measured({"p1.1": 10.0, "p1.2": 20.0, "p1.3": 30.0, "p2.1": 60.0}),
        ("A",),
        floor=None,
        baseline=measured(dict.fromkeys(("p1.1", "p1.2", "p1.3", "p2.1"), 80.0)),
    )
    assert (row.model, row.patients) == (40.0, 2)


@pytest.mark.parametrize(
    ("floor", "baseline", "why"),
    [
        ({"p1": 90.0}, {"p1": 80.0}, "undefined: the baseline is not above the floor"),
        ({"p1": 10.0}, None, "undefined: no baseline was evaluated"),
        ({"p2": 10.0}, {"p1": 80.0}, "undefined: no patient has a value in every evaluation"),
    ],
)
def test_an_improvement_without_meaning_has_its_reason(
    floor: dict, baseline: dict | None, why: str
) -> None:
    row, _ = compare(
        measured({"p1": 50.0}),
        ("A",),
        floor=measured(floor),
        baseline=None if baseline is None else measured(baseline),
    )
    assert row.improvement is None
    assert row.why == why


def test_a_model_worse_than_the_baseline_improves_by_less_than_nothing() -> None:
    row, _ = compare(measured({"p1": 90.0}), ("A",), floor=None, baseline=measured({"p1": 60.0}))
    assert row.improvement == pytest.approx(-0.5)
    assert row.better_in == 0
    assert wording.share(row.improvement) == "−50\N{NO-BREAK SPACE}%"


def test_the_comparison_in_plain_lines(home: Path) -> None:
    lines = comparison_lines(home / "model", floor=home / "floor", baseline=home / "baseline")
    assert len(lines) == 8  # two measures; three sites and all of them
    assert lines[0].startswith("MAE in body, A (trained on): floor ")
    assert all("improvement above the floor" in line for line in lines)
