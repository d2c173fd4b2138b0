"""The script that trains and examines every family: its tables, its page, its memory."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.controls import Control
from benchmarks.families.apart import examine_apart
from benchmarks.families.run import FAMILIES, OTHERWISE, Result, held_against, patient_averages
from benchmarks.families.store import read_result, write_result
from benchmarks.families.study import STUDIES, Asked, examine_one, examine_study, parts
from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.judging.statistics import mean_interval
from qa_suite.metrics.meaning import require_meaning
from tests.tiny_cohort import make_tiny_cohort
from translators.spec import load_spec

PAGE = Path(__file__).parent.parent / "docs" / "appendix" / "families.md"


def _result(name: str, label: str = "some") -> Result:
    control = Control(
        measure="MAE",
        unit="HU",
        control="mean",
        translator=50.0,
        other=90.0,
        difference=mean_interval([-30.0, -40.0, -50.0]),
    )
    return Result(
        label=label,
        spec=load_spec(name),
        uri="models:/some/1",
        learning_s=100.4,
        training_s=150.6,
        training_cpu_s=201.0,
        iterations=900,
        measured={("mae", "body"): (51.26, 18), ("interval_width", "body"): (217.954, 18)},
        controls=(control,),
    )


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_the_page_has_a_place_for_every_part_of_every_study(study: str) -> None:
    text = PAGE.read_text()
    found = parts([_result(name, label) for label, name in STUDIES[study].entries])
    assert {"cost", "controls"} <= set(found)
    for name in found:
        assert text.count(f"<!-- {STUDIES[study].prefix}{name}: begin -->") == 1, name


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_nothing_is_asked_that_has_no_meaning(study: str) -> None:
    for _, name in STUDIES[study].entries:
        quantity = load_spec(name).target.quantity
        require_meaning(quantity, FAMILIES.get(quantity, OTHERWISE))


def test_tables_say_what_was_measured_and_dash_what_was_not() -> None:
    found = parts([_result("cyclegan-demo", "cyclegan")])
    assert "| cyclegan | 51.3 | – |" in found["quality mr-to-ct"]
    assert "| cyclegan | – | – | 218 HU | – |" in found["uncertainty"]
    assert "| `cyclegan-demo` | 900 | 100 | 151 | 201 | – | – |" in found["cost"]
    some = replace(
        _result("cyclegan-demo"),
        measured={("mae", "body"): (51.26, 18), ("mae", "bone"): (200.0, 5)},
    )
    assert "| 51.3 | 200 (5) |" in parts([some])["quality mr-to-ct"]
    assert "-40.0 (" in found["controls"] and " beaten |" in found["controls"]


def test_a_result_is_remembered_until_its_specification_changes(tmp_path: Path) -> None:
    result = _result("contourdiff-demo")
    path = write_result(tmp_path, result)
    assert read_result(tmp_path, "contourdiff-demo") == result
    assert read_result(tmp_path, "cyclegan-demo") is None
    path.write_text(path.read_text().replace(result.spec.digest, "0" * 64))
    assert read_result(tmp_path, "contourdiff-demo") is None


def test_averages_are_of_patients_and_variants_have_names_of_their_own() -> None:
    rows = [
        ("mae", "body", "p1", "default", "ok", 10.0),
        ("mae", "body", "p1", "default", "ok", 20.0),
        ("mae", "body", "p2", "default", "ok", 45.0),
        ("mae", "body", "p3", "default", "undefined", float("nan")),
        ("tlg_difference_pct", "lesions", "p1", "41pct", "ok", 70.0),
    ]
    table = pd.DataFrame(
        rows, columns=["metric", "region", "patient", "variant", "status", "value"]
    )
    assert patient_averages(table) == {
        ("mae", "body"): (30.0, 2),
        ("tlg_difference_pct@41pct", "lesions"): (70.0, 1),
    }


def test_without_a_common_grid_a_ct_is_held_against_nothing(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path)
    cohort, spec = load_cohort(tmp_path), load_spec("regression-demo")

    def never(_: object) -> object:
        raise InputError("asked")

    for controls in ("none", "nulls"):
        assert held_against(controls, cohort, tmp_path, never, spec) == ()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="asked"):
        held_against("all", cohort, tmp_path, never, spec)  # type: ignore[arg-type]


def test_several_are_examined_beside_each_other_and_each_failure_is_told() -> None:
    told: list[str] = []
    entries = [("first", "a"), ("second", "b")]
    found = examine_apart("asked", labelled, entries, at_a_time=1, progress=told.append)
    assert found == {"a": "asked first", "b": "asked second"}
    assert told == ["a: done", "b: done"]
    with pytest.raises(Problems, match="has 1 problem: bad: it is no label"):
        examine_apart("asked", labelled, [("", "bad"), *entries], at_a_time=1, progress=told.append)
    assert told[2:] == ["bad: failed", "a: done", "b: done"], "the others are finished first"
    with pytest.raises(Problems, match="workers must be at least 1, got 0"):
        examine_apart("asked", labelled, entries, at_a_time=0)


def labelled(asked: str, entry: tuple[str, str]) -> str:
    if not entry[0]:
        raise InputError("it is no label")
    return f"{asked} {entry[0]}"


def test_what_travels_to_a_worker_can_travel(tmp_path: Path) -> None:
    asked = Asked(study="real", work=tmp_path, data=None, patients=2, keep=False)
    assert pickle.loads(pickle.dumps((asked, examine_one))) == (asked, examine_one)
    with pytest.raises(InputError, match="need --data, the folder"):
        examine_study(asked, ["bridge-sts"], at_a_time=2)
